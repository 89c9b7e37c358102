package runtime

import (
	"errors"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// What a caller may read of a collection has three parts, and all of them must agree: the built-in rule, the predicates of the
// bundle's filters, which join every query, and the bundle's read policies, which judge the documents found. Secret keys skip them.

// filters is what the filters of a collection said to this request, once.
type filters struct {
	where []kv.Predicate
	any   []kv.Alternatives
	err   error // their no, or their failure: the caller finds nothing there
}

// narrow restricts a query on the request's collection to what its caller may see, as far as a query can say it. Whatever
// answers from more than one document (a list, a count, an aggregation) asks kv through it, so that none of them can show or
// count what another hides. The rule joins the query rather than sifting its answer: totals and cursors then tell nothing
// either. sifts says that what is found will be shown to the read policies, as a list does; without it, where a read policy is
// bound, the request is refused: what is made of many documents would tell of those that it hides.
func (r *request) narrow(q *kv.Query, sifts bool) error {
	if !sifts && r.asksReader(r.collection, hooks.OpRead) {
		return errNotCountable
	}
	q.Budget = r.state.Config.Limits.Examined
	if r.readsOwnOnly() {
		q.Where = append(q.Where, kv.Predicate{Path: r.collection.RLS.OwnerField, Op: kv.Is, Values: []kv.Value{kv.String(r.user.UserID)}})
	}
	if !r.asksReader(r.collection, hooks.OpFilter) {
		return nil
	}
	f := r.filtersOf(r.collection)
	q.Where = append(q.Where, f.where...)
	q.Any = append(q.Any, f.any...)
	return f.err
}

// asksReader reports whether a filter or read policy binds this caller in a collection.
func (r *request) asksReader(c *project.Collection, op hooks.Op) bool {
	return r.role != auth.RoleSecret && r.state.AsksPolicy(c.Name, op)
}

// filtersOf asks the filters of a collection, the first time.
func (r *request) filtersOf(c *project.Collection) *filters {
	if f := r.filtered[c.Name]; f != nil {
		return f
	}
	f := new(filters)
	if f.err = r.holdGuests(); f.err == nil {
		f.err = r.askFilters(c, f)
	}
	if r.filtered == nil {
		r.filtered = map[string]*filters{}
	}
	r.filtered[c.Name] = f
	return f
}

func (r *request) askFilters(c *project.Collection, f *filters) error {
	ev := r.caller(hooks.OpFilter, c.Name)
	d, err := r.session.Filter(r.context(), &ev)
	if err := r.judged("filter", errPolicyDenied, errPolicyFailed, &d, err); err != nil {
		return err
	}
	for _, text := range d.Filters {
		q, err := parseGuestQuery(text, true)
		if err != nil {
			return r.told("filter", r.guestFailed(errPolicyFailed, err))
		}
		f.where, f.any = append(f.where, q.Where...), append(f.any, q.Any...)
	}
	return nil
}

// maySee judges one document of a collection by its filters and read policies. The built-in rule is the caller's to ask. A no is
// the guest's refusal; whoever answers it makes it look like a missing document.
func (r *request) maySee(rules *project.Collection, c *kv.Collection, doc *kv.Document) error {
	if r.asksReader(rules, hooks.OpFilter) {
		f := r.filtersOf(rules)
		if f.err != nil {
			return f.err
		}
		if len(f.where)+len(f.any) > 0 {
			found, err := r.matches(c, doc.ID, f)
			if err != nil {
				return err
			}
			if !found {
				return r.told("filter", errPolicyDenied.saying("The collection's filter leaves this document out."))
			}
		}
	}
	if !r.asksReader(rules, hooks.OpRead) {
		return nil
	}
	if err := r.holdGuests(); err != nil {
		return err
	}
	page := [1][]byte{doc.JSON}
	ev := r.caller(hooks.OpRead, rules.Name)
	ev.Documents = page[:]
	d, err := r.session.Policy(r.context(), &ev)
	if err := r.judged("policy read", errPolicyDenied, errPolicyFailed, &d, err); err != nil {
		return err
	}
	if d.Allowed != nil && !d.Allowed[0] {
		denied := *errPolicyDenied
		denied.guest = r.lastAsked()
		return r.told("policy read", &denied)
	}
	return nil
}

// matches reports whether filters let a document be found.
func (r *request) matches(c *kv.Collection, id kv.DocID, f *filters) (bool, error) {
	snap, err := r.snapshot()
	if err != nil {
		return false, err
	}
	q := kv.Query{Limit: 1, Any: f.any, Where: append([]kv.Predicate{{Path: "_id", Op: kv.Is, Values: []kv.Value{kv.String(id.String())}}}, f.where...)}
	page, err := snap.Find(r.reading(), c, &q)
	return err == nil && len(page.Docs) == 1, err
}

// hidden turns a guest's no into what a missing document is answered with. A guest that broke is no secret.
func hidden(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.guest == nil || e.guest.cause == nil) && e.isDecision() && e.Status < 500 {
		return errDocumentNotFound.hiding(e)
	}
	return err
}

