package kv_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// store is a database and the model that it must agree with, whatever is done
// to it: batches in groups of any size, delivered twice, cut off by a panic or
// a crash; closed, compacted, opened again; read now, and by snapshots of then.
type store struct {
	t     *rapid.T
	pick  kvtest.Chooser
	root  string // of all directories that it lived in
	dir   string
	db    *kv.DB
	model *kvtest.Model

	made  []*kv.Batch           // the newest batches, for a second delivery
	count int                   // batches ever made
	told  map[kv.BatchID]string // what the first delivery was told
	held  []held
	onMu  sync.Mutex
	on    map[string]func() // what to do at a point of Apply or Compact; guarded by onMu
	did   *tally
}

// held is a snapshot that stays open, and what it must go on saying.
type held struct {
	s     *kv.Snapshot
	model *kvtest.Model
}

// tally is how much was done.
type tally struct {
	operations, batches, repeated, reads, queries, crashes, reopened, compacted int

	refused map[string]int // batches, by reason
}

// forgotten is how many batches can be delivered again: some are older than
// the log, and then new.
const forgotten = kv.LogRows + 500

func newStore(t *rapid.T, did *tally) *store {
	root, err := os.MkdirTemp("", "kv")
	if err != nil {
		t.Fatal(err)
	}
	w := &store{t: t, pick: evenly(t), root: root, dir: filepath.Join(root, "0"), model: kvtest.NewModel(), told: map[kv.BatchID]string{}, on: map[string]func(){}, did: did}
	w.open()
	return w
}

func (w *store) open() {
	db, err := kv.Open(w.dir, kv.Options{Random: bytes.NewReader(make([]byte, 1000)), Node: [5]byte{1}, MapSize: 1 << 26})
	if err != nil {
		w.t.Fatal(err)
	}
	db.NoSync() // what is written is tested, not whether it lasts
	db.SetTestHook(func(at string) {
		w.onMu.Lock()
		do := w.on[at]
		w.onMu.Unlock()
		if do != nil {
			do()
		}
	})
	w.db = db
}

// at says what to do at a point, nil for nothing.
func (w *store) at(point string, do func()) {
	w.onMu.Lock()
	defer w.onMu.Unlock()
	w.on[point] = do
}

func (w *store) remove() {
	for _, h := range w.held {
		h.s.Close()
	}
	w.db.Close()
	os.RemoveAll(w.root)
}

// evenly picks numbers without rapid's liking for small ones: so many choices
// in a row would never come to the larger.
func evenly(t *rapid.T) kvtest.Chooser {
	bit := rapid.Bool()
	return func(n int) int {
		for {
			out := 0
			for range bits.Len(uint(n - 1)) {
				out <<= 1
				if bit.Draw(t, "bit") {
					out++
				}
			}
			if out < n {
				return out
			}
		}
	}
}

// step does one thing and looks at everything that can be read by name.
func (w *store) step() {
	switch k := w.pick(40); {
	case k < 22:
		w.deliver(w.group())
	case k < 24:
		w.cutOff()
	case k < 25:
		w.crash()
	case k < 26:
		w.reopen()
	case k < 27:
		w.compact()
	case k < 30:
		w.hold()
	case k < 32:
		w.release()
	default:
		w.query()
		return
	}
	w.same(w.model.Diff(w.db))
	w.did.reads++
}

func (w *store) same(differences []string) {
	for _, d := range differences {
		w.t.Errorf("%.2000s", d)
	}
	if len(differences) > 0 {
		w.t.FailNow()
	}
}

// group makes some batches, some of which were delivered before.
func (w *store) group() (group []*kv.Batch) {
	for range 1 + w.pick(6) {
		if len(w.made) > 0 && w.pick(10) == 0 {
			group = append(group, w.made[w.pick(len(w.made))])
			w.did.repeated++
			continue
		}
		b := kvtest.RandomBatch(w.pick, w.model, w.count)
		if w.pick(5) == 0 { // as another node gets it
			var err error
			if b, err = kv.DecodeBatch(kv.AppendBatch(nil, b)); err != nil {
				w.t.Fatal(err)
			}
		}
		w.count++
		if w.made = append(w.made, b); len(w.made) > forgotten {
			delete(w.told, w.made[0].ID)
			w.made = w.made[1:]
		}
		group = append(group, b)
	}
	return group
}

