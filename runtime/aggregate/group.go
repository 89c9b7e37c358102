package aggregate

import (
	"bytes"
	"strconv"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// maxAccumulators bounds the fields of one $group.
const maxAccumulators = 64

// grouping is $group: documents with the same key become one.
type grouping struct {
	id     expr
	fields []accumulated
}

// accumulated is one field of the documents that a $group makes.
type accumulated struct {
	key   []byte // the name, quoted, with its colon
	value expr
	kind  accumulator
}

// accumulator is how the values of a group become one.
type accumulator uint8

const (
	accSum accumulator = iota
	accAvg
	accMin
	accMax
	accCount
	accFirst
	accLast
	accPush
	accAddToSet
)

var accumulators = map[string]accumulator{"$sum": accSum, "$avg": accAvg, "$min": accMin, "$max": accMax, "$count": accCount,
	"$first": accFirst, "$last": accLast, "$push": accPush, "$addToSet": accAddToSet}

func (p *parser) group(v jsondoc.Value) (stage, error) {
	if v.Kind() != jsondoc.Object || !v.Get("_id").Exists() {
		return nil, invalid("It takes an object with the key of a group under _id.")
	}
	if v.Len() > maxAccumulators+1 {
		return nil, tooLarge("It takes at most %d fields.", maxAccumulators)
	}
	g := &grouping{}
	for key, member := range v.Members() {
		name := string(key)
		if name == "_id" {
			var err error
			if g.id, err = p.expr(member); err != nil {
				return nil, err
			}
			continue
		}
		if bytes.IndexByte(key, '.') >= 0 {
			return nil, invalid("The field name %q must not contain '.'.", name)
		}
		if err := checkName(name); err != nil {
			return nil, err
		}
		f, err := p.accumulated(name, member)
		if err != nil {
			return nil, err
		}
		g.fields = append(g.fields, f)
	}
	return g, nil
}

func (p *parser) accumulated(name string, v jsondoc.Value) (accumulated, error) {
	f := accumulated{key: append(jsondoc.AppendString(nil, name), ':')}
	if v.Kind() != jsondoc.Object || v.Len() != 1 {
		return f, invalid("The field %q needs one accumulator.", name)
	}
	for key, operand := range v.Members() {
		var known bool
		if f.kind, known = accumulators[string(key)]; !known {
			return f, invalid("The field %q needs an accumulator: $sum, $avg, $min, $max, $count, $first, $last, $push or $addToSet.", name)
		}
		if f.kind == accCount {
			if operand.Kind() != jsondoc.Object || operand.Len() != 0 {
				return f, invalid("$count takes an empty object.")
			}
			f.value = constant(null)
			return f, nil
		}
		var err error
		if f.value, err = p.expr(operand); err != nil {
			return f, err
		}
	}
	return f, nil
}

// sortByCount is $group and $sort in one: how often each value of an expression comes, the most frequent first.
func (p *parser) sortByCount(v jsondoc.Value) (stage, error) {
	if k := v.Kind(); k != jsondoc.Object && (k != jsondoc.String || len(v.Text()) == 0 || v.Text()[0] != '$') {
		return nil, invalid("It takes a field such as \"$tag\", or an expression.")
	}
	id, err := p.expr(v)
	if err != nil {
		return nil, err
	}
	g := &grouping{id: id, fields: []accumulated{{key: []byte(`"count":`), value: constant(null), kind: accCount}}}
	return &chain{g, &sorting{keys: []sortKey{{path: "count", desc: true}}}}, nil
}

func (g *grouping) start(r *run, next sink, _ bool) sink {
	return &groupSink{grouping: g, run: r, next: next, groups: map[string]*group{}}
}
func (*grouping) makes() bool { return true }

type groupSink struct {
	*grouping
	run    *run
	next   sink
	groups map[string]*group
	order  []*group // as they were met
	key    []byte   // scratch
}

// group is one group so far.
type group struct {
	id     []byte
	values []gathered // of the fields, in their order
}

// gathered is what became of one field so far.
type gathered struct {
	sum   number
	count int
	value []byte // $min, $max, $first, $last; the open list of $push and $addToSet
	key   []byte // of value, for $min and $max
	seen  map[string]struct{}
}

func (s *groupSink) push(doc []byte) (bool, error) {
	id, err := s.id(doc)
	if err != nil {
		return false, err
	}
	if id == nil {
		id = null
	}
	s.key = kv.AppendKey(s.key[:0], id)
	g := s.groups[string(s.key)]
	if g == nil {
		if err := s.run.keep(len(s.key) + len(id) + 128*(len(s.fields)+1)); err != nil {
			return false, err
		}
		g = &group{id: bytes.Clone(id), values: make([]gathered, len(s.fields))}
		s.groups[string(s.key)] = g
		s.order = append(s.order, g)
	}
	for i := range s.fields {
		value, err := s.fields[i].value(doc)
		if err != nil {
			return false, err
		}
		if err := g.values[i].take(s.run, s.fields[i].kind, value); err != nil {
			return false, err
		}
	}
	return true, nil
}

// take adds one value; nil is none.
func (a *gathered) take(r *run, kind accumulator, value []byte) error {
	switch kind {
	case accSum, accAvg:
		if jsondoc.KindOf(value) != jsondoc.Number {
			return nil
		}
		var ok bool
		if a.sum, ok = a.sum.plus(parseNumber(value)); !ok {
			return invalid("A sum leaves the range of numbers.")
		}
		a.count++
	case accCount:
		a.count++
	case accMin, accMax:
		if absent(value) {
			return nil
		}
		key := kv.AppendKey(nil, value)
		if order := bytes.Compare(key, a.key); a.key == nil || kind == accMin && order < 0 || kind == accMax && order > 0 {
			a.key = key
			return a.become(r, value)
		}
	case accFirst, accLast:
		if a.count++; a.count > 1 && kind == accFirst {
			return nil
		}
		return a.become(r, value)
	case accPush, accAddToSet:
		if value == nil {
			return nil
		}
		if kind == accAddToSet {
			key := kv.AppendKey(nil, value)
			if _, twice := a.seen[string(key)]; twice {
				return nil
			}
			if a.seen == nil {
				a.seen = map[string]struct{}{}
			}
			a.seen[string(key)] = struct{}{}
			if err := r.keep(len(key) + 32); err != nil {
				return err
			}
		}
		if a.value == nil {
			a.value = []byte{'['}
		}
		if len(a.value)+len(value) > maxValue {
			return tooLarge("A list of a group takes more than 1 MiB.")
		}
		a.value = appendItem(a.value, value)
		return r.keep(len(value) + 1)
	}
	return nil
}

// become copies the value: a part of a document would keep all of it.
func (a *gathered) become(r *run, value []byte) error {
	grown := len(value) - len(a.value)
	if value == nil {
		a.value = nil
	} else {
		a.value = append(a.value[:0], value...)
	}
	return r.keep(grown)
}

// append writes what the field has become.
func (a *gathered) append(dst []byte, kind accumulator) []byte {
	switch kind {
	case accSum:
		return a.sum.append(dst)
	case accCount:
		return strconv.AppendInt(dst, int64(a.count), 10)
	case accAvg:
		if a.count == 0 {
			return append(dst, null...)
		}
		mean, ok := a.sum.over(whole(int64(a.count)))
		if !ok {
			return append(dst, null...)
		}
		return mean.append(dst)
	case accPush, accAddToSet:
		if a.value == nil {
			return append(dst, '[', ']')
		}
		return append(append(dst, a.value...), ']')
	}
	if a.value == nil {
		return append(dst, null...)
	}
	return append(dst, a.value...)
}

func (s *groupSink) close() error {
	for _, g := range s.order {
		doc := append([]byte(`{"_id":`), g.id...)
		for i := range s.fields {
			doc = append(append(doc, ','), s.fields[i].key...)
			doc = g.values[i].append(doc, s.fields[i].kind)
		}
		if doc = append(doc, '}'); len(doc) > maxValue {
			return errValue
		}
		more, err := s.run.made(s.next, doc)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return s.next.close()
}
