package deliver

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Fields of an entry by which it is looked for. An outbox has an ordered index on [state, next].
const (
	FieldState = "state"
	FieldNext  = "next"
)

// States of an entry.
const (
	StateDue   = "due"   // to be carried when its time has come
	StateDead  = "dead"  // will not be carried any more, unless somebody retries it
	StateDecoy = "decoy" // never to be carried: it stands where an entry would, so that a commit without a mail looks like one with it
)

const (
	keep      = 7 * 24 * time.Hour // of an entry, dead or alive
	keepDecoy = time.Minute

	decoyBytes = 256 // of a mail that a decoy holds: strangers can have them made
)

// Message is one mail to one address. Addresses and subject are one line each; Text or HTML may be empty.
type Message struct {
	From    string `json:"from"` // may hold a name: Blog <no-reply@blog.example>
	ReplyTo string `json:"replyTo,omitempty"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// Sealer keeps the text of mails out of the file. place is the entry's id.
type Sealer interface {
	Seal(text []byte, place string) ([]byte, error)
	Open(sealed []byte, place string) ([]byte, error)
}

// Entry is a document of an outbox.
type Entry struct {
	ID        kv.DocID
	Rev       uint64
	State     string
	Next      time.Time // when it is due; of a leased one, when the lease ends
	Holder    string    // who has the lease, "" when nobody
	Tries     int       // begun
	Kind      string    // the template's name, "" if there was none
	MessageID string    // without angle brackets
	Until     time.Time // zero, or when it is no use any more
	Created   time.Time
	Expires   time.Time // when it goes, whatever became of it
	Error     string    // of the last try
	Sealed    []byte    // a Message
}

// Options of Enqueue.
type EnqueueOptions struct {
	Kind   string    // the template's name, for the operator
	Until  time.Time // zero, or when the mail is no use any more: it is dead then
	Decoy  bool      // do all the work for a mail that is never sent
	Random [4]byte   // goes into the Message-ID, which must be the node's alone
}

// Enqueue puts a mail into a batch, as a new document of the collection outbox with the given id. It leaves if, and only
// if, the batch commits. The caller wakes the Post afterwards.
func Enqueue(b *kv.Batch, outbox string, id kv.DocID, now time.Time, m *Message, opt EnqueueOptions, s Sealer) error {
	for _, line := range []string{m.From, m.ReplyTo, m.To, m.Subject} {
		if strings.ContainsAny(line, "\r\n\x00") {
			return errors.New("deliver: a header of a mail holds a line break")
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	e := Entry{ID: id, State: StateDue, Next: now, Kind: opt.Kind, Until: opt.Until, Created: now, Expires: now.Add(keep),
		MessageID: id.String() + "." + hex.EncodeToString(opt.Random[:]) + "@" + domain(m.From)}
	if opt.Decoy {
		e.State, e.Expires = StateDecoy, now.Add(keepDecoy)
		text = text[:min(len(text), decoyBytes)]
	}
	if e.Sealed, err = s.Seal(text, id.String()); err != nil {
		return err
	}
	e.put(b, outbox)
	return nil
}

// domain is what follows the @ of an address, or localhost.
func domain(address string) string {
	_, d, _ := strings.Cut(address, "@")
	d = strings.TrimRight(d, "> ")
	if d == "" || strings.ContainsFunc(d, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
	}) {
		return "localhost"
	}
	return d
}

// put adds the entry to a batch, on top of the revision that it was read at.
func (e *Entry) put(b *kv.Batch, outbox string) {
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(e.ID.AppendHex(doc), '"')
	str := func(key, value string) {
		doc = append(append(append(doc, `,"`...), key...), `":`...)
		doc = jsondoc.AppendString(doc, value)
	}
	millis := func(key string, t time.Time) {
		if !t.IsZero() {
			doc = append(append(append(doc, `,"`...), key...), `":`...)
			doc = strconv.AppendInt(doc, t.UnixMilli(), 10)
		}
	}
	str(FieldState, e.State)
	millis(FieldNext, e.Next)
	str("holder", e.Holder)
	doc = strconv.AppendInt(append(doc, `,"tries":`...), int64(e.Tries), 10)
	str("kind", e.Kind)
	str("messageId", e.MessageID)
	millis("until", e.Until)
	millis("created", e.Created)
	millis("expires", e.Expires)
	str("error", e.Error)
	str("sealed", base64.StdEncoding.EncodeToString(e.Sealed))
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: outbox, ID: e.ID, Rev: e.Rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: outbox, ID: e.ID, Value: append(doc, '}')})
}

// remove adds the end of the entry to a batch.
func (e *Entry) remove(b *kv.Batch, outbox string) {
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: outbox, ID: e.ID, Rev: e.Rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: outbox, ID: e.ID})
}

// decode reads an entry's document. What it returns is the caller's.
func decode(doc kv.Document) (*Entry, error) {
	var w struct {
		State, Holder, Kind, MessageID, Error string
		Next, Until, Created, Expires         int64
		Tries                                 int
		Sealed                                []byte // base64 in JSON
	}
	if err := json.Unmarshal(doc.JSON, &w); err != nil {
		return nil, fmt.Errorf("deliver: entry %s: %w", doc.ID, err)
	}
	at := func(ms int64) time.Time {
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms)
	}
	return &Entry{ID: doc.ID, Rev: doc.Rev, State: w.State, Holder: w.Holder, Kind: w.Kind, MessageID: w.MessageID, Error: w.Error,
		Next: at(w.Next), Until: at(w.Until), Created: at(w.Created), Expires: at(w.Expires), Tries: w.Tries, Sealed: w.Sealed}, nil
}

// Message opens what the entry carries.
func (e *Entry) Message(s Sealer) (*Message, error) {
	text, err := s.Open(e.Sealed, e.ID.String())
	if err != nil {
		return nil, err
	}
	m := new(Message)
	return m, json.Unmarshal(text, m)
}

// List reads up to limit entries of a state, those that are due first in front. What it returns is the caller's.
func List(ctx context.Context, snap *kv.Snapshot, outbox, state string, limit int) ([]*Entry, error) {
	c, ok := snap.Collection(outbox)
	if !ok {
		return nil, fmt.Errorf("deliver: there is no collection %s", outbox)
	}
	page, err := snap.Find(ctx, c, &kv.Query{Limit: limit, Budget: maxExamined, Sort: []kv.SortKey{{Path: FieldNext}},
		Where: []kv.Predicate{{Path: FieldState, Op: kv.Eq, Values: []kv.Value{kv.String(state)}}}})
	if err != nil {
		return nil, err
	}
	entries := make([]*Entry, len(page.Docs))
	for i, doc := range page.Docs {
		if entries[i], err = decode(doc); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// maxExamined bounds what a look at an outbox reads. With the index that an outbox has, it reads little more than it answers.
const maxExamined = 1_000_000
