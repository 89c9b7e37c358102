package runtime

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/letter"
	"github.com/sluice-edge/sluice/runtime/project"
)

// One-time codes. Everything about the codes of one address is one document of the _codes collection: what was sent when, the
// hash of each code that is good now, and how often it was tried. Each step is a commit on top of exactly the document that was
// judged, so that a thousand tries at once are judged one after the other, a code is used once, and a crash forgets no try.
//
// An address that nobody has is treated like any other, down to the code that it is not sent: who asks, and who guesses, cannot
// tell the two apart.

const (
	codeLifetime = 5 * time.Minute
	codeTries    = 5           // wrong ones, and the code is void
	codePause    = time.Minute // between two codes of one purpose to one address
	codeHour     = time.Hour   // within which codes are counted
	// maxDecoys bounds the documents that asking for codes of addresses that nobody has can make, in an hour. Beyond it nothing is
	// kept of them; the answers stay the same.
	maxDecoys = 10_000
)

// Purposes of a code. Each is also the name of the template that carries it.
const (
	codeVerify = letter.Verify
	codeReset  = letter.Reset
)

// codeBook is the document of one address.
type codeBook struct {
	ID      string           `json:"_id"`
	Key     string           `json:"key"`   // of the address; the document does not hold the address
	Sent    []int64          `json:"sent"`  // when codes were sent in the last hour, for whatever purpose; unix milliseconds
	Asked   int64            `json:"asked"` // when resend-verification-otp was last answered 200
	Codes   map[string]*code `json:"codes"` // by purpose, the last one each
	Expires int64            `json:"expires"`

	id    kv.DocID
	rev   uint64
	email string
}

// code is the last code of one purpose. It is gone once it was used.
type code struct {
	User  string `json:"user"`           // whose it is; "": nobody's, so that it can never be right
	Hash  string `json:"hash,omitempty"` // "" once it is void
	Sent  int64  `json:"sent"`           // unix milliseconds
	Tries int    `json:"tries"`          // wrong ones
}

// codesOf reads the document of an address, or begins one.
func (r *request) codesOf(email string) (*codeBook, error) {
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	c, ok := snap.Collection(project.Codes)
	if !ok {
		return nil, errInternal.because(errors.New("the project has no collection " + project.Codes))
	}
	book := &codeBook{Key: r.project.Box.HashAddress(email), email: email}
	doc, err := snap.GetUnique(c, project.IndexKey, kv.String(book.Key))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		book.id = r.project.DB.NewID(r.start)
		book.ID = book.id.String()
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(doc.JSON, book); err != nil {
			return nil, err
		}
		book.id, book.rev = doc.ID, doc.Rev
	}
	if book.Codes == nil {
		book.Codes = map[string]*code{}
	}
	book.forget(r.start)
	return book, nil
}

// forget drops what is older than an hour, and what lies in the future: a clock was set back, and nobody shall be locked out for as
// long as it was wrong.
func (b *codeBook) forget(now time.Time) {
	kept := []int64{}
	for _, at := range b.Sent {
		if within(now, at, codeHour) {
			kept = append(kept, at)
		}
	}
	b.Sent = kept
}

// within reports whether a moment is not longer ago than d, nor further in the future than clocks differ.
func within(now time.Time, at int64, d time.Duration) bool {
	age := now.Sub(time.UnixMilli(at))
	return age < d && age >= -clockSkew
}

// put adds the document to the request's batch.
func (r *request) putCodes(book *codeBook) error {
	book.Expires = r.start.Add(codeHour).UnixMilli()
	doc, err := json.Marshal(book) // hex, numbers and our own words: as canonical as a document must be
	if err != nil {
		return err
	}
	b := &r.batch
	if book.rev == 0 {
		key := append(jsondoc.AppendString([]byte{'['}, book.Key), ']')
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedUnique, Collection: project.Codes, Name: project.IndexKey, ID: book.id, Value: key})
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Codes, ID: book.id, Rev: book.rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Codes, ID: book.id, Value: doc})
	return nil
}

// pause returns how long it is until another code of that purpose may be sent.
func (b *codeBook) pause(now time.Time, purpose string) time.Duration {
	if c := b.Codes[purpose]; c != nil && within(now, c.Sent, codePause) {
		return codePause - now.Sub(time.UnixMilli(c.Sent))
	}
	return 0
}

// sendCode adds a new code of a purpose to the request's batch, in the place of the last one, with the mail that carries
// it. user is whose code it is, nil when there is nobody to send one to: then the same is done, and nothing sent. It reports false,
// and adds nothing, when it is too early or too much for the address or the project.
func (r *request) sendCode(book *codeBook, purpose string, user *kv.Document) (sent bool, err error) {
	cfg := &r.state.Config.Auth
	if book.pause(r.start, purpose) > 0 || len(book.Sent) >= cfg.CodesPerAddress {
		return false, nil
	}
	m := meter{name: "codes", limit: int64(cfg.CodesPerHour), window: codeHour}
	if user == nil {
		m.name, m.limit = "decoys", maxDecoys
	}
	if left, _, err := r.use(m); err != nil || !left {
		return false, err
	}
	fresh, err := auth.NewCode(rand.Reader)
	if err != nil {
		return false, err
	}
	c := &code{Sent: r.start.UnixMilli()}
	var doc []byte
	if user != nil {
		c.User, doc = user.ID.String(), user.JSON
	}
	c.Hash = r.project.Box.HashCode(purpose, c.User, book.email, fresh)
	book.Codes[purpose] = c
	book.Sent = append(book.Sent, c.Sent)
	if err := r.putCodes(book); err != nil {
		return false, err
	}
	vars := r.mailVars(book.email, doc)
	vars["code"], vars["minutes"] = fresh.Reveal(), strconv.Itoa(int(codeLifetime/time.Minute))
	return true, r.enqueueMail(&mail{to: book.email, template: purpose, vars: vars, until: r.start.Add(codeLifetime), decoy: user == nil})
}

// tryCode judges a code that somebody sent for an account. A right one is gone from the book, which the caller puts into
// its batch with what the code was for. A wrong one is counted: judged says that the batch must be committed before anybody is told.
func (r *request) tryCode(book *codeBook, purpose string, user *kv.Document, given string) (right, judged bool) {
	c := book.Codes[purpose]
	if c == nil || c.Hash == "" || !within(r.start, c.Sent, codeLifetime) {
		return false, false
	}
	// Of an account that is gone, or of another one under the same address, no code is right.
	whose := ""
	if user != nil {
		whose = user.ID.String()
	}
	hash := r.project.Box.HashCode(purpose, whose, book.email, auth.Secret(given))
	if whose != "" && whose == c.User && auth.SameHash([]byte(hash), []byte(c.Hash)) {
		delete(book.Codes, purpose)
		return true, true
	}
	if c.Tries++; c.Tries >= codeTries {
		c.Hash = ""
	}
	return false, true
}
