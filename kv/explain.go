package kv

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// Explanation says how a query was answered.
type Explanation struct {
	Plan       string // as Page.Plan
	Considered []Considered
	Building   []string // indexes of the collection that are not complete yet
	Examined   int      // documents read
	Returned   int
	Total      int64         // as Page.Total
	Duration   time.Duration // filled in by the caller: kv has no clock
}

// Considered is one plan that was weighed for a query.
type Considered struct {
	Plan string // without "+sort"
	// Keys is how many documents or index entries it would go through if it
	// could not stop early.
	Keys int
	// Guessed: Keys was not counted to the end but guessed.
	Guessed bool
	// Ordered: it finds documents in the order asked for, so that it can stop
	// when the page is full; otherwise they are sorted.
	Ordered bool
	// Covered: it counts the matching documents without reading them.
	Covered bool
	// Residual is how many predicates only the documents themselves answer.
	Residual int
	// Cost is in scanned documents; the cheapest plan is taken.
	Cost   float64
	Chosen bool
}

// Explain answers a query and says how. Unlike Find it weighs every plan, also
// when one is obviously the best; it chooses the same way.
func (s *Snapshot) Explain(ctx context.Context, c *Collection, q *Query) (e *Explanation, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	f, err := newFinder(ctx, s, c, q)
	if err != nil {
		return nil, err
	}
	if err = f.plan(true); err == nil {
		err = f.run()
	}
	if err != nil {
		return nil, fmt.Errorf("kv: explain in %s: %w", c.Name, err)
	}
	e = &Explanation{Plan: f.page.Plan, Examined: f.page.Examined, Returned: len(f.page.Docs), Total: f.page.Total}
	for i := range c.Indexes {
		if s.v.builds.find(c.Indexes[i].ID) != nil {
			e.Building = append(e.Building, c.Indexes[i].Name)
		}
	}
	chosen := strings.TrimSuffix(f.page.Plan, "+sort")
	for i := range f.considered {
		k := &f.considered[i]
		w := Considered{Plan: "scan", Keys: k.keys, Guessed: k.guessed, Ordered: k.streams, Covered: k.covered,
			Residual: k.residual, Cost: k.cost}
		if k.source != nil {
			w.Plan = k.source.name()
		}
		w.Chosen = w.Plan == chosen
		e.Considered = append(e.Considered, w)
	}
	if e.Considered == nil { // looked up: nothing else was weighed
		e.Considered = []Considered{{Plan: chosen, Keys: e.Examined, Ordered: f.chosen.streams,
			Residual: f.chosen.residual, Cost: float64(e.Examined), Chosen: true}}
	}
	return e, nil
}
