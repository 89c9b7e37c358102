package hooktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sluice-edge/sluice/hooks"
)

// Documents is a Reader for tests: stored documents by collection, in their order. Of the language of queries it knows
// where with plain values, and limit; it refuses anything else.
type Documents map[string][]json.RawMessage

var _ hooks.Reader = Documents(nil)

// Get looks for the document whose _id is id.
func (d Documents) Get(_ context.Context, collection string, id, dst []byte, most int) ([]byte, error) {
	for _, text := range d[collection] {
		if value, err := member(text, "_id"); err == nil && value == string(id) {
			return appendMost(dst, text, most)
		}
	}
	return nil, hooks.ErrNotFound
}

// Find returns the documents whose members are those of where.
func (d Documents) Find(_ context.Context, collection string, query, dst []byte, most int) ([]byte, error) {
	found, err := d.find(collection, query)
	if err != nil {
		return nil, err
	}
	return appendMost(dst, append(append([]byte{'['}, bytes.Join(found, []byte{','})...), ']'), most)
}

// Count returns how many documents Find would find.
func (d Documents) Count(_ context.Context, collection string, query []byte) (int64, error) {
	found, err := d.find(collection, query)
	return int64(len(found)), err
}

func (d Documents) find(collection string, text []byte) ([][]byte, error) {
	var query struct {
		Where map[string]any
		Limit int
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&query); err != nil {
		return nil, fmt.Errorf("hooktest: query %s: %w", text, err)
	}
	var found [][]byte
	for _, document := range d[collection] {
		matches := true
		for name, want := range query.Where {
			if _, operators := want.(map[string]any); operators {
				return nil, fmt.Errorf("hooktest: query %s: only plain values can be looked for", text)
			}
			got, err := member(document, name)
			matches = matches && err == nil && reflect.DeepEqual(got, want)
		}
		if matches && (query.Limit == 0 || len(found) < query.Limit) {
			found = append(found, document)
		}
	}
	return found, nil
}

func member(document []byte, name string) (any, error) {
	var members map[string]any
	err := json.Unmarshal(document, &members)
	return members[name], err
}

func appendMost(dst, text []byte, most int) ([]byte, error) {
	if len(text) > most {
		return nil, hooks.ErrReadTooLarge
	}
	return append(dst, text...), nil
}
