package kv

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// candidate is one way to answer a query.
type candidate struct {
	source  source
	streams bool // it yields in the order asked for
	// covered: the source alone says how many documents match.
	covered  bool
	used     []*pred // predicates that narrow it
	residual int     // predicates that do not
	equal    int     // leading fields of the index that are fixed
	ranged   bool    // and one behind them is bounded

	keys    int  // entries or documents it goes through, counted or guessed
	guessed bool // keys is a guess: there are more than were counted
	cost    float64
}

const (
	maxSpans    = 256  // of one source
	maxEstimate = 1000 // keys counted for each candidate
	// indexCost is what a document by way of an index costs, a scanned one
	// costing 1: it is looked up by itself.
	indexCost = 2
	// blindShare is the share of documents that a predicate is taken to let
	// pass when no index knows.
	blindShare = 0.1
)

// plan picks the cheapest source. With explain it estimates all of them.
func (f *finder) plan(explain bool) error {
	if src := f.lookup(); src != nil {
		f.choose(candidate{source: src, streams: len(f.order) == 0, residual: f.filter.terms()})
		return nil
	}
	all := candidate{streams: len(f.order) == 0, residual: f.filter.terms()}
	all.covered = all.residual == 0
	var list []candidate
	if all.residual > 0 || !all.streams || explain {
		for _, n := range f.c.ordered {
			x, ok, err := f.byIndex(&f.c.Indexes[n])
			if err != nil {
				return err
			}
			if ok {
				list = append(list, x)
			}
		}
		unions, err := f.unions()
		if err != nil {
			return err
		}
		list = append(list, unions...)
	}
	if pick := f.s.db.testPlan; pick != nil && len(list) > 0 {
		list = append(list, all)
		f.choose(list[pick(len(list))])
		return nil
	}
	best := f.obvious(list)
	if best != nil && !explain {
		f.choose(*best)
		return nil
	}
	if len(list) > 0 || explain {
		list = append(list, all)
		if err := f.estimate(list); err != nil {
			return err
		}
		f.considered = list
		all = slices.MinFunc(list, func(a, b candidate) int {
			if a.cost < b.cost {
				return -1
			} else if a.cost > b.cost {
				return 1
			}
			return better(&a, &b)
		})
	}
	if best != nil {
		all = *best
	}
	f.choose(all)
	return nil
}

// choose settles for a candidate.
func (f *finder) choose(c candidate) {
	f.chosen = c
	if c.source == nil {
		f.chosen.source = f.scan()
	}
	f.page.Plan = f.chosen.source.name()
	if x, ok := c.source.(*indexSource); ok {
		if f.walksAll() || !x.ordered {
			for part := range x.parts {
				part.after = nil
			}
		}
		if x.ordered && x.pure && !f.walksAll() {
			x.skip, f.skip = f.skip, 0
		}
	}
}

// obvious returns a candidate so good that nothing need be counted: it reads
// the page and no more, or counts without reading any document.
func (f *finder) obvious(list []candidate) (best *candidate) {
	for i := range list {
		c := &list[i]
		switch {
		case c.residual > 0, f.q.Total && !c.covered:
			continue
		case !f.counting && (!c.streams || f.need() > maxEstimate):
			continue
		}
		if best == nil || better(c, best) < 0 {
			best = c
		}
	}
	return best
}

// better orders candidates of equal cost.
func better(a, b *candidate) int {
	if a.streams != b.streams {
		if a.streams {
			return -1
		}
		return 1
	}
	if a.equal != b.equal {
		return b.equal - a.equal
	}
	if a.ranged != b.ranged {
		if a.ranged {
			return -1
		}
		return 1
	}
	return a.width() - b.width()
}

func (c *candidate) width() int {
	if x, ok := c.source.(*indexSource); ok {
		return len(x.x.Fields)
	}
	return 0
}

// need is how many matches in order fill the page.
func (f *finder) need() int {
	if f.skip > math.MaxInt-1-f.limit {
		return math.MaxInt
	}
	return f.skip + f.limit + 1
}

// estimate fills in keys and cost.
func (f *finder) estimate(list []candidate) error {
	st, err := f.s.State(f.c)
	if err != nil {
		return err
	}
	documents := int(st.Documents)
	share := 1.0 // of the documents that matches are, by the most selective index
	for i := range list {
		c := &list[i]
		x, ok := c.source.(*indexSource)
		if !ok {
			c.keys = documents
		} else {
			for part := range x.parts {
				c.keys += countKeys(part.b, part.spans, maxEstimate-c.keys)
			}
			if c.guessed = c.keys >= maxEstimate; c.guessed {
				switch {
				case c.ranged:
					c.keys = max(maxEstimate, documents/3)
				case c.equal > 0:
					c.keys = max(maxEstimate, documents/10)
				default:
					c.keys = documents
				}
			}
		}
		mine := math.Pow(blindShare, float64(c.residual)) * float64(c.keys) / float64(max(documents, 1))
		share = min(share, mine)
	}
	for i := range list {
		c := &list[i]
		examined := float64(c.keys)
		matches := share * float64(documents)
		if c.residual == 0 {
			matches = examined
		}
		switch {
		case f.counting && c.covered:
			examined /= 100
		case f.q.Total && !c.covered || !c.streams || f.counting:
		case float64(f.need()) < matches:
			examined *= float64(f.need()) / matches
		}
		c.cost = examined
		if _, ok := c.source.(*indexSource); ok {
			c.cost *= indexCost
		}
		if examined > float64(f.budget) {
			c.cost *= 10 // it will not get there
		}
	}
	return nil
}

