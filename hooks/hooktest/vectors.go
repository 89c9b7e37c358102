package hooktest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

//go:embed vectors.json
var vectorsJSON []byte

// Vector is one conformance case: an event as the guest sees it, and what the guest must decide.
type Vector struct {
	Name   string          `json:"name"`
	Event  json.RawMessage `json:"event"`  // the whole text of the guest contract's event
	Stored Documents       `json:"stored"` // what the guest can read
	Want   Want            `json:"want"`
}

// Want is an expected decision. Members that are absent must be absent from the decision.
type Want struct {
	Allow    bool            `json:"allow"`
	Code     string          `json:"code,omitempty"`
	Message  string          `json:"message,omitempty"`
	Status   int             `json:"status,omitempty"`
	Document json.RawMessage `json:"document,omitempty"` // compared as JSON, the order of members included
	Allowed  []bool          `json:"allowed,omitempty"`
	Filter   json.RawMessage `json:"filter,omitempty"` // likewise compared, and so are claims
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// Vectors returns all conformance cases.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	var vectors []Vector
	decoder := json.NewDecoder(bytes.NewReader(vectorsJSON))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatalf("hooktest: vectors.json: %v", err)
	}
	return vectors
}

// Conformance runs every vector against an SDK's example guest.
func Conformance(t *testing.T, wasm []byte) {
	t.Helper()
	ConformanceOf(t, Load(t, hooks.Options{}, wasm))
}

// ConformanceOf is Conformance of a guest that Load has loaded.
func ConformanceOf(t *testing.T, bundle *hooks.Bundle) {
	t.Helper()
	for _, vector := range Vectors(t) {
		t.Run(vector.Name, func(t *testing.T) {
			event, name := DecodeEvent(t, vector.Event)
			got, err := Ask(t, bundle, vector.Stored, event, name)
			if err != nil {
				t.Fatal(err)
			}
			want := hooks.Decision{Allow: vector.Want.Allow, Code: vector.Want.Code, Message: vector.Want.Message,
				Status: vector.Want.Status, Allowed: vector.Want.Allowed, Document: compact(t, vector.Want.Document), Claims: compact(t, vector.Want.Claims)}
			if vector.Want.Filter != nil {
				want.Filters = [][]byte{compact(t, vector.Want.Filter)}
			}
			got.Document, got.Claims = compact(t, got.Document), compact(t, got.Claims)
			for i, filter := range got.Filters {
				got.Filters[i] = compact(t, filter)
			}
			got.Fuel, got.Budget, got.Module = 0, 0, "" // they are the host's, not the guest's
			if !reflect.DeepEqual(got, want) {
				t.Errorf("decision\n got %+v\nwant %+v\ndocument\n got %s\nwant %s\nfilter\n got %s\nwant %s\nclaims\n got %s\nwant %s", got, want,
					got.Document, want.Document, got.Filters, want.Filters, got.Claims, want.Claims)
			}
		})
	}
}

// Collection is the one that Load binds guests to.
const Collection = "posts"

// Load makes a host with one guest bound to every event of Collection that it has a function for. Both are closed when
// the test ends.
func Load(t testing.TB, options hooks.Options, wasm []byte) *hooks.Bundle {
	t.Helper()
	host := NewHost(t, options)
	bundle, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": wasm}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// NewHost makes a host that is closed when the test ends.
func NewHost(t testing.TB, options hooks.Options) *hooks.Host {
	t.Helper()
	host, err := hooks.NewHost(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Errorf("close host: %v", err)
		}
	})
	return host
}

// Ask asks a bundle about an event of the given name in a session of its own, in which guests can read stored.
func Ask(t testing.TB, bundle *hooks.Bundle, stored Documents, event *hooks.Event, name string) (hooks.Decision, error) {
	t.Helper()
	session, ok := bundle.Session(stored)
	if !ok {
		t.Fatal("hooktest: the bundle is closed")
	}
	defer session.End()
	ask := session.Hook
	switch name {
	case hooks.EventPolicy:
		ask = session.Policy
	case hooks.EventFilter:
		ask = session.Filter
	case hooks.EventBeforeSignup:
		ask = session.Signup
	case hooks.EventClaims:
		ask = session.Claims
	case hooks.EventBeforeUpload:
		ask = session.Upload
	}
	return ask(context.Background(), event)
}

// Manifest binds the module guest, of file guest.wasm, to every event of Collection, of accounts and of files.
func Manifest() hooks.Manifest {
	all := []string{Collection}
	return hooks.Manifest{
		Modules: []hooks.Module{{Name: "guest", File: "guest.wasm"}},
		Bindings: []hooks.Binding{
			{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"insert", "update", "delete", "read"}, Collections: all},
			{Module: "guest", Event: hooks.EventBeforeInsert, Collections: all},
			{Module: "guest", Event: hooks.EventBeforeUpdate, Collections: all},
			{Module: "guest", Event: hooks.EventBeforeDelete, Collections: all},
			{Module: "guest", Event: hooks.EventFilter, Collections: all},
			{Module: "guest", Event: hooks.EventBeforeSignup},
			{Module: "guest", Event: hooks.EventClaims},
			{Module: "guest", Event: hooks.EventBeforeUpload},
		},
		Grants: hooks.Grants{Read: []string{"posts", "members", "comments"}},
		Config: hooks.Config(`{"site":"demo"}`),
	}
}

// DecodeEvent turns an event's text back into what the host is given, and returns the name of the event beside it. It
// ignores members that it does not know, as guests must.
func DecodeEvent(t testing.TB, text []byte) (*hooks.Event, string) {
	t.Helper()
	var wire struct {
		Event      string
		Op         string
		Collection string
		Caller     struct {
			Role   string
			UserID *string `json:"userId"`
			Claims json.RawMessage
		}
		Before, After json.RawMessage
		Documents     []json.RawMessage
		Now           int64
		RequestID     string `json:"requestId"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		t.Fatalf("hooktest: event: %v", err)
	}
	e := &hooks.Event{Collection: wire.Collection, Role: wire.Caller.Role, Claims: wire.Caller.Claims,
		Before: orNil(wire.Before), After: orNil(wire.After), Now: wire.Now, RequestID: wire.RequestID}
	if wire.Caller.UserID != nil {
		e.UserID = *wire.Caller.UserID
	}
	for op := hooks.OpInsert; op <= hooks.OpUpload; op++ {
		if op.String() == wire.Op {
			e.Op = op
		}
	}
	for _, doc := range wire.Documents {
		e.Documents = append(e.Documents, doc)
	}
	if e.Op == 0 || !strings.HasPrefix(wire.Event, "before") && !slices.Contains([]string{hooks.EventPolicy, hooks.EventFilter, hooks.EventClaims}, wire.Event) {
		t.Fatalf("hooktest: event %q with operation %q", wire.Event, wire.Op)
	}
	return e, wire.Event
}

func orNil(raw json.RawMessage) []byte {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

func compact(t testing.TB, raw []byte) []byte {
	t.Helper()
	if raw == nil {
		return nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		t.Fatalf("hooktest: document: %v", err)
	}
	return out.Bytes()
}
