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
	if err := f.run(); err != nil {
		return nil, fmt.Errorf("kv: find in %s: %w", c.Name, err)
	}
	return f.page, nil
}

// Count counts the documents that match. Without a predicate it costs nothing;
// with one it looks at up to budget documents (0: DefaultBudget).
func (s *Snapshot) Count(ctx context.Context, c *Collection, where []Predicate, budget int) (n int, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	if len(where) == 0 {
		st, err := s.State(c)
		return int(st.Documents), err
	}
	f, err := newFinder(ctx, s, c, &Query{Where: where, Budget: budget})
	if err != nil {
		return 0, err
	}
	err = f.candidates(func(Document) bool { n++; return true })
	if err != nil {
		return 0, fmt.Errorf("kv: count in %s: %w", c.Name, err)
	}
	return n, nil
}

// finder runs one query.
type finder struct {
	ctx    context.Context
	s      *Snapshot
	c      *Collection
	q      *Query
	filter *filter
	source source

	skip, limit, budget int

	order []SortKey // empty: by id
	desc  bool      // ids descending
	after *DocID    // with an empty order

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
	if f.filter, err = compile(q.Where); err != nil {
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
	if len(f.order) == 0 && q.After != nil {
		if len(q.After) != len(DocID{}) {
			return nil, fmt.Errorf("kv: find in %s: the position is not one of this order", c.Name)
		}
		f.after = (*DocID)(q.After)
	}
	start := f.after
	if f.countsAll() {
		start = nil // the total is of everything
	}
	f.source = s.plan(c, f.filter, start, f.desc)
	f.page.Plan = f.source.name()
	return f, nil
}

// countsAll says that the total must be counted on the way.
func (f *finder) countsAll() bool { return f.q.Total && len(f.q.Where) > 0 }

func (f *finder) run() error {
	if f.q.Total && len(f.q.Where) == 0 {
		st, err := f.s.State(f.c)
		if err != nil {
			return err
		}
		f.page.Total = st.Documents
	}
	if len(f.order) > 0 {
		return f.sorted()
	}
	return f.inOrder()
}

// candidates yields the documents that match, in the order of the source.
func (f *finder) candidates(yield func(Document) bool) error {
	err := f.source.each(f.desc, func(id DocID, stored []byte) bool {
		if f.page.Examined%checkEvery == checkEvery-1 && f.ctx.Err() != nil {
			f.err = context.Cause(f.ctx)
			return false
		}
		if f.page.Examined >= f.budget {
			f.err = &BudgetError{Examined: f.page.Examined, Fields: f.helpful()}
			return false
		}
		f.page.Examined++
		d, err := openDoc(f.c, id, stored)
		if err != nil {
			f.err = err
			return false
		}
		return !f.filter.match(d) || yield(d)
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

// inOrder takes the documents as they come and stops when the page is full.
func (f *finder) inOrder() error {
	total, more := int64(0), false
	err := f.candidates(func(d Document) bool {
		total++
		if f.after != nil && !f.behind(d.ID) {
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
			// Looking for one more match may cost a whole scan; a page that
			// turns out empty is cheaper.
			more = len(f.page.Docs) == f.limit && len(f.filter.preds) > 0
			return !more || f.countsAll()
		}
		more = true
		return f.countsAll()
	})
	if err != nil {
		return err
	}
	if f.countsAll() {
		f.page.Total = total
	}
	if n := len(f.page.Docs); more && n > 0 {
		f.page.Next = slices.Clone(f.page.Docs[n-1].ID[:])
	}
	return nil
}

func (f *finder) behind(id DocID) bool {
	order := bytes.Compare(id[:], f.after[:])
	return order != 0 && (order < 0) == f.desc
}

// sorted looks at everything and keeps the best skip+limit documents in a
// heap with the worst on top.
func (f *finder) sorted() error {
	f.page.Plan += "+sort"
	h := &worstFirst{}
	keep := f.budget // no more documents than that are looked at
	if f.skip < keep && f.limit < keep-f.skip {
		keep = f.skip + f.limit
	}
	total, behind := int64(0), 0
	var key []byte
	err := f.candidates(func(d Document) bool {
		total++
		key = f.sortKey(key[:0], d)
		if f.q.After != nil && bytes.Compare(key, f.q.After) <= 0 {
			return true
		}
		behind++
		h.offer(key, d, keep)
		return true
	})
	if err != nil {
		return err
	}
	if f.q.Total {
		f.page.Total = total
	}
	slices.SortFunc(h.list, func(a, b ranked) int { return bytes.Compare(a.key, b.key) })
	for _, r := range h.list[min(f.skip, len(h.list)):] {
		f.page.Docs = append(f.page.Docs, r.doc)
	}
	if len(f.page.Docs) > 0 && behind > len(h.list) {
		f.page.Next = h.list[len(h.list)-1].key
	}
	return nil
}

// sortKey appends a key whose byte order is the order asked for.
func (f *finder) sortKey(dst []byte, d Document) []byte {
	for _, k := range f.order {
		start := len(dst)
		if raw, ok := jsondoc.Lookup(d.JSON, k.Path); ok {
			dst = AppendKey(dst, raw)
		} else {
			dst = append(dst, tagNull)
		}
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
