package kv

import "slices"

// unions works out how several indexes together would find what fulfils one of
// the query's Alternatives: one index for each choice, their entries merged. It
// is what makes a rule like "mine, or public" cost what it shows, and not what
// it hides.
func (f *finder) unions() (list []candidate, err error) {
	for i := range f.filter.any {
		c, ok, err := f.union(f.filter.any[i])
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// union is the candidate for one of the Alternatives; ok is false when one of
// its choices is narrowed by no index.
func (f *finder) union(choices alternatives) (c candidate, ok bool, err error) {
	spans, answered := 0, true
	var src *indexSource
	for _, preds := range choices {
		part, ok, err := f.part(preds)
		if err != nil || !ok {
			return c, false, err
		}
		x := part.source.(*indexSource)
		x.exact = nil // it holds for this part only
		if answered = answered && part.residual == 0; src == nil {
			c, src = part, x
		} else {
			c.streams = c.streams && part.streams && slices.Equal(src.rest, x.rest)
			c.equal, c.ranged = min(c.equal, part.equal), c.ranged || part.ranged
			src.more = append(src.more, x)
		}
		if spans += len(x.spans); spans > maxSpans {
			return c, false, nil
		}
	}
	if src == nil {
		return c, false, nil // nothing fulfils it; a scan finds that out
	}
	src.pure = false // a document may have an entry in several parts
	if src.ordered = c.streams; !c.streams {
		src.rest = nil
	}
	c.covered, c.used = false, nil
	if c.residual = f.filter.terms(); answered {
		c.residual = len(f.filter.any) - 1
	}
	return c, true, nil
}

// part finds the index that serves one choice best, together with what must hold
// anyway.
func (f *finder) part(preds []pred) (best candidate, found bool, err error) {
	g := *f
	g.filter = &filter{preds: slices.Concat(preds, f.filter.preds)}
	for _, n := range f.c.ordered {
		c, ok, err := g.byIndex(&f.c.Indexes[n])
		if err != nil {
			return best, false, err
		}
		if ok && (c.equal > 0 || c.ranged) && (!found || better(&c, &best) < 0) {
			best, found = c, true
		}
	}
	return best, found, nil
}
