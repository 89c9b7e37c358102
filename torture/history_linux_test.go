package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// A register is a document: its revision and what is in it, "" for none.
type register struct {
	rev   uint64
	value string
}

// state is all documents of a history, and the last commit.
type state struct {
	commit uint64
	docs   [historyKeys]register
}

type (
	// An input reads all documents in one snapshot, or changes some in one batch.
	input struct{ changes []change }
	// A change writes a document.
	change struct {
		key   int
		blind bool   // write whatever is there
		need  uint64 // else: only if at this revision
		value string // "": delete
	}
	// An output is what was read, or the commit that a batch became.
	output struct {
		state
		refused bool // a need did not hold
	}
)

// documents is what a linearizable store of documents does: all of a batch at
// one moment, or nothing of it. The order is that of the commits.
var documents = porcupine.Model{
	Init: func() any { return state{commit: historySetup} },
	Step: func(before, in, out any) (bool, any) {
		s, i, o := before.(state), in.(input), out.(output)
		if len(i.changes) == 0 {
			return o.state == s, s
		}
		next, holds := s, true
		next.commit++
		for _, c := range i.changes {
			holds = holds && (c.blind || s.docs[c.key].rev == c.need)
			next.docs[c.key] = register{next.commit, c.value}
			if c.value == "" {
				next.docs[c.key] = register{} // a deleted document has no revision
			}
		}
		if o.refused {
			return !holds, s
		}
		return holds && o.commit == next.commit, next
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v → %+v", in, out)
	},
}

const (
	historyKeys  = 3
	historySetup = 3 // commits
)

