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

type (
	input struct {
		key   int
		write bool
		blind bool   // write whatever is there
		need  uint64 // else: only if at this revision
		value string // "": delete
	}
	output struct {
		register      // read, or written
		refused  bool // the need did not hold
		unknown  bool
	}
)

// documents is what a linearizable store of documents does.
var documents = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(input).key
			byKey[key] = append(byKey[key], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range byKey {
			out = append(out, ops)
		}
		return out
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any {
		s, i, o := state.(register), in.(input), out.(output)
		if !i.write {
			if s.value == o.value && (s.rev == o.rev || s.rev == unknownRev && o.value != "") {
				return []any{o.register}
			}
			return nil
		}
		// A deleted document has revision 0.
		holds := i.blind || s.rev == i.need
		perhaps := s.rev == unknownRev
		next := o.register
		if o.unknown {
			next = register{unknownRev, i.value}
		}
		if i.value == "" {
			next.rev = 0
		}
		switch {
		case o.unknown && (holds || perhaps):
			return []any{s, next}
		case o.unknown:
			return []any{s}
		case o.refused && (!holds || perhaps):
			return []any{s}
		case !o.refused && (holds || perhaps):
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
				in := input{key: rnd.IntN(historyKeys)}
				if rnd.IntN(3) > 0 {
					in.write, in.blind, in.need = true, rnd.IntN(4) == 0, known[in.key]
					if rnd.IntN(6) > 0 {
						in.value = fmt.Sprintf(`{"c":%d,"n":%d}`, client, n)
					}
				}
				op := porcupine.Operation{ClientId: client, Input: in, Call: now()}
				o := perform(db, in, rnd.IntN(2) == 0)
				if lie != nil {
					lie(&o)
				}
				op.Output, op.Return = o, now()
				if o.unknown {
					op.Return = math.MaxInt64
				} else if !o.refused {
					known[in.key] = o.rev
				} else if rnd.IntN(2) == 0 {
					known[in.key] = 0
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
func perform(db *kv.DB, in input, insist bool) output {
	id := kvtest.ID(in.key)
	if !in.write {
		s, err := db.Snapshot()
		if err != nil {
			return output{unknown: true}
		}
		defer s.Close()
		c, _ := s.Collection("docs")
		d, err := s.Get(c, id)
		if err != nil {
			return output{}
		}
		return output{register: register{d.Rev, string(d.JSON)}}
	}
	b := kvtest.Batch(kvtest.Put("docs", id, in.value))
	if in.value == "" {
		b.Ops[0] = kvtest.Delete("docs", id)
	}
	if !in.blind {
		b.Needs = []kv.Need{{Kind: kv.NeedDoc, Collection: "docs", ID: id, Rev: in.need}}
	}
	for {
		commit, err := db.Commit(context.Background(), b)
		var conflict *kv.ConflictError
		switch {
		case err == nil && in.value == "":
			return output{}
		case err == nil:
			return output{register: register{commit, in.value}}
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
	histories := long(8, 500)
	for range histories {
		h, u, r := history(t, 800, nil)
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
				o.register = last.register
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
