package runtime

import (
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/aggregate"
)

var (
	errAggregateShape   = reason(400, "aggregate.malformed", "Pipeline must contain at least one stage.")
	errAggregateBlocked = reason(400, "aggregate.blocked", "Aggregation pipeline contains blocked stage.")
	errAggregateInvalid = reason(400, "aggregate.invalid", "The aggregation pipeline is not valid.")
	errAggregateLarge   = reason(400, "aggregate.too_large", "The aggregation would take too much.")
)

// aggregateDocuments answers POST /api/data/{collection}/aggregate: a pipeline over the documents that a list would show
// this caller, and no others.
func aggregateDocuments(r *request) error {
	if err := r.bound("access", r.mayRead()); err != nil {
		return err
	}
	pipeline, err := aggregate.Parse(r.body)
	if err != nil {
		return aggregateError(err)
	}
	// In the order of insertion, which $first, $last, $push and $limit go by.
	q := kv.Query{Where: pipeline.Where(), Sort: []kv.SortKey{{Path: "_id"}}}
	if err := r.told("scope", r.narrow(&q, false)); err != nil {
		return err
	}
	q.Limit = q.Budget // no more can be found
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(r.collection.Name)
	if !ok {
		return errCollectionNotFound
	}
	page, err := snap.Find(r.reading(), c, &q)
	if err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"success":true,"data":`...)
	b, err = pipeline.Append(r.reading(), b, documentTexts(page.Docs), aggregate.Limits{})
	if err != nil {
		return aggregateError(err)
	}
	return r.done(append(b, `,"message":"Aggregation executed successfully."}`...))
}

// documentTexts yields what documents hold, borrowed as they are.
func documentTexts(docs []kv.Document) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i := range docs {
			if !yield(docs[i].JSON) {
				return
			}
		}
	}
}

// aggregateError says what is wrong with a pipeline.
func aggregateError(err error) error {
	var e *aggregate.Error
	if !errors.As(err, &e) {
		return err
	}
	row := errAggregateInvalid
	switch e.Fault {
	case aggregate.Malformed:
		row = errAggregateShape
	case aggregate.Blocked:
		row = errAggregateBlocked
	case aggregate.TooLarge:
		row = errAggregateLarge
	}
	return row.saying("%s", e.Message)
}
