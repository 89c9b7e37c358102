package runtime

import (
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

var (
	errBatchShape = reason(400, "batch.malformed", `The body must be {"operations":[…]} with 1 to 100 operations.`)
	errBatchTwice = reason(400, "batch.same_document", "A batch may name a document only once.")
)

// writeBatch answers POST /api/batch: inserts, updates and deletes in any collections, all of them or none. Each goes
// through the same rules as if it came alone.
func writeBatch(r *request) error {
	changes, err := r.batchChanges()
	if err != nil {
		return err
	}
	err = r.writeOnce(changes, fasthttp.StatusOK, func(b []byte) []byte { return appendResults(b, changes) })
	if errors.Is(err, kv.ErrBatch) {
		return errBatchTwice
	}
	return err
}

// appendResults appends what became of each operation.
func appendResults(b []byte, changes []*change) []byte {
	b = append(b, `{"success":true,"data":{"results":[`...)
	for i, ch := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		if ch.op == hooks.OpDelete {
			b = append(b, `{"message":"Document deleted","id":"`...)
			b = append(ch.id.AppendHex(b), `"}`...)
			continue
		}
		b = append(b, ch.after...)
	}
	return append(b, `]},"message":"Batch committed."}`...)
}

// batchChanges reads the operations of the body.
func (r *request) batchChanges() ([]*change, error) {
	list := r.body.Get("operations")
	if r.body.Kind() != jsondoc.Object || list.Kind() != jsondoc.Array || list.Len() == 0 || list.Len() > maxBulk {
		return nil, errBatchShape
	}
	changes := make([]*change, list.Len())
	seen := make(map[string]bool, len(changes))
	for i, item := range list.Items() {
		ch, err := r.batchChange(i, item)
		if err != nil {
			return nil, atOperation(i, err)
		}
		if named := ch.rules.Name + "/" + ch.id.String(); ch.op != hooks.OpInsert {
			if seen[named] {
				return nil, errBatchTwice
			}
			seen[named] = true
		}
		changes[i] = ch
	}
	return changes, nil
}

// batchChange reads {"op":"insert","collection":"posts","data":{…}}, or "update" with an id and data, or "delete" with an
// id.
func (r *request) batchChange(i int, item jsondoc.Value) (*change, error) {
	ch := &change{index: i, named: true}
	if item.Kind() != jsondoc.Object {
		return nil, errBatchShape
	}
	switch string(item.Get("op").Text()) {
	case "insert":
		ch.op = hooks.OpInsert
	case "update":
		ch.op = hooks.OpUpdate
	case "delete":
		ch.op = hooks.OpDelete
	default:
		return nil, errBatchShape.saying(`"op" must be "insert", "update" or "delete".`)
	}
	name := item.Get("collection").Text()
	if reservedName(name) {
		return nil, errUsersReserved
	}
	if ch.rules = r.state.Collection(name); ch.rules == nil {
		return nil, errCollectionNotFound
	}
	if ch.op != hooks.OpInsert {
		var ok bool
		if ch.id, ok = kv.ParseDocID(item.Get("id").Text()); !ok {
			return nil, errInvalidID
		}
	}
	if ch.op != hooks.OpDelete {
		if ch.body = item.Get("data"); ch.body.Kind() != jsondoc.Object {
			return nil, errBatchShape.saying(`"data" must be an object.`)
		}
	}
	return ch, nil
}

// atOperation says which operation of a batch an error is about.
func atOperation(i int, err error) error {
	e := errorFrom(err)
	return e.saying("Operation %d: %s", i, e.Message)
}
