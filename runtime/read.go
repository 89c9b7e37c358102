package runtime

import (
	"bytes"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// readsOwnOnly reports whether this caller sees only documents that it owns.
func (r *request) readsOwnOnly() bool {
	return r.role != auth.RoleSecret && r.collection.RLS.Enabled && r.collection.RLS.Mode == project.ModePrivate
}

// decidedByGuests reports whether policies alone say what this caller may do.
func (r *request) decidedByGuests() bool {
	return r.role != auth.RoleSecret && r.collection.RLS.Enabled && r.collection.RLS.Mode == project.ModeCustom
}

// mayRead is the built-in read rule: private documents are read by somebody, and where policies alone decide there is one.
func (r *request) mayRead() error {
	if r.decidedByGuests() {
		return r.needPolicy(hooks.OpRead, hooks.OpFilter)
	}
	if r.readsOwnOnly() && r.user.UserID == "" {
		return errTokenForRead
	}
	return nil
}

// owns reports whether the caller is the owner of a stored document.
func (r *request) owns(doc []byte) bool {
	return r.user.UserID != "" && ownedBy(doc, r.collection.RLS.OwnerField, r.user.UserID)
}

// ownedBy reports whether the document's owner field is the string userID. User ids are plain hex, so a stored string
// that needs an escape is no user id and the raw text can be compared.
func ownedBy(doc []byte, field, userID string) bool {
	raw, ok := jsondoc.Lookup(doc, field)
	return ok && len(raw) == len(userID)+2 && raw[0] == '"' && string(raw[1:len(raw)-1]) == userID
}

// load reads one document of the request's collection. The bytes are borrowed from the request's snapshot.
func (r *request) load(id kv.DocID) (kv.Document, error) {
	snap, err := r.snapshot()
	if err != nil {
		return kv.Document{}, err
	}
	c, ok := snap.Collection(r.collection.Name)
	if !ok {
		return kv.Document{}, errCollectionNotFound
	}
	return snap.Get(c, id)
}

// find finds the page of a list that its caller may see.
func (r *request) find(snap *kv.Snapshot, c *kv.Collection) (*kv.Page, error) {
	if r.asksReader(r.collection, hooks.OpRead) {
		return r.visiblePage(snap, c, &r.query.Query)
	}
	return snap.Find(r.reading(), c, &r.query.Query)
}

func (r *request) countVisible(snap *kv.Snapshot, c *kv.Collection) (int, error) {
	if r.asksReader(r.collection, hooks.OpRead) {
		return r.visibleCount(snap, c, &r.query.Query)
	}
	return snap.Count(r.reading(), c, &r.query.Query)
}

// answerCount answers a list with count=true.
func (r *request) answerCount(snap *kv.Snapshot, c *kv.Collection) error {
	n, err := r.countVisible(snap, c)
	if err := r.told("count", err); err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"success":true,"data":{"count":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	return r.done(append(b, `},"message":"Count fetched successfully."}`...))
}

// answerExplain answers a list with explain=true, for secret keys: how kv would find it, what else it weighed, and what the
// finding cost. Whoever reads it learns about other owners' documents, so a publishable key may not.
func (r *request) answerExplain(snap *kv.Snapshot, c *kv.Collection) error {
	if r.role != auth.RoleSecret {
		return errKeySecretRequired
	}
	begun := r.server.now()
	ex, err := snap.Explain(r.reading(), c, &r.query.Query)
	if err != nil {
		return err
	}
	type option struct {
		Plan    string `json:"plan"`
		Keys    int    `json:"keys"`
		Guessed bool   `json:"guessed,omitempty"` // there are more keys than were counted
		Ordered bool   `json:"ordered"`
		Covered bool   `json:"covered"`
		Chosen  bool   `json:"chosen"`
	}
	var out struct {
		Success bool `json:"success"`
		Data    struct {
			Plan       string   `json:"plan"`
			Considered []option `json:"considered"`
			Examined   int      `json:"examined"`
			Returned   int      `json:"returned"`
			Total      int64    `json:"total"`
			Millis     float64  `json:"durationMs"`
		} `json:"data"`
		Message string `json:"message"`
	}
	out.Success, out.Message = true, "Query explained."
	out.Data.Plan, out.Data.Examined, out.Data.Returned, out.Data.Total = ex.Plan, ex.Examined, ex.Returned, ex.Total
	out.Data.Millis = float64(r.server.now().Sub(begun).Microseconds()) / 1000
	for _, o := range ex.Considered {
		out.Data.Considered = append(out.Data.Considered, option{o.Plan, o.Keys, o.Guessed, o.Ordered, o.Covered, o.Chosen})
	}
	return r.answerJSON(fasthttp.StatusOK, out)
}

// answerPage answers a list with its envelope.
func (r *request) answerPage(page *kv.Page) error {
	b := append(r.answer(fasthttp.StatusOK), `{"success":true,"data":{"items":[`...)
	for i := range page.Docs {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = r.appendShaped(b, page.Docs[i].JSON); err != nil {
			return err
		}
	}
	b = append(b, `],"total":`...)
	if page.Total < 0 { // nobody asked, or a read policy judges and not everything was looked at
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, page.Total, 10)
	}
	if r.query.cursor == "" {
		b = append(b, `,"page":`...)
		b = strconv.AppendInt(b, int64(r.query.page), 10)
	} else {
		b = append(b, `,"cursor":`...)
		b = jsondoc.AppendString(b, r.query.cursor)
	}
	b = append(b, `,"limit":`...)
	b = strconv.AppendInt(b, int64(r.query.Limit), 10)
	b = append(b, `,"nextCursor":`...)
	if page.Next == nil {
		b = append(b, "null"...)
	} else {
		b = jsondoc.AppendString(b, r.sealCursor(page.Next))
	}
	return r.done(append(b, `},"message":"Data fetched successfully"}`...))
}

// appendShaped appends a stored document with the members that the query asked for.
func (r *request) appendShaped(dst, doc []byte) ([]byte, error) {
	if r.query.whole() {
		return append(dst, doc...), nil
	}
	value, err := r.docParser.Parse(doc, storedLimits)
	if err != nil {
		return nil, err
	}
	if r.query.populate.paths == nil {
		return r.query.shape.append(dst, value), nil
	}
	if r.query.shape.whole() {
		return r.appendPopulated(dst, value, r.query.populate.paths, "")
	}
	// Shaped first: what is not answered is not read either.
	r.buffers[0] = r.query.shape.append(r.buffers[0][:0], value)
	if value, err = r.docParser.Parse(r.buffers[0], storedLimits); err != nil {
		return nil, err
	}
	return r.appendPopulated(dst, value, r.query.populate.paths, "")
}

// whole reports whether documents are answered just as they are stored.
func (q *listQuery) whole() bool { return q.shape.whole() && q.populate.paths == nil }

// answerShaped answers one document with the members that the query asked for.
func (r *request) answerShaped(doc []byte) error {
	b, err := r.appendShaped(r.answer(fasthttp.StatusOK), doc)
	if err != nil {
		return err
	}
	return r.done(b)
}

// storedLimits bound the parsing of what is already stored, which was within the limits of its day.
var storedLimits = jsondoc.Limits{Depth: 128, Members: 1 << 20, Items: 1 << 20}

// appendETag appends the entity tag of a revision, quotes included.
func appendETag(dst []byte, rev uint64) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, rev, 16)
	return append(dst, '"')
}

// matchesETag reports whether a list of entity tags, as If-Match and If-None-Match have them (RFC 9110 section 8.8.3),
// holds the tag or is `*`. Weak tags match by their text: revisions are never equal for different bytes.
func matchesETag(list, etag []byte) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte(","))
		item = bytes.TrimPrefix(bytes.TrimSpace(item), []byte("W/"))
		if string(item) == "*" || bytes.Equal(item, etag) {
			return true
		}
	}
	return false
}