// first is a group that defines most collections, so that little is refused
// for want of one.
func (w *store) first() []*kv.Batch {
	b := &kv.Batch{ID: kv.BatchID{2}}
	for _, name := range kvtest.CollectionNames {
		if w.pick(8) > 0 {
			b.Ops = append(b.Ops, kvtest.Collection(name))
		}
	}
	return []*kv.Batch{b}
}

// deliver has a group applied: at once, or batch by batch through the
// committer.
func (w *store) deliver(group []*kv.Batch) {
	var results []kv.Result
	if w.pick(3) > 0 {
		var err error
		before, after := w.during("before commit"), w.during("after commit")
		model := w.model.Copy()
		if results, err = w.db.Apply(group); err != nil {
			w.t.Fatal(err)
		}
		defer func() { after(w.model) }()
		defer func() { before(model) }()
	} else {
		for _, b := range group {
			commit, err := w.db.Commit(context.Background(), b)
			results = append(results, kv.Result{Commit: commit, Err: err})
		}
	}
	for i, b := range group {
		w.did.batches++
		w.did.operations += len(b.Ops)
		before, commits := w.model.Copy(), w.model.Commit
		want, got := w.model.Apply(b), kvtest.Verdict{Commit: results[i].Commit, Why: kvtest.Why(results[i].Err)}
		if got != want {
			w.t.Fatalf("batch %s: got %+v (%v), want %+v", describe(b), got, results[i].Err, want)
		}
		if want.Why != "" {
			w.did.refused[want.Why]++
		}
		text := fmt.Sprint(results[i])
		if judged := w.model.Judged(); want.Commit == 0 && judged == before.Judged() || want.Commit > 0 && w.model.Commit == commits {
			if first, told := w.told[b.ID]; told && first != text { // a repetition, or nonsense each time
				w.t.Fatalf("batch %s: told %s, and first %s", describe(b), text, first)
			}
		} else if want.Why != "" && !before.Justifies(b, results[i].Err) {
			w.t.Fatalf("batch %s: refused for what is not so: %v", describe(b), results[i].Err)
		}
		w.told[b.ID] = text
	}
}

// during takes a snapshot at a point of the next Apply, now and then; then
// compares it.
func (w *store) during(point string) (compare func(*kvtest.Model)) {
	var s *kv.Snapshot
	if w.pick(4) == 0 {
		w.at(point, func() {
			var err error
			if s, err = w.db.Snapshot(); err != nil {
				w.t.Error(err)
			}
		})
	}
	return func(m *kvtest.Model) {
		w.at(point, nil)
		if s == nil {
			return // nothing was written
		}
		defer s.Close()
		w.same(m.DiffSnapshot(s))
		w.did.reads++
	}
}

func describe(b *kv.Batch) string { return fmt.Sprintf("%+v of %s", b.Needs, describeOps(b.Ops)) }

func describeOps(ops []kv.Op) string {
	var parts []string
	for _, op := range ops {
		parts = append(parts, fmt.Sprintf("{%d %s %s %s %d %.200s}", op.Kind, op.Collection, op.ID, op.Name, op.Delta, op.Value))
	}
	return strings.Join(parts, " ")
}

// cutOff has a group end in a panic. It is delivered again to what the handle
// itself makes of that, or to what a crash left.
func (w *store) cutOff() {
	w.releaseAll() // they would keep the file from being opened anew
	group := w.group()
	points := []string{"before commit", "after commit"}
	if _, relaxed := w.model.Settings["kv.syncMillis"]; relaxed {
		points = points[:1] // from a commit that broke off it goes back to what is on disk for sure
	}
	point := points[w.pick(len(points))]
	w.at(point, func() { panic("cut off") })
	_, _ = w.db.Apply(group)
	w.at(point, nil)
	if w.pick(2) == 0 {
		w.crash()
	} else {
		for end := time.Now().Add(20 * time.Second); w.db.Health().ReadOnly; time.Sleep(100 * time.Microsecond) {
			if time.Now().After(end) {
				w.t.Fatalf("not recovered: %+v", w.db.Health())
			}
		}
		w.db.NoSync()
	}
	w.deliver(group)
}

