package runtime

import (
	"crypto/rand"
	"errors"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// change is one document on its way to becoming another. Slices borrow the request's buffers until it ends.
type change struct {
	op     hooks.Op
	rules  *project.Collection // schema and access rules of its collection, as of the present attempt
	named  bool                // one of a batch: an error says which
	index  int                 // its place among the changes of one request, for messages
	body   jsondoc.Value       // what the caller sent, borrowed; missing on delete
	id     kv.DocID
	chosen bool   // the client chose the id of what it inserts, so it may be taken
	exists uint64 // revision of the document as it was, 0 when there is none
	before []byte // the document as it was, nil on insert
	stamp  project.Stamp
	after  []byte // the document as it will be stored, nil on delete
	rev    uint64 // revision of the document as stored, once committed

	buffers [2][]byte // of before and after, kept from one attempt to the next
}

// write takes one change of the request's collection through the pipeline and commits it.
func (r *request) write(ch *change) error {
	return r.writeOne(ch, r.writeAll)
}

// writeOne readies a single change of the request's collection and hands it to commit.
func (r *request) writeOne(ch *change, commit func([]*change) error) error {
	ch.rules = r.collection
	r.about(ch)
	if err := mayWrite(r, ch); err != nil {
		return r.told("access", err) // whoever may not write here is told nothing about its body or id
	}
	switch ch.op {
	case hooks.OpInsert:
		if err := needObject(r.body); err != nil {
			if !r.body.Exists() && r.role != auth.RoleSecret {
				return errBodyMissing.saying("%s", errBodyNotObject.Message) // the contract's access rules say it so
			}
			return err
		}
	default:
		var err error
		if ch.id, err = r.documentID(); err != nil {
			return err
		}
	}
	if ch.op != hooks.OpDelete {
		ch.body = r.body
	}
	r.about(ch)
	ch.buffers = r.buffers // a single change works in the request's own
	changes := [...]*change{ch}
	err := commit(changes[:])
	r.buffers = ch.buffers
	return err
}

// writeAll takes changes through the pipeline and commits them together, or none. Prepare and commit are two steps, and
// the commit names what prepare looked at, so what is stored is exactly what was allowed, against exactly the state on
// which it was allowed.
func (r *request) writeAll(changes []*change) error {
	for _, ch := range changes {
		if ch.op != hooks.OpInsert {
			continue
		}
		r.collection = ch.rules
		for _, early := range [...]writeStep{{"access", true, mayWrite}, {"owner", true, (*request).fillOwner}, {"id", false, (*request).chooseID}} {
			if err := early.do(r, ch); err != nil {
				r.about(ch)
				if r.explain != nil {
					r.explain.judging(ch, len(changes) > 1)
				}
				return r.atChange(ch, r.told(early.name, err))
			}
		}
	}
	rev, err := r.commit(func() (*kv.Batch, error) { return &r.batch, r.prepare(changes) })
	for _, ch := range changes {
		ch.rev = rev
	}
	return err
}

// commit takes what prepare builds to the project's file; for a request that is only explained, as far as that.
func (r *request) commit(prepare func() (*kv.Batch, error)) (rev uint64, err error) {
	if r.explain == nil {
		rev, err = r.project.Write(r.context(), prepare)
		if r.mailed && (err == nil || errors.Is(err, kv.ErrUnknownOutcome)) {
			r.server.post.Wake(r.server.outbox(r.project))
		}
		return rev, err
	}
	b, err := prepare()
	if err == nil {
		err = r.wouldCommit(b)
	}
	return 0, err
}

// atChange says which operation an error is about, where the request named them by number.
func (r *request) atChange(ch *change, err error) error {
	if ch.named {
		return atOperation(ch.index, err)
	}
	return err
}

// needObject says what is wrong with a body that is not an object.
func needObject(body jsondoc.Value) error {
	switch body.Kind() {
	case jsondoc.Object:
		return nil
	case jsondoc.Array:
		if body.Len() == 0 {
			return errBodyEmptyArray
		}
		return errBodyNotObject
	}
	return errBodyMissing
}

// chooseID honours an id that the client chose for what it inserts, or makes one.
func (r *request) chooseID(ch *change) error {
	switch id := ch.body.Get("_id"); id.Kind() {
	case jsondoc.Missing, jsondoc.Null:
		ch.id = r.project.DB.NewID(r.start)
	case jsondoc.String:
		var ok bool
		if ch.id, ok = kv.ParseDocID(id.Text()); !ok {
			return errInvalidID
		}
		ch.chosen = true
	default:
		return errInvalidID
	}
	return nil
}

// prepare judges the changes against the present state and builds the batch that would make them so. It may run any
// number of times, at once with others, and changes nothing.
func (r *request) prepare(changes []*change) error {
	if err := r.holdGuests(); err != nil {
		return err
	}
	r.reader.begin()
	r.filtered = nil
	defer r.closeSnapshot()
	for _, ch := range changes {
		if ch.rules = r.state.Collection([]byte(ch.rules.Name)); ch.rules == nil {
			return errCollectionNotFound
		}
		ch.exists = 0
	}
	if err := r.findReplay(); err != nil {
		return err
	}
	if err := r.beginBatch(); err != nil {
		return err
	}
	for i := range writeSteps {
		var bad badRecords
		for _, ch := range changes {
			r.collection = ch.rules
			switch err := r.disguise(ch, r.take(&writeSteps[i], ch, len(changes) > 1)); {
			case err == nil:
			case ch.named:
				return r.atChange(ch, err)
			case len(changes) == 1 || !bad.take(ch, err):
				return err
			}
		}
		if err := bad.err(); err != nil {
			return err
		}
	}
	for _, ch := range changes {
		r.addToBatch(ch)
	}
	r.addReads()
	r.addAnswer()
	return nil
}

// writeStep is one step of preparing a write. The name is what an explanation calls it.
type writeStep struct {
	name string
	rule bool // a rule that binds publishable keys only
	do   func(*request, *change) error
}

var writeSteps = [...]writeStep{
	{"access", true, mayWrite},             // 1 built-in rules: may this caller write here at all?
	{"document", false, loadBefore},        // 2 the document as it was, and its revision
	{"owner", true, checkOwner},            // 3 built-in rules, on the document as it was
	{"revision", false, checkRevision},     // 4 that the client wants to have seen
	{"id", false, idIsFree},                // 5 that the client chose
	{"schema", false, propose},             // 6 the document as the caller wants it, through the write hooks, to the schema: what will be stored
	{"owner afterwards", true, checkFinal}, // 7 built-in rules again: neither hook nor schema can move ownership
	{"policy", true, askPolicy},            // 8 may this caller turn before into after?
}

// take takes one change through one step.
func (r *request) take(step *writeStep, ch *change, several bool) error {
	if r.explain != nil {
		r.explain.judging(ch, several)
	}
	err := step.do(r, ch)
	if err != nil {
		r.about(ch)
	}
	if r.explain == nil {
		return err
	}
	switch {
	case step.name == "policy" && err == nil && r.role != auth.RoleSecret && r.state.AsksPolicy(r.collection.Name, ch.op):
		return nil // told by each guest that was asked
	case step.rule:
		return r.bound(step.name, err)
	}
	return r.told(step.name, err)
}

// bound is told for a rule that a secret key skips.
func (r *request) bound(name string, err error) error {
	if err == nil && r.role == auth.RoleSecret {
		r.note(name, outcomeSkipped, "A secret key skips it.")
		return nil
	}
	return r.told(name, err)
}

// mayWrite is what can be said before any document is read.
func mayWrite(r *request, ch *change) error {
	switch {
	case r.role == auth.RoleSecret:
		return nil
	case !r.collection.RLS.Enabled:
		return errRLSRequired
	case r.decidedByGuests():
		if err := r.needPolicy(ch.op); err != nil || r.user.UserID != "" || !r.collection.RLS.RequireAuthForWrite {
			return err
		}
	}
	if r.user.UserID == "" {
		return errTokenForWrite
	}
	return nil
}

// loadBefore copies the document as it was, so that no page of the file stays in use while guests run.
func loadBefore(r *request, ch *change) error {
	ch.before, ch.exists = nil, 0
	if ch.op == hooks.OpInsert {
		return nil
	}
	defer r.closeSnapshot()
	doc, err := r.load(ch.id)
	if err != nil {
		return err
	}
	ch.buffers[0] = append(ch.buffers[0][:0], doc.JSON...)
	ch.before, ch.exists = ch.buffers[0], doc.Rev
	return nil
}

// checkOwner holds a publishable key to its own documents.
func checkOwner(r *request, ch *change) error {
	if ch.op == hooks.OpInsert {
		return r.fillOwner(ch)
	}
	if r.role == auth.RoleSecret || r.decidedByGuests() {
		return nil
	}
	own := r.owns(ch.before)
	switch {
	case !own && r.readsOwnOnly():
		return errDocumentNotFound.hiding(errNotOwner) // as a missing one, or an id could be probed
	case ch.op == hooks.OpUpdate && r.movesOwner(ch.body):
		return errOwnerImmutable.saying("%s cannot be changed under RLS.", r.collection.RLS.OwnerField)
	case !own:
		return errNotOwner
	}
	return nil
}

// checkRevision holds an update or delete to the revisions that its headers ask for, or rule out.
func checkRevision(r *request, ch *change) error {
	if ch.op == hooks.OpInsert || len(r.ifMatch) == 0 && len(r.ifNoneMatch) == 0 {
		return nil
	}
	var tag [32]byte
	etag := appendETag(tag[:0], ch.exists)
	switch {
	case len(r.ifMatch) > 0 && !matchesETag(r.ifMatch, etag):
		return errPrecondition
	case len(r.ifNoneMatch) > 0 && matchesETag(r.ifNoneMatch, etag):
		return errPrecondition.saying("The document is at a revision that If-None-Match rules out.")
	}
	return nil
}

// fillOwner makes the caller the owner of what it inserts, and refuses a document in another's name.
func (r *request) fillOwner(ch *change) error {
	if r.role == auth.RoleSecret {
		return nil
	}
	field := r.collection.RLS.OwnerField
	if r.decidedByGuests() { // it is filled in where it is missing, and the policy sees what came of it
		if field != "" && r.user.UserID != "" {
			ch.stamp.Owner.Field, ch.stamp.Owner.ID = field, r.user.UserID
		}
		return nil
	}
	switch owner := ch.body.Get(field); owner.Kind() {
	case jsondoc.Missing, jsondoc.Null:
	case jsondoc.String:
		if text := owner.Text(); len(text) > 0 && string(text) != r.user.UserID {
			return r.ownerMismatch(ch)
		}
	default:
		return r.ownerMismatch(ch)
	}
	ch.stamp.Owner.Field, ch.stamp.Owner.ID = field, r.user.UserID
	return nil
}

// ownerMismatch refuses a document in another's name.
func (r *request) ownerMismatch(ch *change) error {
	return errOwnerMismatch.saying("Item at index %d must have %s equal to your user id", ch.index, r.collection.RLS.OwnerField)
}

// movesOwner reports whether the body names another owner, plainly or by a dotted key.
func (r *request) movesOwner(body jsondoc.Value) bool {
	field := r.collection.RLS.OwnerField
	for key, value := range body.Members() {
		if string(key) == field {
			if value.Kind() != jsondoc.String || string(value.Text()) != r.user.UserID {
				return true
			}
		} else if len(key) > len(field) && string(key[:len(field)]) == field && key[len(field)] == '.' {
			return true
		}
	}
	return false
}

// checkFinal holds the document that will be stored to the ownership rule, whoever last touched it.
func checkFinal(r *request, ch *change) error {
	if r.role == auth.RoleSecret || ch.op == hooks.OpDelete || r.decidedByGuests() {
		return nil
	}
	if !r.owns(ch.after) {
		return r.ownerMismatch(ch)
	}
	return nil
}

// beginBatch starts the batch of this attempt. The rules that it rests on are the first of its needs.
func (r *request) beginBatch() error {
	b := &r.batch
	r.mailed = false
	*b = kv.Batch{Time: r.start.UnixMilli(), Needs: b.Needs[:0], Ops: b.Ops[:0], Meta: append(b.Meta[:0], r.id[:]...)}
	if _, err := rand.Read(b.ID[:]); err != nil {
		return err
	}
	b.Needs = append(b.Needs,
		kv.Need{Kind: kv.NeedSetting, Name: project.SettingConfig, Rev: r.state.ConfigRev},
		kv.Need{Kind: kv.NeedSetting, Name: project.SettingBundle, Rev: r.state.BundleRev})
	return nil
}

// addToBatch adds a change that was allowed, on top of exactly the document that it was allowed on.
func (r *request) addToBatch(ch *change) {
	b, name := &r.batch, ch.rules.Name
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: name, ID: ch.id, Rev: ch.exists})
	op := kv.Op{Kind: kv.OpPut, Collection: name, ID: ch.id, Value: ch.after}
	if ch.op == hooks.OpDelete {
		op.Kind, op.Value = kv.OpDelete, nil
	}
	b.Ops = append(b.Ops, op)
}

