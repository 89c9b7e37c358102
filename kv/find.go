package kv

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// checkEvery is after how many documents a query looks at its context.
const checkEvery = 1000

// Find answers a query. A damaged document that it meets is a CorruptError,
// never a document left out. A query beyond its budget is a BudgetError.
func (s *Snapshot) Find(ctx context.Context, c *Collection, q *Query) (page *Page, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	f, err := newFinder(ctx, s, c, q)
	if err != nil {
		return nil, err
	}
	if err = f.plan(false); err == nil {
		err = f.run()
	}
	if err != nil {
		return nil, fmt.Errorf("kv: find in %s: %w", c.Name, err)
	}
	return f.page, nil
}

// Count counts the documents that match Where and Any; of the rest of the query
// only the budget matters. Without conditions it costs nothing, nor much with
// predicates that one index answers; otherwise it looks at documents.
func (s *Snapshot) Count(ctx context.Context, c *Collection, q *Query) (n int, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	if len(q.Where) == 0 && len(q.Any) == 0 {
		st, err := s.State(c)
		return int(st.Documents), err
	}
	f, err := newFinder(ctx, s, c, &Query{Where: q.Where, Any: q.Any, Budget: q.Budget, Total: true})
	if err != nil {
		return 0, err
	}
	f.counting = true
	if err = f.plan(false); err == nil {
		n, err = f.count()
	}
	if err != nil {
		return 0, fmt.Errorf("kv: count in %s: %w", c.Name, err)
	}
	return n, nil
}

func (f *finder) count() (n int, err error) {
	if f.chosen.covered {
		total, err := f.total()
		return int(total), err
	}
	err = f.candidates(func(Document) bool { n++; return true })
	return n, err
}

// finder runs one query.
type finder struct {
	ctx      context.Context
	s        *Snapshot
	c        *Collection
	q        *Query
	filter   *filter
	counting bool // no documents are wanted

	chosen     candidate
	considered []candidate // when it was asked for

	skip, limit, budget int

	order []SortKey // empty: by id
	desc  bool      // ids descending

	page *Page
	err  error
}

func newFinder(ctx context.Context, s *Snapshot, c *Collection, q *Query) (*finder, error) {
	f := &finder{ctx: ctx, s: s, c: c, q: q, skip: q.Skip, limit: q.Limit, budget: q.Budget,
		desc: true, page: &Page{Total: -1}}
	if f.limit == 0 {
		f.limit = DefaultLimit
	}
	if f.budget == 0 {
		f.budget = DefaultBudget
	}
	if f.skip < 0 || f.limit < 0 || f.budget < 0 {
		return nil, fmt.Errorf("kv: find in %s: a negative bound", c.Name)
	}
	var err error
	if f.filter, err = compile(q); err != nil {
		return nil, err
	}
	f.order = q.Sort
	if len(f.order) > 0 {
		f.desc = f.order[len(f.order)-1].Desc
		// The id decides; what is behind it never does.
		if i := slices.IndexFunc(f.order, func(k SortKey) bool { return k.Path == fieldID }); i >= 0 {
			f.desc, f.order = f.order[i].Desc, f.order[:i]
		}
	}
	if len(f.order) == 0 && q.After != nil && len(q.After) != len(DocID{}) {
		return nil, fmt.Errorf("kv: find in %s: the position is not one of this order", c.Name)
	}
	return f, nil
}

// walksAll says that every match is looked at, for the total.
func (f *finder) walksAll() bool {
	return f.q.Total && f.filter.terms() > 0 && !f.chosen.covered
}

// total counts what matches without looking at documents.
func (f *finder) total() (int64, error) {
	if x, ok := f.chosen.source.(*indexSource); ok && f.filter.terms() > 0 {
		return x.count(f.ctx, f.budget)
	}
	st, err := f.s.State(f.c)
	return st.Documents, err
}

func (f *finder) run() (err error) {
	if f.q.Total && !f.walksAll() {
		if f.page.Total, err = f.total(); err != nil {
			return err
		}
	}
	if f.chosen.streams {
		return f.inOrder()
	}
	f.page.Plan += "+sort"
	return f.sorted()
}

// candidates yields the documents that match, in the order of the source.
func (f *finder) candidates(yield func(Document) bool) error {
	x, _ := f.chosen.source.(*indexSource)
	err := f.chosen.source.each(f.desc, func(id DocID, stored []byte) bool {
		if f.page.Examined%checkEvery == checkEvery-1 && f.ctx.Err() != nil {
			f.err = context.Cause(f.ctx)
			return false
		}
		if f.page.Examined >= f.budget {
			f.err = &BudgetError{Examined: f.page.Examined, Fields: f.helpful(), Suggest: f.suggest()}
			return false
		}
		f.page.Examined++
		var d Document
		if d, f.err = openDoc(f.c, id, stored); f.err != nil {
			return false
		}
		matched := f.filter.match(d)
		if x != nil {
			if f.err = x.prove(f, d, matched); f.err != nil {
				return false
			}
		}
		return !matched || yield(d)
	})
	if f.err != nil {
		return f.err
	}
	return err
}

