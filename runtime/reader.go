package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of what guests read for one request.
const (
	guestBudget = 10_000 // documents that one query may examine
	maxReads    = 5_000  // things that a write may rest on
)

// reader answers what the guests of one request read, from the request's snapshot. For a write it notes what was read, and the
// batch needs that nothing of it has changed: who was a member of the team when the guest looked still is when the write is
// stored. Reads need nothing noted: they are answered from the same snapshot.
type reader struct {
	r     *request
	notes bool // a write is being prepared
	seen  map[read]struct{}
	needs []kv.Need
}

// read names something that was read: a document, or with the zero id a whole collection.
type read struct {
	collection string
	id         kv.DocID
}

var errTooManyReads = fmt.Errorf("the guests of one request rest on more than %d documents: %w", maxReads, hooks.ErrReadTooLarge)

// begin forgets what an earlier attempt has read.
func (x *reader) begin() {
	x.notes, x.needs = true, x.needs[:0]
	clear(x.seen)
}

// note remembers what a write rests on. rev is that of the document, or the last commit that the snapshot shows.
func (x *reader) note(kind kv.NeedKind, collection string, id kv.DocID, rev uint64) error {
	what := read{collection, id}
	if _, known := x.seen[what]; known || !x.notes {
		return nil
	}
	if len(x.needs) >= maxReads {
		return errTooManyReads
	}
	if x.seen == nil {
		x.seen = map[read]struct{}{}
	}
	x.seen[what] = struct{}{}
	x.needs = append(x.needs, kv.Need{Kind: kind, Collection: collection, ID: id, Rev: rev})
	return nil
}

// open finds a collection in the request's snapshot.
func (x *reader) open(name string) (*kv.Snapshot, *kv.Collection, error) {
	snap, err := x.r.snapshot()
	if err != nil {
		return nil, nil, err
	}
	c, ok := snap.Collection(name)
	if !ok || strings.HasPrefix(name, "_") {
		return nil, nil, fmt.Errorf("the project has no collection %q", name)
	}
	return snap, c, nil
}

// Get implements hooks.Reader.
func (x *reader) Get(_ context.Context, collection string, id, dst []byte, most int) ([]byte, error) {
	snap, c, err := x.open(collection)
	if err != nil {
		return dst, err
	}
	docID, ok := kv.ParseDocID(id)
	if !ok {
		return dst, hooks.ErrNotFound // no document has it, and none ever will
	}
	doc, err := snap.Get(c, docID)
	if errors.Is(err, kv.ErrNotFound) {
		if err := x.note(kv.NeedDoc, collection, docID, 0); err != nil {
			return dst, err
		}
		return dst, hooks.ErrNotFound
	}
	if err != nil {
		return dst, err
	}
	if err := x.note(kv.NeedDoc, collection, docID, doc.Rev); err != nil {
		return dst, err
	}
	return x.append(dst, collection, doc.JSON, most)
}

// Find implements hooks.Reader.
func (x *reader) Find(ctx context.Context, collection string, query, dst []byte, most int) ([]byte, error) {
	snap, c, q, err := x.query(collection, query)
	if err != nil {
		return dst, err
	}
	page, err := snap.Find(ctx, c, q)
	if err != nil {
		return dst, err
	}
	begun := len(dst)
	dst = append(dst, '[')
	for i := range page.Docs {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = x.append(dst, collection, page.Docs[i].JSON, most-(len(dst)-begun)-1); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// Count implements hooks.Reader.
func (x *reader) Count(ctx context.Context, collection string, query []byte) (int64, error) {
	snap, c, q, err := x.query(collection, query)
	if err != nil {
		return 0, err
	}
	n, err := snap.Count(ctx, c, q)
	return int64(n), err
}

// query parses a query and notes what its answer depends on: documents that it names by id, else the whole collection.
func (x *reader) query(collection string, text []byte) (*kv.Snapshot, *kv.Collection, *kv.Query, error) {
	snap, c, err := x.open(collection)
	if err != nil {
		return nil, nil, nil, err
	}
	q, err := parseGuestQuery(text, false)
	if err != nil {
		return nil, nil, nil, err
	}
	if collection == project.Users && mentions(q, fieldPassword) {
		return nil, nil, nil, errors.New("passwords cannot be searched for")
	}
	q.Budget = guestBudget
	if ids, named := namedIDs(q); named {
		for _, id := range ids {
			rev := uint64(0)
			doc, err := snap.Get(c, id)
			if err == nil {
				rev = doc.Rev
			} else if !errors.Is(err, kv.ErrNotFound) {
				return nil, nil, nil, err
			}
			if err := x.note(kv.NeedDoc, collection, id, rev); err != nil {
				return nil, nil, nil, err
			}
		}
		return snap, c, q, nil
	}
	return snap, c, q, x.note(kv.NeedCollection, collection, kv.DocID{}, snap.Commit())
}

// namedIDs returns the ids outside of which a query finds nothing, if it names any.
func namedIDs(q *kv.Query) (ids []kv.DocID, named bool) {
	for _, p := range q.Where {
		if p.Path != "_id" || p.Op != kv.Is {
			continue
		}
		for _, v := range p.Values {
			if id, ok := kv.ParseDocID(jsondoc.Unquote(nil, v.JSON())); ok {
				ids = append(ids, id)
			}
		}
		return ids, true
	}
	return nil, false
}

// mentions reports whether a query asks or sorts by a member, or by something inside of it.
func mentions(q *kv.Query, name string) bool {
	inside := func(path string) bool {
		first, _, _ := strings.Cut(path, ".")
		return first == name
	}
	some := func(list []kv.Predicate) bool {
		for _, p := range list {
			if inside(p.Path) {
				return true
			}
		}
		return false
	}
	if some(q.Where) {
		return true
	}
	for _, choices := range q.Any {
		for _, list := range choices {
			if some(list) {
				return true
			}
		}
	}
	for _, s := range q.Sort {
		if inside(s.Path) {
			return true
		}
	}
	return false
}

// append appends a document as guests see it: whole, but for the passwords of users.
func (x *reader) append(dst []byte, collection string, doc []byte, most int) ([]byte, error) {
	if len(doc) > most {
		return dst, hooks.ErrReadTooLarge
	}
	if collection != project.Users {
		return append(dst, doc...), nil
	}
	return appendProfile(dst, doc), nil
}