// addReads adds what guests have read to what the batch needs: who allowed the write because of it did so for this state only.
func (r *request) addReads() {
	r.batch.Needs = append(r.batch.Needs, r.reader.needs...)
}

// disguise makes a refusal look like a missing document where policies alone decide and the caller may not read the document:
// or an id could be probed.
func (r *request) disguise(ch *change, err error) error {
	if err == nil || ch.op == hooks.OpInsert || ch.exists == 0 || !r.decidedByGuests() {
		return err
	}
	seen := r.mayRead()
	if seen == nil {
		if seen = r.maySeeStored(ch); seen == nil {
			return err
		}
	}
	return errDocumentNotFound.hiding(err)
}

// maySeeStored is maySee for the document that a change is about.
func (r *request) maySeeStored(ch *change) error {
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(ch.rules.Name)
	if !ok {
		return errCollectionNotFound
	}
	return r.maySee(ch.rules, c, &kv.Document{ID: ch.id, Rev: ch.exists, JSON: ch.before})
}

// idIsFree refuses an insert under an id that the client chose and that is taken. Whether the caller may write in that
// name at all was said before.
func idIsFree(r *request, ch *change) error {
	if !ch.chosen {
		return nil
	}
	defer r.closeSnapshot()
	switch _, err := r.load(ch.id); {
	case err == nil:
		return errDocumentExists
	case !errors.Is(err, kv.ErrNotFound):
		return err
	}
	return nil
}