// crash goes on with what is in the files, and leaves the handle.
func (w *store) crash() {
	w.releaseAll()
	w.did.crashes++
	next := filepath.Join(w.root, fmt.Sprint(w.did.crashes))
	if err := os.Mkdir(next, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"data.db", "identity", "head"} {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if name == "head" && errors.Is(err, fs.ErrNotExist) {
			continue // durability is not relaxed
		}
		if err = cmp.Or(err, os.WriteFile(filepath.Join(next, name), content, 0o600)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.db.Close()
	os.RemoveAll(w.dir)
	w.dir = next
	w.open()
}

func (w *store) reopen() {
	w.releaseAll()
	w.did.reopened++
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// compact writes the file anew, while groups come in.
func (w *store) compact() {
	w.did.compacted++
	const point = "compact: copied"
	w.at(point, func() {
		for range w.pick(3) {
			w.deliver(w.group())
		}
	})
	defer w.at(point, nil)
	if _, err := w.db.Compact(context.Background(), nil); err != nil {
		w.t.Fatal(err)
	}
	w.db.NoSync()
}

// hold opens a snapshot that others are written behind.
func (w *store) hold() {
	if len(w.held) == 4 {
		w.release()
	}
	s, err := w.db.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	w.held = append(w.held, held{s, w.model.Copy()})
}

// release closes a snapshot, which still must say what it said.
func (w *store) release() {
	if len(w.held) == 0 {
		return
	}
	i := w.pick(len(w.held))
	h := w.held[i]
	w.held = slices.Delete(w.held, i, i+1)
	w.same(h.model.DiffSnapshot(h.s))
	w.did.reads++
	h.s.Close()
}

func (w *store) releaseAll() {
	for len(w.held) > 0 {
		w.release()
	}
}

// query asks a random query of now, or of a snapshot that is held.
func (w *store) query() {
	h := held{model: w.model}
	if n := len(w.held); n > 0 && w.pick(2) == 0 {
		h = w.held[w.pick(n)]
	} else {
		s, err := w.db.Snapshot()
		if err != nil {
			w.t.Fatal(err)
		}
		defer s.Close()
		h.s = s
	}
	name := kvtest.CollectionNames[w.pick(len(kvtest.CollectionNames))]
	c, ok := h.s.Collection(name)
	if !ok {
		return
	}
	var docs []stored
	for id, d := range h.model.Collections[name].Docs {
		docs = append(docs, stored{id, d.Doc})
	}
	comparePlans(w.t, w.db, h.s, c, docs, w.randomQuery())
	w.did.queries++
}

// randomQuery asks for what documents have.
func (w *store) randomQuery() *kv.Query {
	q := randomQuery(w.t)
	w.aim(q.Where)
	for _, choice := range q.Any {
		for _, where := range choice {
			w.aim(where)
		}
	}
	for i := range q.Sort {
		if w.pick(3) > 0 {
			q.Sort[i].Path = storePaths[w.pick(len(storePaths))]
		}
	}
	return q
}

var storePaths = []string{"a", "b", "u", "c", "b.z", "b.y.z", "b.0", "a.z"}

// aim turns most predicates to fields of the store's documents.
func (w *store) aim(where []kv.Predicate) {
	for i := range where {
		p := &where[i]
		if p.Path == "_id" || p.Op == kv.Regex || p.Op == kv.Exists || w.pick(4) == 0 {
			continue
		}
		p.Path = storePaths[w.pick(len(storePaths))]
		for n := range p.Values {
			doc := kvtest.Decode([]byte(kvtest.RandomDocument(w.pick, kvtest.ID(0))))
			p.Values[n], _ = kv.Raw(kvtest.Encode(kvtest.Lookup(doc, p.Path)))
		}
	}
}

// runStore is the property: some steps, and a sound file at the end.
func runStore(t *rapid.T, steps int, did *tally) {
	w := newStore(t, did)
	defer w.remove()
	w.deliver(w.first())
	for range 1 + w.pick(steps) {
		w.step()
	}
	w.releaseAll()
	w.same(w.model.Diff(w.db))
	sound(t, w.db)
}

// TestStore compares the whole store with a model. With TORTURE=long it does
// not end before a million operations.
func TestStore(t *testing.T) {
	steps, operations := 40, 1
	if os.Getenv("TORTURE") == "long" {
		steps, operations = 300, 1_000_000
	}
	did := tally{refused: map[string]int{}}
	start := time.Now()
	for did.operations < operations && !t.Failed() {
		rapid.Check(t, func(t *rapid.T) { runStore(t, steps, &did) })
		t.Logf("%+v in %v", did, time.Since(start).Round(time.Second))
	}
}

func FuzzStore(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { runStore(t, 100, &tally{refused: map[string]int{}}) }))
}
