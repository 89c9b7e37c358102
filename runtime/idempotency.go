package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// idempotencyLifetime is how long the answer to a request with an Idempotency-Key is kept.
const idempotencyLifetime = 24 * time.Hour

var (
	errIdempotencyKey   = reason(400, "idempotency.malformed_key", "Idempotency-Key must be 1 to 255 visible ASCII characters.")
	errIdempotencyOther = reason(422, "idempotency.other_request", "This Idempotency-Key was used for another request.")
)

// replay is the error that ends a request which was answered before: its answer is given again.
type replay struct {
	status int
	rev    uint64
	body   []byte
}

func (*replay) Error() string { return "runtime: the request was answered before" }

// once is a request that must have its effect once: what it is known by, and how its answer is written. The answer is
// stored in the same commit as the effect, so that there is never one without the other.
type once struct {
	key    string // of the caller, the route and the Idempotency-Key together; hex
	digest string // of the body, hex
	status int
	render func(dst []byte) []byte
}

// readIdempotencyKey reads the header of a POST, if it is there.
func (r *request) readIdempotencyKey() error {
	key := r.idempotencyKey
	if key == nil {
		return nil
	}
	if len(key) == 0 || len(key) > 255 {
		return errIdempotencyKey
	}
	for _, c := range key {
		if c < '!' || c > '~' {
			return errIdempotencyKey
		}
	}
	scope := sha256.New()
	for _, part := range [...]string{r.role.String(), r.user.UserID, r.route.pattern, string(r.path.collection), string(key)} {
		scope.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // no two lists of parts look alike
	}
	body := sha256.Sum256(r.http.Request.Body())
	r.once.key, r.once.digest = hex.EncodeToString(scope.Sum(nil)), hex.EncodeToString(body[:])
	return nil
}

// findReplay looks for the answer of an earlier request with the same key.
func (r *request) findReplay() error {
	if r.once.key == "" {
		return nil
	}
	defer r.closeSnapshot()
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(project.Idempotency)
	if !ok {
		return errInternal.because(errors.New("the project has no collection " + project.Idempotency))
	}
	doc, err := snap.GetUnique(c, project.IndexKey, kv.String(r.once.key))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.readReplay(doc)
}

func (r *request) readReplay(doc kv.Document) error {
	member := func(name string) string {
		raw, _ := jsondoc.Lookup(doc.JSON, name)
		return string(raw)
	}
	if member("request") != `"`+r.once.digest+`"` {
		return errIdempotencyOther
	}
	status, err := strconv.Atoi(member("status"))
	if err != nil {
		return err
	}
	return &replay{status: status, rev: doc.Rev, body: []byte(member("answer"))}
}

// addAnswer puts the answer that the request will get into its batch, under its key: a twin that runs at the same time
// meets it as a conflict, and then as an answer.
func (r *request) addAnswer() {
	if r.once.key == "" {
		return
	}
	id := r.project.DB.NewID(r.start)
	key := jsondoc.AppendString(nil, r.once.key)
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(id.AppendHex(doc), '"')
	doc = appendMember(doc, project.IndexKey, key)
	doc = appendMember(doc, "request", jsondoc.AppendString(nil, r.once.digest))
	doc = appendMember(doc, "status", strconv.AppendInt(nil, int64(r.once.status), 10))
	doc = appendMember(doc, "expires", strconv.AppendInt(nil, r.start.Add(idempotencyLifetime).UnixMilli(), 10))
	doc = appendMember(doc, "answer", r.once.render(nil))
	b := &r.batch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedUnique, Collection: project.Idempotency, Name: project.IndexKey, ID: id, Value: append(append([]byte{'['}, key...), ']')})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Idempotency, ID: id, Value: append(doc, '}')})
}

// writeOnce commits changes and answers with what render makes of them, or with the answer that the same request got
// before.
func (r *request) writeOnce(changes []*change, status int, render func(dst []byte) []byte) error {
	if err := r.readIdempotencyKey(); err != nil {
		return err
	}
	r.once.status, r.once.render = status, render
	err := r.writeAll(changes)
	var before *replay
	switch {
	case errors.As(err, &before):
		r.http.Response.Header.Set("Idempotent-Replayed", "true")
		r.setETag(before.rev)
		return r.answerRaw(before.status, before.body)
	case err != nil:
		return err
	}
	r.setETag(changes[0].rev)
	return r.done(render(r.answer(status)))
}
