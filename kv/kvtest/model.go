package kvtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sluice-edge/sluice/kv"
)

// Model is what a database should hold, in maps, with the rules written the
// simple way.
type Model struct {
	Commit      uint64
	Collections map[string]*ModelCollection
	Settings    map[string]ModelValue
	Counters    map[string]int64
	Log         []Logged // the newest commits, oldest first; at least 100

	dropped uint64
	mine    map[string]bool // collections that nobody else has a pointer to
	seen    map[kv.BatchID]Verdict
	judged  []kv.BatchID
}

// Logged is a commit as the change log should have it.
type Logged struct {
	Commit uint64
	Batch  *kv.Batch
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
	Doc   any // of a document: Decode of Value
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

// Copy returns a model that stays as this one is now.
func (m *Model) Copy() *Model {
	next := *m
	next.Settings, next.Counters = maps.Clone(m.Settings), maps.Clone(m.Counters)
	next.Collections, next.mine = maps.Clone(m.Collections), map[string]bool{}
	return &next
}

// change returns a collection to change.
func (m *Model) change(name string) *ModelCollection {
	c := m.Collections[name]
	if c != nil && !m.mine[name] {
		c = &ModelCollection{c.Indexes, maps.Clone(c.Docs), c.Rev}
		m.Collections[name], m.mine[name] = c, true
	}
	return c
}

// Apply carries out a batch, or refuses it.
func (m *Model) Apply(b *kv.Batch) Verdict {
	if v, ok := m.seen[b.ID]; ok {
		return v
	}
	next := m.Copy()
	why := next.try(b, m)
	if why == "malformed" {
		return Verdict{Why: "batch"}
	}
	v := Verdict{Why: why}
	if why == "" {
		*m = *next
		m.Commit++
		v.Commit = m.Commit
		m.Log = append(m.Log, Logged{m.Commit, b})
		if len(m.Log) > 200 {
			m.Log = slices.Clone(m.Log[100:])
		}
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

// Judged is how many batches have a verdict in the log, or had one.
func (m *Model) Judged() int { return len(m.judged) }

// try changes m, a copy of old, until it finds a reason to refuse.
func (m *Model) try(b *kv.Batch, old *Model) string {
	if malformed(b) {
		return "malformed"
	}
	for _, n := range b.Needs {
		if !m.holds(n) {
			return "conflict"
		}
	}
	commit, size := m.Commit+1, m.Size()
	limit, limited := m.Settings["kv.maxBytes"]
	schema, docs := map[string]bool{}, map[string]bool{}
	for _, op := range b.Ops {
		switch op.Kind {
		case kv.OpPut, kv.OpDelete:
			c := m.change(op.Collection)
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
				c.Docs[op.ID] = ModelValue{commit, string(op.Value), Decode(op.Value)}
				c.Rev = commit
			} else if _, ok := c.Docs[op.ID]; ok {
				delete(c.Docs, op.ID)
				c.Rev = commit
			}
		case kv.OpAdd:
			now := m.Counters[op.Name]
			sum := now + op.Delta
			if op.HasFloor && sum < op.Floor || op.Delta > 0 && sum < now || op.Delta < 0 && sum > now {
				return "floor"
			}
			m.Counters[op.Name] = sum
		case kv.OpSetting:
			if m.Settings[op.Name] = (ModelValue{Rev: commit, Value: string(op.Value)}); op.Value == nil {
				delete(m.Settings, op.Name)
			}
		case kv.OpCollection:
			indexes, _ := definition(op.Value)
			c := m.change(op.Name)
			if c == nil {
				m.Collections[op.Name], m.mine[op.Name] = &ModelCollection{indexes, map[kv.DocID]ModelValue{}, commit}, true
			} else if fmt.Sprint(c.Indexes) != fmt.Sprint(indexes) {
				c.Indexes, c.Rev = indexes, commit
				schema[op.Name] = true
				then := ModelCollection{Indexes: indexes, Docs: old.Collections[op.Name].Docs}
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
	if n, _ := strconv.Atoi(limit.Value); limited && m.Size() > n && m.Size() > size {
		return "quota"
	}
	for name := range docs {
		if !m.Collections[name].sound() {
			return "unique"
		}
	}
	return ""
}

// malformed reports whether a batch is none by itself.
func malformed(b *kv.Batch) bool {
	named := map[string]bool{}
	for _, op := range b.Ops {
		if named[thing(op)] {
			return true
		}
		named[thing(op)] = true
		switch op.Kind {
		case kv.OpPut:
			if _, ok := Decode(op.Value).(map[string]any); !ok {
				return true
			}
		case kv.OpSetting:
			n, err := strconv.Atoi(string(op.Value))
			if op.Value != nil && (op.Name == "kv.maxBytes" && (err != nil || n < 0) ||
				op.Name == "kv.syncMillis" && (err != nil || n < 1 || n > kv.MaxSyncMillis)) {
				return true
			}
		case kv.OpCollection:
			if _, ok := definition(op.Value); !ok {
				return true
			}
		}
	}
	return false
}

// thing names what an operation changes.
func thing(op kv.Op) string {
	return fmt.Sprint(map[kv.OpKind]string{kv.OpPut: "d", kv.OpDelete: "d", kv.OpAdd: "n", kv.OpSetting: "s",
		kv.OpCollection: "c", kv.OpDropCollection: "c"}[op.Kind], op.Collection, op.ID, op.Name)
}

func definition(text []byte) ([]ModelIndex, bool) {
	var def struct{ Indexes []ModelIndex }
	if err := json.Unmarshal(text, &def); err != nil {
		return nil, false
	}
	names := map[string]bool{}
	for _, x := range def.Indexes {
		if x.Name == "" || len(x.Fields) == 0 || names[x.Name] {
			return nil, false
		}
		names[x.Name] = true
	}
	return def.Indexes, true
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
	values, _ := Decode(n.Value).([]any)
	for _, x := range c.Indexes {
		if x.Name != n.Name || !x.Unique || len(values) != len(x.Fields) {
			continue
		}
		want, ok := uniqueKey(values)
		if !ok {
			return true
		}
		for id, d := range c.Docs {
			if key, ok := x.Key(d.Doc); ok && key == want && id != n.ID {
				return false
			}
		}
		return true
	}
	return false
}

// Size is the number of bytes of all documents.
func (m *Model) Size() (n int) {
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
		if !x.Unique {
			continue
		}
		taken := map[string]bool{}
		for _, d := range c.Docs {
			key, ok := x.Key(d.Doc)
			if ok && taken[key] {
				return false
			}
			taken[key] = ok
		}
	}
	return true
}

// Key returns a text that two documents share exactly when they may not both
// be in the index; ok is false for one that is not in it.
func (x ModelIndex) Key(doc any) (key string, ok bool) {
	return uniqueKey(x.Values(doc))
}

// Values returns what a document has in the fields of an index.
func (x ModelIndex) Values(doc any) []any {
	values := make([]any, len(x.Fields))
	for i, f := range x.Fields {
		values[i] = Lookup(doc, f)
	}
	return values
}

func uniqueKey(values []any) (string, bool) {
	if slices.Contains(values, nil) {
		return "", false
	}
	return canonical(values), true
}

// Diff compares the newest state of a database with the model and describes
// the differences.
func (m *Model) Diff(db *kv.DB) []string {
	s, err := db.Snapshot()
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	return m.DiffSnapshot(s)
}

// DiffSnapshot compares a snapshot with the model: everything that can be read
// by name or key.
func (m *Model) DiffSnapshot(s *kv.Snapshot) []string {
	var out []string
	same := func(what string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			out = append(out, what+": got "+g+", want "+w)
		}
	}
	same("commit", s.Commit(), m.Commit)
	same("bytes", s.Bytes(), m.Size())
	var names []string
	for _, c := range s.Collections() {
		names = append(names, c.Name)
	}
	same("collections", names, slices.Sorted(maps.Keys(m.Collections)))
	for _, name := range names {
		if want := m.Collections[name]; want != nil {
			c, _ := s.Collection(name)
			out = append(out, want.diff(s, c)...)
		}
	}
	for _, name := range SettingNames {
		value, rev, ok := s.Setting(name)
		want, wantOK := m.Settings[name]
		same("setting "+name, fmt.Sprint(string(value), rev, ok), fmt.Sprint(want.Value, want.Rev, wantOK))
	}
	for _, name := range CounterNames {
		same("counter "+name, s.Counter(name), m.Counters[name])
	}
	if err := s.Err(); err != nil {
		out = append(out, err.Error())
	}
	return append(out, m.diffLog(s)...)
}

// diff compares one collection.
func (m *ModelCollection) diff(s *kv.Snapshot, c *kv.Collection) (out []string) {
	wrong := func(format string, args ...any) {
		out = append(out, "collection "+c.Name+": "+fmt.Sprintf(format, args...))
	}
	var indexes []ModelIndex
	for _, x := range c.Indexes {
		indexes = append(indexes, ModelIndex{x.Name, x.Fields, x.Unique})
	}
	if got, want := fmt.Sprint(indexes), fmt.Sprint(m.Indexes); got != want {
		wrong("indexes are %s, want %s", got, want)
	}
	bytes := int64(0)
	for id, want := range m.Docs {
		bytes += int64(len(want.Value))
		d, err := s.Get(c, id)
		if err != nil || d.Rev != want.Rev || string(d.JSON) != want.Value {
			wrong("document %s is %d %s, %v; want %d %s", id, d.Rev, d.JSON, err, want.Rev, want.Value)
		}
		for _, x := range m.Indexes {
			out = append(out, x.diff(s, c, id, want)...)
		}
	}
	if d, err := s.Get(c, ID(1<<30)); !errors.Is(err, kv.ErrNotFound) {
		wrong("a document that was never put is %s, %v", d.JSON, err)
	}
	want := kv.CollectionState{Rev: m.Rev, Documents: int64(len(m.Docs)), Bytes: bytes}
	if st, err := s.State(c); err != nil || st != want {
		wrong("state is %+v, %v; want %+v", st, err, want)
	}
	return out
}

// diff looks a document up by its key in a unique index, and by one that
// nobody has.
func (x ModelIndex) diff(s *kv.Snapshot, c *kv.Collection, id kv.DocID, doc ModelValue) (out []string) {
	values := x.Values(doc.Doc)
	key := make([]kv.Value, len(values))
	for i, v := range values {
		key[i], _ = kv.Raw(Encode(v))
	}
	want := error(nil)
	switch _, in := x.Key(doc.Doc); {
	case !x.Unique:
		want = kv.ErrNoIndex
	case !in:
		want = kv.ErrNotFound
	}
	d, err := s.GetUnique(c, x.Name, key...)
	if !errors.Is(err, want) || err == nil && (d.ID != id || d.Rev != doc.Rev || string(d.JSON) != doc.Value) {
		out = append(out, fmt.Sprintf("index %s of %s leads from %s to %d %s, %v", x.Name, c.Name, doc.Value, d.Rev, d.JSON, err))
	}
	if !x.Unique {
		return out
	}
	key[len(key)-1] = kv.String("nobody's")
	if d, err := s.GetUnique(c, x.Name, key...); !errors.Is(err, kv.ErrNotFound) {
		out = append(out, fmt.Sprintf("index %s of %s leads from nobody's key to %s, %v", x.Name, c.Name, d.JSON, err))
	}
	return out
}

// diffLog compares the newest commits of the change log.
func (m *Model) diffLog(s *kv.Snapshot) (out []string) {
	want := m.Log[max(0, len(m.Log)-5):]
	if len(want) == 0 {
		return nil
	}
	got, err := s.Changes(want[0].Commit-1, 100)
	if err != nil || len(got) != len(want) {
		return []string{fmt.Sprintf("%d changes, %v; want %d", len(got), err, len(want))}
	}
	for i, l := range want {
		ops := make([]kv.ChangeOp, len(l.Batch.Ops))
		for k, op := range l.Batch.Ops {
			ops[k] = kv.ChangeOp{Kind: op.Kind, Collection: op.Collection, ID: op.ID, Name: op.Name}
			if op.Kind == kv.OpCollection || op.Kind == kv.OpDropCollection {
				ops[k].Collection, ops[k].Name = op.Name, ""
			}
		}
		change := kv.Change{Commit: l.Commit, Time: l.Batch.Time, Batch: l.Batch.ID, Meta: l.Batch.Meta, Ops: ops}
		if g, w := fmt.Sprint(got[i]), fmt.Sprint(change); g != w {
			out = append(out, "change: got "+g+", want "+w)
		}
	}
	return out
}

// Justifies reports whether what a refusal of a batch says is true in this
// state, in which the batch was judged.
func (m *Model) Justifies(b *kv.Batch, refusal error) bool {
	var (
		conflict *kv.ConflictError
		unique   *kv.UniqueError
		quota    *kv.QuotaError
		floor    *kv.FloorError
	)
	after := m.Copy()
	switch {
	case errors.As(refusal, &conflict):
		n := b.Needs[slices.IndexFunc(b.Needs, func(n kv.Need) bool { return !m.holds(n) })] // the first
		e := conflict.Need
		return e.Kind == n.Kind && e.Rev == n.Rev && e.Collection == n.Collection && e.Name == n.Name &&
			(e.ID == n.ID || n.Kind == kv.NeedCollection || n.Kind == kv.NeedSetting)
	case errors.As(refusal, &quota):
		_ = after.try(b, m)
		return fmt.Sprint(quota.Limit) == m.Settings["kv.maxBytes"].Value && quota.Want == int64(after.Size()) && quota.Want > quota.Limit
	case errors.As(refusal, &floor):
		return floor.Value == m.Counters[floor.Name] && slices.ContainsFunc(b.Ops, func(op kv.Op) bool {
			return op.Kind == kv.OpAdd && op.Name == floor.Name && op.Delta == floor.Delta
		})
	case errors.As(refusal, &unique):
		_ = after.try(b, m)
		c := after.Collections[unique.Collection]
		if c == nil || unique.ID == unique.Other {
			return false
		}
		at := slices.IndexFunc(c.Indexes, func(x ModelIndex) bool { return x.Name == unique.Index && x.Unique })
		if at < 0 || !slices.Equal(c.Indexes[at].Fields, unique.Fields) {
			return false
		}
		share := func(c *ModelCollection) bool {
			one, inOne := c.Indexes[at].Key(c.Docs[unique.ID].Doc)
			two, inTwo := c.Indexes[at].Key(c.Docs[unique.Other].Doc)
			return inOne && inTwo && one == two
		}
		before := &ModelCollection{Indexes: c.Indexes}
		if old := m.Collections[unique.Collection]; old != nil {
			before.Docs = old.Docs // an index is built on what was there
		}
		return share(c) || share(before)
	}
	return refusal != nil
}