// helpful lists the fields on which an index would help.
func (f *finder) helpful() []string {
	out := f.filter.fields()
	for _, k := range f.order {
		out = append(out, k.Path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// suggest lists the fields of the index that would serve the query best: the
// fixed ones, then those of the order, or else one that is bounded.
func (f *finder) suggest() []string {
	var out []string
	add := func(path string) {
		if path != fieldID && len(out) < MaxOrderedFields && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	bounded := ""
	for i := range f.filter.preds {
		switch p := &f.filter.preds[i]; p.Op {
		case Eq, In, Is, Has:
			add(p.Path)
		case Gt, Gte, Lt, Lte:
			bounded = p.Path
		}
	}
	for _, k := range f.order {
		add(k.Path)
	}
	if bounded != "" && len(f.order) == 0 {
		add(bounded)
	}
	return out
}

// inOrder takes the documents as they come and stops when the page is full.
func (f *finder) inOrder() error {
	total, more, all := int64(0), false, f.walksAll()
	// Looking for one more match may cost a whole scan; a page that turns out
	// empty is cheaper. Who walks everything for the total sees it anyway, and
	// must say so: a next page that only others' documents promise tells of them.
	blind := f.chosen.residual > 0 && !all
	_, placed := f.chosen.source.(*indexSource)
	placed = placed && !all // it begins behind After by itself
	err := f.candidates(func(d Document) bool {
		total++
		if f.q.After != nil && !placed && !f.behind(d) {
			return true
		}
		if f.skip > 0 {
			f.skip--
			return true
		}
		if len(f.page.Docs) < f.limit {
			if f.page.Docs == nil {
				f.page.Docs = make([]Document, 0, min(f.limit, 128))
			}
			f.page.Docs = append(f.page.Docs, d)
			more = len(f.page.Docs) == f.limit && blind
			return !more || all
		}
		more = true
		return all
	})
	if err != nil {
		return err
	}
	if all {
		f.page.Total = total
	}
	if n := len(f.page.Docs); more && n > 0 {
		f.page.Next = f.position(nil, f.page.Docs[n-1])
	}
	return nil
}

// position appends the place of a document in the order asked for, as in
// Query.After. It is the same by every plan: the next page may have another.
func (f *finder) position(dst []byte, d Document) []byte {
	if len(f.order) == 0 {
		return append(dst, d.ID[:]...)
	}
	return f.sortKey(dst, d)
}

func (f *finder) behind(d Document) bool {
	if len(f.order) == 0 {
		order := bytes.Compare(d.ID[:], f.q.After)
		return order != 0 && (order < 0) == f.desc
	}
	f.s.scratch = f.sortKey(f.s.scratch[:0], d)
	return bytes.Compare(f.s.scratch, f.q.After) > 0
}

// sorted looks at everything and keeps the best skip+limit documents in a
// heap with the worst on top.
func (f *finder) sorted() error {
	h := &worstFirst{}
	keep := f.budget // no more documents than that are looked at
	if f.skip < keep && f.limit < keep-f.skip {
		keep = f.skip + f.limit
	}
	total, behind := int64(0), 0
	var key []byte
	err := f.candidates(func(d Document) bool {
		total++
		if f.q.After != nil && !f.behind(d) {
			return true
		}
		behind++
		key = f.sortKey(key[:0], d)
		h.offer(key, d, keep)
		return true
	})
	if err != nil {
		return err
	}
	if f.walksAll() {
		f.page.Total = total
	}
	slices.SortFunc(h.list, func(a, b ranked) int { return bytes.Compare(a.key, b.key) })
	for _, r := range h.list[min(f.skip, len(h.list)):] {
		f.page.Docs = append(f.page.Docs, r.doc)
	}
	if n := len(f.page.Docs); n > 0 && behind > len(h.list) {
		f.page.Next = f.position(nil, f.page.Docs[n-1])
	}
	return nil
}

// sortKey appends a key whose byte order is the order asked for.
func (f *finder) sortKey(dst []byte, d Document) []byte {
	for _, k := range f.order {
		start := len(dst)
		dst = appendSortKey(dst, d, k.Path)
		if k.Desc {
			complement(dst[start:])
		}
	}
	start := len(dst)
	dst = append(dst, d.ID[:]...)
	if f.desc {
		complement(dst[start:])
	}
	return dst
}

// appendSortKey appends the key of what a sort looks at under a path.
func appendSortKey(dst []byte, d Document, path string) []byte {
	if raw, ok := jsondoc.Lookup(d.JSON, path); ok {
		return AppendKey(dst, raw)
	}
	return append(dst, tagNull)
}

// complement turns the order of keys around: none is a prefix of another.
func complement(key []byte) {
	for i := range key {
		key[i] = ^key[i]
	}
}

// ranked is a document and its place in the order.
type ranked struct {
	key []byte
	doc Document
}

// worstFirst is a binary heap with the largest key on top.
type worstFirst struct{ list []ranked }

// offer takes a document in if it is among the best keep ones. key is copied.
func (h *worstFirst) offer(key []byte, d Document, keep int) {
	if len(h.list) < keep {
		h.list = append(h.list, ranked{slices.Clone(key), d})
		h.up(len(h.list) - 1)
		return
	}
	if keep == 0 || bytes.Compare(key, h.list[0].key) >= 0 {
		return
	}
	h.list[0] = ranked{append(h.list[0].key[:0], key...), d}
	h.down(0)
}

func (h *worstFirst) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if bytes.Compare(h.list[parent].key, h.list[i].key) >= 0 {
			return
		}
		h.list[parent], h.list[i] = h.list[i], h.list[parent]
		i = parent
	}
}

func (h *worstFirst) down(i int) {
	for {
		largest := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.list); child++ {
			if bytes.Compare(h.list[child].key, h.list[largest].key) > 0 {
				largest = child
			}
		}
		if largest == i {
			return
		}
		h.list[i], h.list[largest] = h.list[largest], h.list[i]
		i = largest
	}
}
