package runtime

import (
	"errors"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// maxBulk is how many documents one request may insert.
const maxBulk = 100

var (
	errBulkNotArray = reason(400, "bulk.not_array", "Request body must be an array of objects")
	errBulkEmpty    = reason(400, "bulk.empty", "Request body cannot be empty")
	errBulkTooMany  = reason(400, "bulk.too_many", "Maximum 100 records allowed")
	errBulkInvalid  = reason(400, "bulk.invalid_records", "Invalid records at index: 0")
)

// insertDocuments answers POST /api/data/{collection}/bulk: up to 100 documents, all of them or none. Each goes through
// the same rules as if it came alone.
func insertDocuments(r *request) error {
	if err := mayWrite(r, &change{op: hooks.OpInsert}); err != nil {
		r.subject.op = hooks.OpInsert
		return r.told("access", err)
	}
	changes, err := r.bulkChanges()
	if err != nil {
		return err
	}
	return r.writeOnce(changes, fasthttp.StatusCreated, func(b []byte) []byte {
		b = append(b, `{"success":true,"data":{"insertedCount":`...)
		b = strconv.AppendInt(b, int64(len(changes)), 10)
		return append(b, `},"message":"Bulk insert successful"}`...)
	})
}

// bulkChanges reads the array of the body.
func (r *request) bulkChanges() ([]*change, error) {
	switch {
	case r.body.Kind() != jsondoc.Array:
		return nil, errBulkNotArray
	case r.body.Len() == 0:
		return nil, errBulkEmpty
	case r.body.Len() > maxBulk:
		return nil, errBulkTooMany
	}
	list := make([]change, r.body.Len())
	changes := make([]*change, len(list))
	for i, item := range r.body.Items() {
		if item.Kind() != jsondoc.Object {
			return nil, errBulkNotArray
		}
		list[i] = change{op: hooks.OpInsert, rules: r.collection, index: i, body: item}
		changes[i] = &list[i]
	}
	return changes, nil
}

// badRecords gathers the records that a step refuses for their own sake, so that the caller learns of all at once.
type badRecords struct {
	at    []int
	first *project.SchemaError
}

// take keeps a schema's refusal and reports whether it was one.
func (b *badRecords) take(ch *change, err error) bool {
	var schema *project.SchemaError
	if !errors.As(err, &schema) {
		return false
	}
	if b.first == nil {
		b.first = schema
	}
	b.at = append(b.at, ch.index)
	return true
}

// err is what the caller is told: the contract's text, and why the first one was refused.
func (b *badRecords) err() error {
	if b.at == nil {
		return nil
	}
	text := make([]string, len(b.at))
	for i, at := range b.at {
		text[i] = strconv.Itoa(at)
	}
	return errBulkInvalid.saying("Invalid records at index: %s", strings.Join(text, ", ")).because(b.first)
}
