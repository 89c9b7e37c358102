package kvtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/kv"
)

// Model is what a database should hold, in maps, with the rules written the
// simple way. It knows unique indexes on top-level fields only.
type Model struct {
	Commit      uint64
	Collections map[string]*ModelCollection
	Settings    map[string]ModelValue
	Counters    map[string]int64

	dropped uint64
	seen    map[kv.BatchID]Verdict
	judged  []kv.BatchID
}

// ModelCollection is a collection of a Model.
type ModelCollection struct {
	Indexes []ModelIndex
	Docs    map[kv.DocID]ModelValue
	Rev     uint64
}

// ModelIndex is an index of a ModelCollection.
type ModelIndex struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields"`
	Unique bool     `json:"unique"`
}

// ModelValue is a value with its revision.
type ModelValue struct {
	Rev   uint64
	Value string
}

// Verdict is how a batch ended: its commit, or the kind of its refusal.
type Verdict struct {
	Commit uint64
	Why    string
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{Collections: map[string]*ModelCollection{}, Settings: map[string]ModelValue{},
		Counters: map[string]int64{}, seen: map[kv.BatchID]Verdict{}}
}

// Why names the kind of an error as verdicts do.
func Why(err error) string {
	var conflict *kv.ConflictError
	var unique *kv.UniqueError
	var quota *kv.QuotaError
	var floor *kv.FloorError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &conflict):
		return "conflict"
	case errors.As(err, &unique):
		return "unique"
	case errors.As(err, &quota):
		return "quota"
	case errors.As(err, &floor):
		return "floor"
	case errors.Is(err, kv.ErrNoCollection):
		return "no collection"
	case errors.Is(err, kv.ErrBatch):
		return "batch"
	}
	return err.Error()
}

func (m *Model) clone() *Model {
	next := *m
	next.Settings, next.Counters = maps.Clone(m.Settings), maps.Clone(m.Counters)
	next.Collections = map[string]*ModelCollection{}
	for name, c := range m.Collections {
		next.Collections[name] = &ModelCollection{c.Indexes, maps.Clone(c.Docs), c.Rev}
	}
	return &next
}

// Apply carries out a batch, or refuses it.
func (m *Model) Apply(b *kv.Batch) Verdict {
	if v, ok := m.seen[b.ID]; ok {
		return v
	}
	next := m.clone()
	why := next.try(b, m)
	if why == "malformed" {
		return Verdict{Why: "batch"}
	}
	v := Verdict{Why: why}
	if why == "" {
		*m = *next
		m.Commit++
		v.Commit = m.Commit
	}
	m.seen[b.ID] = v
	m.judged = append(m.judged, b.ID)
	if n := len(m.judged); n%64 == 0 && n > kv.LogRows {
		for _, id := range m.judged[max(0, n-kv.LogRows-64) : n-kv.LogRows] {
			delete(m.seen, id)
		}
	}
	return v
}

// try changes m, a clone of old, until it finds a reason to refuse.
func (m *Model) try(b *kv.Batch, old *Model) string {
	named := map[string]bool{}
	for _, op := range b.Ops {
		thing := fmt.Sprint(map[kv.OpKind]string{kv.OpPut: "d", kv.OpDelete: "d", kv.OpAdd: "n", kv.OpSetting: "s",
			kv.OpCollection: "c", kv.OpDropCollection: "c"}[op.Kind], op.Collection, op.ID, op.Name)
		if named[thing] {
			return "malformed"
		}
		named[thing] = true
	}
	for _, n := range b.Needs {
		if !m.holds(n) {
			return "conflict"
		}
	}
	commit, size := m.Commit+1, m.size()
	limit, limited := m.Settings["kv.maxBytes"]
	schema, docs := map[string]bool{}, map[string]bool{}
	for _, op := range b.Ops {
		switch op.Kind {
		case kv.OpPut, kv.OpDelete:
			c := m.Collections[op.Collection]
			if c == nil && schema[op.Collection] {
				docs[op.Collection] = true // just dropped
				continue
			}
			if c == nil && op.Kind == kv.OpPut {
				return "no collection"
			}
			if c == nil {
				continue
			}
			docs[op.Collection] = true
			if op.Kind == kv.OpPut {
				c.Docs[op.ID] = ModelValue{commit, string(op.Value)}
				c.Rev = commit
			} else if _, ok := c.Docs[op.ID]; ok {
				delete(c.Docs, op.ID)
				c.Rev = commit
			}
		case kv.OpAdd:
			sum := m.Counters[op.Name] + op.Delta
			if op.HasFloor && sum < op.Floor {
				return "floor"
			}
			m.Counters[op.Name] = sum
		case kv.OpSetting:
			if m.Settings[op.Name] = (ModelValue{commit, string(op.Value)}); op.Value == nil {
				delete(m.Settings, op.Name)
			}
		case kv.OpCollection:
			var def struct{ Indexes []ModelIndex }
			if err := json.Unmarshal(op.Value, &def); err != nil {
				return "malformed"
			}
			c := m.Collections[op.Name]
			if c == nil {
				m.Collections[op.Name] = &ModelCollection{def.Indexes, map[kv.DocID]ModelValue{}, commit}
			} else if fmt.Sprint(c.Indexes) != fmt.Sprint(def.Indexes) {
				c.Indexes, c.Rev = def.Indexes, commit
				schema[op.Name] = true
				then := ModelCollection{Indexes: def.Indexes, Docs: old.Collections[op.Name].Docs}
				if !then.sound() {
					return "unique"
				}
			}
		case kv.OpDropCollection:
			if m.Collections[op.Name] != nil {
				schema[op.Name] = true
				delete(m.Collections, op.Name)
				m.dropped = commit
			}
		}
	}
	for name := range docs {
		if schema[name] {
			return "batch"
		}
	}
	if n, _ := strconv.Atoi(limit.Value); limited && m.size() > n && m.size() > size {
		return "quota"
	}
	for _, c := range m.Collections {
		if !c.sound() {
			return "unique"
		}
	}
	return ""
}

