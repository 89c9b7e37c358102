package runtime

import "github.com/sluice-edge/sluice/kv"

// restrict narrows a query on the request's collection to what its caller may see. Whatever answers from more than one
// document (a list, a count, an aggregation) asks kv through it, so that none of them can show or count what another
// hides. The rule joins the query rather than sifting its answer: totals and cursors then tell nothing either.
func (r *request) restrict(q *kv.Query) {
	if r.readsOwnOnly() {
		q.Where = append(q.Where, kv.Predicate{Path: r.collection.RLS.OwnerField, Op: kv.Is, Values: []kv.Value{kv.String(r.user.UserID)}})
	}
}
