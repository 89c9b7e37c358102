package aggregate

import (
	"bytes"
	"slices"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

const maxSortKeys = 8

// sorting is $sort: by the values at its paths, as a list's sort does it, equal ones in the order in which they came.
type sorting struct{ keys []sortKey }

type sortKey struct {
	path string
	desc bool
}

func (p *parser) sort(v jsondoc.Value) (stage, error) {
	if v.Kind() != jsondoc.Object || v.Len() == 0 || v.Len() > maxSortKeys {
		return nil, invalid("It takes an object of 1 to %d fields, each with 1 or -1.", maxSortKeys)
	}
	s := &sorting{}
	for key, member := range v.Members() {
		if err := p.path(string(key)); err != nil {
			return nil, err
		}
		n, ok := wholeNumber(member)
		if !ok || n != 1 && n != -1 {
			return nil, invalid("The field %q needs 1 or -1.", key)
		}
		s.keys = append(s.keys, sortKey{string(key), n < 0})
	}
	return s, nil
}

func (s *sorting) start(r *run, next sink, fresh bool) sink {
	return &sortSink{sorting: s, run: r, next: next, fresh: fresh}
}
func (*sorting) makes() bool { return false }

type sortSink struct {
	*sorting
	run   *run
	next  sink
	fresh bool // the documents are this run's own and take memory
	docs  []ranked
}

type ranked struct{ key, doc []byte }

func (s *sortSink) push(doc []byte) (bool, error) {
	var key []byte
	for _, k := range s.keys {
		start := len(key)
		raw, ok := jsondoc.Lookup(doc, k.path)
		if !ok {
			raw = null
		}
		key = kv.AppendKey(key, raw)
		if k.desc {
			for i := start; i < len(key); i++ {
				key[i] = ^key[i] // no key is the prefix of another, so this turns the order around
			}
		}
	}
	s.docs = append(s.docs, ranked{key, doc})
	kept := 64 + len(key)
	if s.fresh {
		kept += len(doc)
	}
	return true, s.run.keep(kept)
}

func (s *sortSink) close() error {
	slices.SortStableFunc(s.docs, func(a, b ranked) int { return bytes.Compare(a.key, b.key) })
	for i := range s.docs {
		more, err := s.run.pass(s.next, s.docs[i].doc)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return s.next.close()
}