func (m *Model) holds(n kv.Need) bool {
	if n.Kind == kv.NeedSetting {
		return m.Settings[n.Name].Rev == n.Rev
	}
	c := m.Collections[n.Collection]
	switch n.Kind {
	case kv.NeedDoc:
		if c == nil {
			return n.Rev == 0
		}
		return c.Docs[n.ID].Rev == n.Rev
	case kv.NeedCollection:
		if c == nil {
			return m.dropped <= n.Rev
		}
		return c.Rev <= n.Rev
	}
	if c == nil {
		return true
	}
	var values []any
	_ = json.Unmarshal(n.Value, &values)
	for _, x := range c.Indexes {
		if x.Name != n.Name || !x.Unique || len(values) != len(x.Fields) {
			continue
		}
		doc := map[string]any{}
		for i, f := range x.Fields {
			doc[f] = values[i]
		}
		want, ok := x.key(doc)
		if !ok {
			return true
		}
		for id, d := range c.Docs {
			if key, ok := x.keyOf(d.Value); ok && key == want && id != n.ID {
				return false
			}
		}
		return true
	}
	return false
}

func (m *Model) size() (n int) {
	for _, c := range m.Collections {
		for _, d := range c.Docs {
			n += len(d.Value)
		}
	}
	return n
}

// sound reports whether no two documents have the same key.
func (c *ModelCollection) sound() bool {
	for _, x := range c.Indexes {
		taken := map[string]bool{}
		for _, d := range c.Docs {
			key, ok := x.keyOf(d.Value)
			if !x.Unique || !ok {
				continue
			}
			if taken[key] {
				return false
			}
			taken[key] = true
		}
	}
	return true
}

func (x ModelIndex) keyOf(text string) (string, bool) {
	var doc map[string]any
	_ = json.Unmarshal([]byte(text), &doc)
	return x.key(doc)
}

func (x ModelIndex) key(doc map[string]any) (string, bool) {
	var key []string
	for _, f := range x.Fields {
		if doc[f] == nil {
			return "", false
		}
		text, _ := json.Marshal(doc[f])
		key = append(key, string(text))
	}
	return strings.Join(key, ","), true
}

// Diff compares the database with the model and describes the differences.
func (m *Model) Diff(db *kv.DB) []string {
	s, err := db.Snapshot()
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	var out []string
	same := func(what string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			out = append(out, what+": got "+g+", want "+w)
		}
	}
	same("commit", s.Commit(), m.Commit)
	var names []string
	for _, c := range s.Collections() {
		names = append(names, c.Name)
	}
	same("collections", names, slices.Sorted(maps.Keys(m.Collections)))
	for name, want := range m.Collections {
		c, ok := s.Collection(name)
		if !ok {
			continue
		}
		st, err := s.State(c)
		size := 0
		for id, d := range want.Docs {
			size += len(d.Value)
			got, err := s.Get(c, id)
			same(name+"/"+id.String(), fmt.Sprint(got.Rev, string(got.JSON), err), fmt.Sprint(d.Rev, d.Value, nil))
		}
		same("state of "+name, fmt.Sprint(st, err), fmt.Sprint(kv.CollectionState{Rev: want.Rev, Documents: int64(len(want.Docs)), Bytes: int64(size)}, nil))
	}
	for _, name := range SettingNames {
		value, rev, ok := s.Setting(name)
		want, wantOK := m.Settings[name]
		same("setting "+name, fmt.Sprint(string(value), rev, ok), fmt.Sprint(want.Value, want.Rev, wantOK))
	}
	for _, name := range CounterNames {
		same("counter "+name, s.Counter(name), m.Counters[name])
	}
	return out
}