// judgePage asks the read policies about a page of documents, in one call unless the page is larger than an event may be.
// allowed has an item for each document.
func (r *request) judgePage(docs []kv.Document) (allowed []bool, err error) {
	if err := r.holdGuests(); err != nil {
		return nil, err
	}
	return r.judgeSome(make([]bool, 0, len(docs)), docs)
}

func (r *request) judgeSome(allowed []bool, docs []kv.Document) ([]bool, error) {
	if len(docs) == 0 {
		return allowed, nil
	}
	page := make([][]byte, len(docs))
	for i := range docs {
		page[i] = docs[i].JSON
	}
	ev := r.caller(hooks.OpRead, r.collection.Name)
	ev.Documents = page
	d, err := r.session.Policy(r.context(), &ev)
	if half := len(docs) / 2; half > 0 && errors.Is(err, hooks.ErrEventTooLarge) {
		if allowed, err = r.judgeSome(allowed, docs[:half]); err != nil {
			return nil, err
		}
		return r.judgeSome(allowed, docs[half:])
	}
	no := err == nil && !d.Allow
	d.Allow = d.Allow || no // a no about a page is one about each of its documents, and not about the list
	if err := r.judged("policy read", errPolicyDenied, errPolicyFailed, &d, err); err != nil {
		return nil, err
	}
	for i := range docs {
		allowed = append(allowed, !no && (d.Allowed == nil || d.Allowed[i]))
	}
	return allowed, nil
}

// Bounds of sifting by read policies.
const (
	maxJudged  = 10_000 // documents that the read policies judge for one request
	pageJudged = 200    // of them in one question
)

// visiblePage is Find for a caller whom read policies bind: it goes on until the page is full of documents that the caller may
// see, or nothing is left. What is hidden leaves no trace: a next page is promised only where there is something to see on it, and
// the total is -1, unknown, unless this request has seen everything.
func (r *request) visiblePage(snap *kv.Snapshot, c *kv.Collection, q *kv.Query) (*kv.Page, error) {
	out := &kv.Page{Total: -1}
	rest, skip, from := *q, q.Skip, q.After
	rest.Skip, rest.Total = 0, false
	judged, seen := 0, int64(0)
	for {
		rest.After, rest.Budget = from, q.Budget-out.Examined
		if rest.Budget <= 0 {
			return nil, errQueryTooCostly
		}
		rest.Limit = min(skip+q.Limit-len(out.Docs)+1, pageJudged)
		page, err := snap.Find(r.reading(), c, &rest)
		if err != nil {
			return nil, err
		}
		if out.Examined += page.Examined; len(page.Docs) == 0 {
			break
		}
		if judged += len(page.Docs); judged > maxJudged {
			return nil, errQueryTooCostly.saying("The project's read policy would have to judge more than %d documents. Narrow the query, or give the collection a filter.", maxJudged)
		}
		allowed, err := r.judgePage(page.Docs)
		if err != nil {
			return nil, err
		}
		for i, ok := range allowed {
			switch {
			case !ok:
			case skip > 0:
				skip--
				seen++
			case len(out.Docs) == q.Limit: // one more than asked for: there is a next page
				return out, nil
			default:
				seen++
				out.Docs = append(out.Docs, page.Docs[i])
				if len(out.Docs) == q.Limit {
					if out.Next, err = r.behind(snap, c, &rest, i+1, page); err != nil {
						return nil, err
					}
				}
			}
		}
		if page.Next == nil {
			break
		}
		from = page.Next
	}
	out.Next = nil
	if q.After == nil {
		out.Total = seen
	}
	return out, nil
}

// behind is the position behind the n-th document of a page.
func (r *request) behind(snap *kv.Snapshot, c *kv.Collection, q *kv.Query, n int, page *kv.Page) ([]byte, error) {
	if n == len(page.Docs) {
		return page.Next, nil
	}
	shorter := *q
	shorter.Limit = n
	cut, err := snap.Find(r.reading(), c, &shorter)
	if err != nil {
		return nil, err
	}
	return cut.Next, nil
}

// visibleCount is Count for a caller whom read policies bind.
func (r *request) visibleCount(snap *kv.Snapshot, c *kv.Collection, q *kv.Query) (n int, err error) {
	rest := *q
	rest.Limit, rest.Skip, rest.After, rest.Total, rest.Sort = pageJudged, 0, nil, false, nil
	for judged, examined := 0, 0; ; {
		if rest.Budget = q.Budget - examined; rest.Budget <= 0 {
			return 0, errQueryTooCostly
		}
		page, err := snap.Find(r.reading(), c, &rest)
		if err != nil {
			return 0, err
		}
		examined += page.Examined
		if judged += len(page.Docs); judged > maxJudged {
			return 0, errQueryTooCostly.saying("The project's read policy would have to judge more than %d documents. Narrow the query.", maxJudged)
		}
		allowed, err := r.judgePage(page.Docs)
		if err != nil {
			return 0, err
		}
		if n += count(allowed); page.Next == nil {
			return n, nil
		}
		rest.After = page.Next
	}
}