// history lets eight clients at a few documents, breaks the disk under them
// twice, and returns what each was told and when. Who was not told the outcome
// gives up, and asks once more in the end: until then it may have happened at
// any time.
func history(t *testing.T, ops int, lie func(o *output)) (out []porcupine.Operation, unknown, recoveries int) {
	t.Helper()
	dir := t.TempDir()
	db, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	kvtest.Commit(t, db, kvtest.Collection("docs"))
	kvtest.Commit(t, db, kvtest.Put("docs", kvtest.ID(99), `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)) // free pages
	kvtest.Commit(t, db, kvtest.Delete("docs", kvtest.ID(99)))
	var (
		mu      sync.Mutex
		open    []func() // ask what became of a batch
		clients sync.WaitGroup
		done    atomic.Int64
		start   = time.Now()
	)
	now := func() int64 { return int64(time.Since(start)) }
	for client := range writers {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), uint64(client)))
			var known [historyKeys]uint64
			for n := range ops / writers {
				var in input
				if rnd.IntN(3) > 0 {
					keys := rnd.Perm(historyKeys)
					for _, key := range keys[:1+max(0, rnd.IntN(historyKeys+2)-2)] {
						c := change{key: key, blind: rnd.IntN(4) == 0, need: known[key]}
						if rnd.IntN(6) > 0 {
							c.value = fmt.Sprintf(`{"c":%d,"n":%d,"key":%d}`, client, n, key)
						}
						in.changes = append(in.changes, c)
					}
				}
				op := porcupine.Operation{ClientId: client, Input: in, Call: now()}
				b := in.batch()
				o, told := perform(t, db, b, rnd.IntN(2) == 0)
				if told && lie != nil {
					lie(&o)
				}
				mu.Lock()
				if done.Add(1); told {
					op.Output, op.Return = o, now()
					out = append(out, op)
				} else {
					open = append(open, func() {
						// Its client goes on, so that it looks like another's.
						op.ClientId = writers + unknown
						unknown++
						op.Output, _ = perform(t, db, b, true)
						op.Return = now()
						out = append(out, op)
					})
				}
				mu.Unlock()
				switch {
				case !told:
				case len(in.changes) == 0:
					for key, r := range o.docs {
						if rnd.IntN(2) == 0 { // else it goes on with a stale one
							known[key] = r.rev
						}
					}
				case !o.refused:
					for _, c := range in.changes {
						if known[c.key] = o.commit; c.value == "" {
							known[c.key] = 0
						}
					}
				}
			}
		})
	}
	for _, share := range []int64{3, 2} { // after a third, and after half
		for done.Load() < int64(ops)/share {
			time.Sleep(100 * time.Microsecond)
		}
		for db.Health().ReadOnly {
			time.Sleep(time.Millisecond)
		}
		repair := kvtest.BreakDisk(t, dir, "/dev/null")
		time.Sleep(5 * time.Millisecond)
		repair()
	}
	clients.Wait()
	for _, ask := range open {
		ask()
	}
	return out, unknown, int(db.Health().Recoveries)
}

// batch makes the batch of an input, nil if it only reads.
func (in input) batch() *kv.Batch {
	if len(in.changes) == 0 {
		return nil
	}
	b := kvtest.Batch()
	for _, c := range in.changes {
		id := kvtest.ID(c.key)
		if c.value == "" {
			b.Ops = append(b.Ops, kvtest.Delete("docs", id))
		} else {
			b.Ops = append(b.Ops, kvtest.Put("docs", id, c.value))
		}
		if !c.blind {
			b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: "docs", ID: id, Rev: c.need})
		}
	}
	return b
}

// perform asks the database; told is false when it does not know what became of
// a batch. insist repeats that batch until it is told.
func perform(t *testing.T, db *kv.DB, b *kv.Batch, insist bool) (o output, told bool) {
	if b == nil {
		return read(t, db), true
	}
	for {
		commit, err := db.Commit(context.Background(), b)
		var conflict *kv.ConflictError
		switch {
		case err == nil:
			return output{state: state{commit: commit}}, true
		case errors.As(err, &conflict):
			return output{refused: true}, true
		case errors.Is(err, kv.ErrUnknownOutcome) && !insist:
			return output{}, false
		case !errors.Is(err, kv.ErrUnknownOutcome) && !errors.Is(err, kv.ErrReadOnly):
			t.Error(err)
			return output{}, false
		}
		time.Sleep(time.Millisecond) // read-only, or unknown and asked again
	}
}

// read reads all documents of a history in one snapshot.
func read(t *testing.T, db *kv.DB) (o output) {
	s, err := db.Snapshot()
	if err != nil {
		t.Error(err)
		return o
	}
	defer s.Close()
	o.commit = s.Commit()
	c, _ := s.Collection("docs")
	for key := range o.docs {
		d, err := s.Get(c, kvtest.ID(key))
		if err == nil {
			o.docs[key] = register{d.Rev, string(d.JSON)}
		} else if !errors.Is(err, kv.ErrNotFound) {
			t.Error(err)
		}
	}
	return o
}

// TestHistories: whatever eight clients are told while they race for three
// documents and the disk fails under them, there is an order of what they did
// that explains it.
func TestHistories(t *testing.T) {
	ops, unknown, recoveries := 0, 0, 0
	histories := long(8, 1000)
	for range histories {
		h, u, r := history(t, 1000, nil)
		ops, unknown, recoveries = ops+len(h), unknown+u, recoveries+r
		if result := porcupine.CheckOperationsTimeout(documents, h, time.Minute); result != porcupine.Ok {
			t.Fatalf("a history of %d operations is %s", len(h), result)
		}
	}
	t.Logf("%d histories of %d operations in all, %d with unknown outcome, %d recoveries: linearizable", histories, ops, unknown, recoveries)
}

// TestHistoriesAreJudged is the positive control: one answer in sixty is an
// old one.
func TestHistoriesAreJudged(t *testing.T) {
	caught, rounds := 0, 3
	for range rounds {
		var mu sync.Mutex
		var last output
		n := 0
		h, _, _ := history(t, 800, func(o *output) {
			mu.Lock()
			defer mu.Unlock()
			n++
			switch {
			case o.refused:
			case n%60 == 0:
				o.state = last.state
			case n%60 == 1:
				last = *o
			}
		})
		if porcupine.CheckOperationsTimeout(documents, h, time.Minute) == porcupine.Illegal {
			caught++
		}
	}
	if caught < rounds-1 {
		t.Errorf("only %d of %d false histories were found", caught, rounds)
	}
	t.Logf("%d of %d false histories were found", caught, rounds)
}