// propose builds what would be stored: the caller's wish, the hooks' rewriting, the schema's verdict.
func propose(r *request, ch *change) error {
	if ch.op == hooks.OpDelete {
		ch.after = nil
		return r.runHooks(ch, nil)
	}
	if err := needObject(ch.body); err != nil {
		return err // said here for an update, whose document must be there and the caller's first
	}
	now := project.Timestamp(r.start)
	ch.stamp.ID, ch.stamp.Updated = ch.id.String(), now
	if ch.op == hooks.OpInsert {
		ch.stamp.Created = now
	}
	hooked := r.state.AsksHook(r.collection.Name, ch.op)
	if ch.op == hooks.OpInsert && !hooked {
		return r.conform(ch, ch.body) // the usual insert is written once
	}
	var err error
	if ch.op == hooks.OpInsert {
		r.scratch, err = project.Candidate(r.scratch[:0], ch.body, ch.stamp)
	} else {
		r.scratch, err = project.Merge(r.scratch[:0], ch.before, ch.body, ch.stamp)
	}
	if err != nil {
		return err
	}
	doc := r.scratch
	if hooked {
		ch.after = doc
		if err := r.runHooks(ch, doc); err != nil {
			return err
		}
		doc = ch.after
	}
	value, err := r.docParser.Parse(doc, jsondoc.Limits{})
	if err != nil {
		return err
	}
	return r.conform(ch, value)
}

// conform lets the schema have the last word on the bytes.
func (r *request) conform(ch *change, doc jsondoc.Value) error {
	var err error
	ch.buffers[1], err = r.collection.Conform(ch.buffers[1][:0], doc, ch.before, ch.stamp)
	ch.after = ch.buffers[1]
	return err
}
