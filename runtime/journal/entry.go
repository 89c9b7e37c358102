package journal

import "time"

// Refusal says why something was refused: what the caller was told, and what only the developer is told.
type Refusal struct {
	Time       time.Time `json:"time"`
	RequestID  string    `json:"requestId"`
	Route      string    `json:"route"` // method and pattern; never the path, which may hold a key
	Collection string    `json:"collection,omitempty"`
	DocumentID string    `json:"documentId,omitempty"`
	Operation  string    `json:"operation,omitempty"`
	Role       string    `json:"role"`
	UserID     string    `json:"userId,omitempty"`
	Status     int       `json:"status"`
	Reason     string    `json:"reason"`
	Message    string    `json:"message"`
	Hides      string    `json:"hides,omitempty"`  // the true reason, where the caller was shown a document that does not exist
	Module     string    `json:"module,omitempty"` // the guest that said no, or broke
	Code       string    `json:"code,omitempty"`   // its own word
	Fuel       uint64    `json:"fuel,omitempty"`   // that it spent
	Budget     uint64    `json:"budget,omitempty"` // that it had
	Millis     float64   `json:"durationMs"`       // of the request, until it was refused
	Cause      string    `json:"cause,omitempty"`  // of a guest's failure
}

// Line is something that a guest wrote.
type Line struct {
	Time      time.Time `json:"time"`
	Level     string    `json:"level"`
	Module    string    `json:"module"`
	RequestID string    `json:"requestId,omitempty"`
	Text      string    `json:"text"`
}