// byIndex works out how an ordered index would answer the query; ok is false
// when it would be of no use, or is not there or not complete in this snapshot.
func (f *finder) byIndex(x *Index) (c candidate, ok bool, err error) {
	first := func(k SortKey) bool { return k.Path == x.Fields[0] }
	if !slices.ContainsFunc(f.filter.preds, func(p pred) bool { return p.Path == x.Fields[0] }) && !slices.ContainsFunc(f.order, first) {
		return c, false, nil
	}
	b := f.s.tx.Bucket(x.bucket)
	if b == nil || f.s.v.builds.find(x.ID) != nil {
		return c, false, nil
	}
	u, err := readUneven(b, x)
	if err != nil {
		return c, false, err
	}
	src := &indexSource{s: f.s, c: f.c, x: x, b: b}
	c = candidate{source: src, residual: f.filter.terms()}
	var fixed [][]byte // the one key of a fixed field, nil if it has several
	prefixes := [][]byte{nil}
	whole := true
	for i, path := range x.Fields {
		list, used := f.filter.on(path, u.fields[i] == 0)
		if len(used) == 0 || len(prefixes)*len(list) > maxSpans {
			break
		}
		for _, p := range used {
			if p.whole {
				src.exact = append(src.exact, p.pred)
			}
			c.used, c.residual, whole = append(c.used, p.pred), c.residual-1, whole && p.whole
		}
		if !allPoints(list) {
			c.ranged = true
			for _, p := range prefixes {
				for _, iv := range list {
					src.spans = append(src.spans, span{slices.Concat(p, iv.low), slices.Concat(p, iv.high), len(p)})
				}
			}
			break
		}
		c.equal++
		next := make([][]byte, 0, len(prefixes)*len(list))
		for _, p := range prefixes {
			for _, iv := range list {
				next = append(next, slices.Concat(p, iv.low))
			}
		}
		prefixes = next
		if len(list) == 1 && u.fields[i] == 0 {
			fixed = append(fixed, list[0].low)
		} else {
			fixed = append(fixed, nil)
		}
	}
	if !c.ranged && c.equal > 0 {
		for _, p := range prefixes {
			src.spans = append(src.spans, span{p, prefixEnd(p), len(p)})
		}
	} else if !c.ranged {
		src.spans = []span{everything}
	}
	even := u == (uneven{})
	c.covered = f.filter.terms() == 0 || c.residual == 0 && whole && (even || u.loose == 0 && len(src.spans) == 1 && c.equal == len(x.Fields))
	src.repeats = !even
	f.followOrder(&c, src, &u, fixed)
	src.pure = c.streams && c.residual == 0 && whole && u.loose == 0
	if u.loose > 0 && len(src.spans) > 0 {
		src.spans = append(src.spans, loose)
	}
	return c, c.equal > 0 || c.ranged || c.streams, nil
}

// followOrder finds out whether the entries are in the order asked for, and
// where in them the page begins. What follows the fixed fields must be the sort
// keys, all in the direction of the ids; leading sort keys that are fixed
// themselves say nothing.
func (f *finder) followOrder(c *candidate, src *indexSource, u *uneven, fixed [][]byte) {
	order, after := f.order, f.q.After
	for len(order) > 0 {
		at := slices.Index(src.x.Fields[:c.equal], order[0].Path)
		if at < 0 || fixed[at] == nil {
			break
		}
		if after != nil {
			key := fixed[at]
			if order[0].Desc {
				key = slices.Clone(key)
				complement(key)
			}
			if !bytes.HasPrefix(after, key) {
				return // a position from when the field was not even
			}
			after = after[len(key):]
		}
		order = order[1:]
	}
	rest := src.x.Fields[c.equal:]
	if len(order) != len(rest) {
		return
	}
	for i, k := range order {
		if k.Path != rest[i] || k.Desc != f.desc || u.fields[c.equal+i] != 0 {
			return
		}
	}
	c.streams, src.ordered = true, true
	if len(rest) > 0 {
		src.rest = rest
	}
	if after != nil {
		src.after = slices.Clone(after)
		if len(f.order) > 0 && f.desc {
			complement(src.after)
		}
	}
}

// usedPred is a predicate that narrows an index; whole says that it does so
// exactly.
type usedPred struct {
	*pred
	whole bool
}

// on returns the keys that the predicates on a path leave. In an even field
// each document has one value, which must fulfil them all; in another, several
// values may fulfil one each, and only one predicate can be used.
func (f *filter) on(path string, even bool) (list []interval, used []usedPred) {
	for i := range f.preds {
		p := &f.preds[i]
		if p.Path != path {
			continue
		}
		mine, whole, ok := p.intervals()
		nested := strings.IndexByte(path, '.') >= 0
		switch {
		case p.Op == Has: // what is no array has entries, too
			whole = false
		case p.Op == Is, p.Plain: // so have elements, and what is found through an array
			whole = whole && even && !(p.Plain && nested)
		}
		ok = ok && !(p.Plain && nested && p.null) // what is found through an array counts as missing, and has other entries
		switch {
		case !ok:
		case len(used) == 0:
			list, used = mine, append(used, usedPred{p, whole})
		case even:
			list, used = intersect(list, mine), append(used, usedPred{p, whole})
		case !allPoints(list) && allPoints(mine):
			list, used[0] = mine, usedPred{p, whole}
		}
	}
	return list, used
}
