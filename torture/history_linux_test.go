package torture

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// unknownRev: it was written, and nobody was told by which commit.
const unknownRev = math.MaxUint64

// registers are all documents of a history.
type registers [historyKeys]register

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
	output struct {
		read    registers
		commit  uint64 // of a batch that passed
		refused bool   // a need did not hold
		unknown bool
	}
)

// documents is what a linearizable store of documents does: all of a batch at
// one moment, or nothing of it.
var documents = porcupine.NondeterministicModel{
	Init: func() []any { return []any{registers{}} },
	Step: func(state, in, out any) []any {
		s, i, o := state.(registers), in.(input), out.(output)
		if len(i.changes) == 0 && o.unknown {
			return []any{s} // nothing was read
		}
		if len(i.changes) == 0 {
			for k, r := range o.read {
				if s[k] != r && !(s[k].rev == unknownRev && s[k].value == r.value && r.value != "") {
					return nil
				}
			}
			return []any{o.read}
		}
		rev, next := o.commit, s
		if o.unknown {
			rev = unknownRev
		}
		fails, perhaps := false, false
		for _, c := range i.changes {
			if !c.blind && s[c.key].rev != c.need {
				perhaps = perhaps || s[c.key].rev == unknownRev
				fails = fails || s[c.key].rev != unknownRev
			}
			next[c.key] = register{rev, c.value}
			if c.value == "" {
				next[c.key].rev = 0 // a deleted document has none
			}
		}
		switch {
		case o.unknown && !fails:
			return []any{s, next}
		case o.unknown, o.refused && (fails || perhaps):
			return []any{s}
		case !o.refused && !fails:
			return []any{next}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v → %+v", in, out)
	},
}

const historyKeys = 3

// history lets eight clients at a few documents, breaks the disk under them
// twice, and returns what each was told and when.
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
				o := perform(db, in, rnd.IntN(2) == 0)
				if lie != nil {
					lie(&o)
				}
				op.Output, op.Return = o, now()
				switch {
				case o.unknown:
					op.Return = math.MaxInt64
				case len(in.changes) == 0:
					for key, r := range o.read {
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
				mu.Lock()
				if o.unknown {
					unknown++
				}
				out = append(out, op)
				mu.Unlock()
				done.Add(1)
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
	return out, unknown, int(db.Health().Recoveries)
}

// perform asks the database. insist repeats a write whose outcome is unknown,
// as the same batch, until it is told.
func perform(db *kv.DB, in input, insist bool) (o output) {
	if len(in.changes) == 0 {
		s, err := db.Snapshot()
		if err != nil {
			return output{unknown: true}
		}
		defer s.Close()
		c, _ := s.Collection("docs")
		for key := range o.read {
			d, err := s.Get(c, kvtest.ID(key))
			if err == nil {
				o.read[key] = register{d.Rev, string(d.JSON)}
			} else if !errors.Is(err, kv.ErrNotFound) {
				return output{unknown: true}
			}
		}
		return o
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
	for {
		commit, err := db.Commit(context.Background(), b)
		var conflict *kv.ConflictError
		switch {
		case err == nil:
			return output{commit: commit}
		case errors.As(err, &conflict):
			return output{refused: true}
		case errors.Is(err, kv.ErrUnknownOutcome) && !insist:
			return output{unknown: true}
		}
		time.Sleep(time.Millisecond) // read-only, or unknown and asked again
	}
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
		model := documents.ToModel()
		if result := porcupine.CheckOperationsTimeout(model, h, time.Minute); result != porcupine.Ok {
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
			case o.refused || o.unknown:
			case n%60 == 0:
				o.read, o.commit = last.read, last.commit
			case n%60 == 1:
				last = *o
			}
		})
		if porcupine.CheckOperationsTimeout(documents.ToModel(), h, time.Minute) == porcupine.Illegal {
			caught++
		}
	}
	if caught < rounds-1 {
		t.Errorf("only %d of %d false histories were found", caught, rounds)
	}
	t.Logf("%d of %d false histories were found", caught, rounds)
}
