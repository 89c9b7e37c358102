package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"github.com/sluice-edge/sluice/hooks/wat"
)

var forever = Op(0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00) // loop br 0 end unreachable

func TestBrokenGuestsMeanNo(t *testing.T) {
	trap := func(err error) bool { return errors.As(err, new(*hooks.TrapError)) }
	lie := func(err error) bool { return errors.As(err, new(*hooks.ABIError)) }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	host := NewHost(t, hooks.Options{PolicyTime: 10 * time.Second, ResultBytes: 1000})
	answer := func(no bool, text string) Guest { return Guest{Policy: Answer(no, len(text)), Data: text} }
	for _, test := range []struct {
		name  string
		guest Guest
		is    func(error) bool
		says  string
	}{
		{"an unreachable instruction", Guest{Policy: Op(0x00)}, trap, "unreachable"},
		{"a division by zero", Guest{Policy: Code(I64Const(1), I64Const(0), Op(0x7f))}, trap, "divide by zero"},
		{"a read outside of its memory", Guest{Policy: Code(I32Const(-1), Op(0x29, 0x00, 0x00))}, trap, "out of bounds"},
		{"endless recursion", Guest{Policy: Code(I32Const(0), I32Const(0), Call(2))}, is(hooks.ErrStack), "overflowed its stack"},
		{"an endless loop", Guest{Policy: forever}, is(hooks.ErrFuel), "ran out of fuel"},
		{"more calls than fuel, without a loop", callTree(40), is(hooks.ErrFuel), "ran out of fuel"},
		{"more memory filled than fuel", Guest{Pages: 100, Policy: Code(bytes.Repeat(Code(I32Const(0), I32Const(0), I32Const(100<<16), Op(0xfc, 0x0b, 0x00)), 50), I64Const(1))},
			is(hooks.ErrFuel), "ran out of fuel"},
		{"more randomness than fuel", Guest{Pages: 100, Types: []wasmbin.FuncType{{Params: []wasmbin.ValueType{wasmbin.I32, wasmbin.I32}, Results: []wasmbin.ValueType{wasmbin.I32}}},
			Imports: []wasmbin.Import{{Module: "wasi_snapshot_preview1", Name: "random_get", Type: FirstType}},
			Policy:  Code(bytes.Repeat(Code(I32Const(0), I32Const(100<<16), Call(0), Op(0x1a)), 50), I64Const(1))}, is(hooks.ErrFuel), "ran out of fuel"},
		{"a wild pointer", Guest{Policy: I64Const(0x7fffffff<<32 | 10)}, lie, "outside of the guest's memory"},
		{"a wrong length", Guest{Policy: I64Const(8*65536<<32 - 4<<32 | 10)}, lie, "outside of the guest's memory"},
		{"a giant length", Guest{Policy: I64Const(1024<<32 | 0xffffffff)}, lie, "at most 1000 are allowed"},
		{"an answer over the limit", Guest{Policy: I64Const(1024<<32 | 1001)}, lie, "the answer has 1001 bytes, at most 1000 are allowed"},
		{"an empty reason", Guest{Policy: Answer(true, 0)}, lie, "is not JSON"},
		{"a reason that is not JSON", answer(true, `no way`), lie, "is not JSON"},
		{"a reason that is no object", answer(true, `["a"]`), lie, "is not a JSON object"},
		{"a reason that is no UTF-8", answer(true, "{\"code\":\"a\",\"message\":\"\xff\"}"), lie, "is not JSON"},
		{"a reason without a code", answer(true, `{"message":"m"}`), lie, "code: is missing"},
		{"a reason whose code has the wrong form", answer(true, `{"code":"Posts.Price"}`), lie, "must match"},
		{"a reason whose code is a number", answer(true, `{"code":7}`), lie, "is not a string"},
		{"a reason with two codes", answer(true, `{"code":"a","code":"b"}`), lie, "two members named"},
		{"a reason with a status of success", answer(true, `{"code":"a","status":200}`), lie, "from 400 to 499"},
		{"a reason with a message that is too long", answer(true, `{"code":"a","message":"`+strings.Repeat("x", 501)+`"}`), lie, "at most 500"},
		{"a policy that gives a value", answer(false, `{}`), lie, "no value to give on insert"},
		{"a log line outside of its memory", Guest{Imports: []wasmbin.Import{{Module: "sluice", Name: "log", Type: TypeLog}},
			Policy: Code(I32Const(0), I32Const(-1), I32Const(100), Call(0), I64Const(1))}, trap, "outside of the guest's memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bundle := load(t, host, test.guest.Wasm())
			for range 2 { // the instance that broke is replaced: nothing hangs the second time
				d, err := bundle.Policy(context.Background(), insert(`{}`))
				if d.Allow || err == nil {
					t.Fatalf("decision %+v, error %v", d, err)
				}
				if !test.is(err) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %T %q, want one that says %q", err, err, test.says)
				}
			}
		})
	}
}

func TestDecisions(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	reason := `{"code":"posts.no","message":"Not now.","status":451,"later":{"code":1}}`
	plain := `{"code":"posts.no"}`
	document := ` {"a":1,"b":{"c":[]}} `
	page := `{"allow":[true, false ,true]}`
	after, before := []byte(`{"a":0}`), []byte(`{"a":-1}`)
	docs := [][]byte{after, before, after}
	for _, test := range []struct {
		name  string
		guest Guest
		hook  bool
		event hooks.Event
		want  hooks.Decision
	}{
		{"0 from a policy is no without a reason", Guest{}, false, hooks.Event{Op: hooks.OpInsert}, hooks.Decision{Status: 403, Module: "guest"}},
		{"0 from a hook is no without a reason", Guest{}, true, hooks.Event{Op: hooks.OpInsert}, hooks.Decision{Status: 422, Module: "guest"}},
		{"1 from a policy is yes", Guest{Policy: I64Const(1)}, false, hooks.Event{Op: hooks.OpDelete}, hooks.Decision{Allow: true}},
		{"1 from a hook leaves the document", Guest{Hook: I64Const(1)}, true, hooks.Event{Op: hooks.OpUpdate}, hooks.Decision{Allow: true}},
		{"a reason is passed on", Guest{Policy: Answer(true, len(reason)), Data: reason}, false, hooks.Event{Op: hooks.OpUpdate},
			hooks.Decision{Code: "posts.no", Message: "Not now.", Status: 451, Module: "guest"}},
		{"a policy's reason without a status gets 403", Guest{Policy: Answer(true, len(plain)), Data: plain}, false, hooks.Event{Op: hooks.OpUpdate},
			hooks.Decision{Code: "posts.no", Status: 403, Module: "guest"}},
		{"a hook's reason without a status gets 422", Guest{Hook: Answer(true, len(plain)), Data: plain}, true, hooks.Event{Op: hooks.OpUpdate},
			hooks.Decision{Code: "posts.no", Status: 422, Module: "guest"}},
		{"a hook's document is passed on", Guest{Hook: Answer(false, len(document)), Data: document}, true, hooks.Event{Op: hooks.OpInsert},
			hooks.Decision{Allow: true, Document: []byte(strings.TrimSpace(document))}},
		{"a page is judged document by document", Guest{Policy: Answer(false, len(page)), Data: page}, false, hooks.Event{Op: hooks.OpRead, Documents: docs},
			hooks.Decision{Allow: true, Allowed: []bool{true, false, true}}},
		{"1 for a page is all of it", Guest{Policy: I64Const(1)}, false, hooks.Event{Op: hooks.OpRead, Documents: docs}, hooks.Decision{Allow: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bundle := load(t, host, test.guest.Wasm())
			test.event.Collection = Collection
			ask := bundle.Policy
			if test.hook {
				ask = bundle.Hook
			}
			got, err := ask(context.Background(), &test.event)
			got.Fuel, got.Budget = 0, 0
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("decision %+v, error %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestHookAnswersThatAreNoDocuments(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	for _, text := range []string{``, `[]`, `"x"`, `null`, `{"a":1`, `{"a":1}{}`, "{\"a\":\"\xff\"}"} {
		bundle := load(t, host, Guest{Hook: Answer(false, len(text)), Data: text + " "}.Wasm())
		d, err := bundle.Hook(context.Background(), insert(`{}`))
		if !errors.As(err, new(*hooks.ABIError)) || d.Allow {
			t.Errorf("%q: %+v, %v", text, d, err)
		}
	}
	bundle := load(t, host, Guest{Hook: Answer(false, 2), Data: `{}`}.Wasm())
	if d, err := bundle.Hook(context.Background(), &hooks.Event{Op: hooks.OpDelete, Collection: Collection}); err == nil || d.Allow {
		t.Errorf("a document from beforeDelete: %+v, %v", d, err)
	}
	for _, text := range []string{`{}`, `{"allow":true}`, `{"allow":[true]}`, `{"allow":[true,true,true]}`, `{"allow":[1,2]}`, `{"allow":[true,[false]]}`} {
		bundle := load(t, host, Guest{Policy: Answer(false, len(text)), Data: text}.Wasm())
		event := &hooks.Event{Op: hooks.OpRead, Collection: Collection, Documents: [][]byte{[]byte(`{}`), []byte(`{}`)}}
		if d, err := bundle.Policy(context.Background(), event); err == nil || d.Allow {
			t.Errorf("page answered by %s: %+v, %v", text, d, err)
		}
	}
}

// echo is a hook that answers with the first n bytes of its event's buffer, shifted to where the document is.
func TestGuestSeesTheWholeEvent(t *testing.T) {
	// The hook returns the event itself as the new document: (65536 << 32) | len.
	echo := Guest{Hook: Code(Op(0x20, 0x01, 0xad), I64Const(BufferAt<<32), Op(0x84))} // local.get 1, extend_u, or
	bundle := load(t, NewHost(t, hooks.Options{}), echo.Wasm())
	d, err := bundle.Hook(context.Background(), insert(`{"title":"x"}`))
	want := `{"v":1,"event":"beforeInsert","op":"insert","collection":"posts","caller":{"role":"publishable","userId":"u1","claims":{}},"before":null,"after":{"title":"x"},"now":1700000000000,"requestId":"r-1"}`
	if err != nil || string(d.Document) != want {
		t.Errorf("event %s, error %v", d.Document, err)
	}
}

func TestHooksSeeEachOthersDocumentAndPoliciesMustAllAllow(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	set := `{"a":1}`
	echo := Guest{Policy: I64Const(1), Hook: Code(Op(0x20, 0x01, 0xad), I64Const(BufferAt<<32), Op(0x84))}
	manifest := hooks.Manifest{
		Modules: []hooks.Module{{Name: "set", File: "set"}, {Name: "echo", File: "echo"}, {Name: "keep", File: "keep"}},
		Bindings: []hooks.Binding{
			{Module: "set", Event: hooks.EventBeforeInsert, Collections: []string{"c"}},
			{Module: "echo", Event: hooks.EventBeforeInsert, Collections: []string{"c"}},
			{Module: "keep", Event: hooks.EventBeforeInsert, Collections: []string{"c"}},
			{Module: "echo", Event: hooks.EventPolicy, Collections: []string{"c", "d"}},
			{Module: "keep", Event: hooks.EventPolicy, Collections: []string{"c"}},
		},
	}
	bundle, err := host.Load(context.Background(), manifest, map[string][]byte{
		"set":  Guest{Hook: Answer(false, len(set)), Data: set}.Wasm(),
		"echo": echo.Wasm(),
		"keep": Guest{Hook: I64Const(1)}.Wasm(),
	}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := bundle.Hook(context.Background(), &hooks.Event{Op: hooks.OpInsert, Collection: "c", After: []byte(`{"a":0}`)})
	if err != nil || !bytes.Contains(d.Document, []byte(`"after":{"a":1}`)) {
		t.Errorf("document %s, error %v", d.Document, err)
	}
	for collection, allow := range map[string]bool{"c": false, "d": true, "unbound": true} {
		d, err := bundle.Policy(context.Background(), &hooks.Event{Op: hooks.OpInsert, Collection: collection})
		if err != nil || d.Allow != allow {
			t.Errorf("policy on %s: %+v, %v", collection, d, err)
		}
	}
	if !bundle.HasPolicy("c", hooks.OpDelete) || bundle.HasPolicy("c", hooks.OpRead) || bundle.HasPolicy("x", hooks.OpInsert) ||
		!bundle.HasHook("c", hooks.OpInsert) || bundle.HasHook("c", hooks.OpUpdate) || bundle.HasHook("c", 200) {
		t.Error("HasPolicy or HasHook does not follow the manifest")
	}
	if n := testing.AllocsPerRun(100, func() { bundle.HasPolicy("c", hooks.OpDelete); bundle.HasHook("c", hooks.OpInsert) }); n != 0 {
		t.Errorf("HasPolicy and HasHook allocate %v times", n)
	}
}

func TestEventsThatDoNotFitAreRefused(t *testing.T) {
	bundle := Load(t, hooks.Options{EventBytes: 1000}, Guest{Policy: I64Const(1)}.Wasm())
	for size, fits := range map[int]bool{700: true, 850: false, 5000: false} {
		d, err := bundle.Policy(context.Background(), insert(`{"a":"`+strings.Repeat("x", size)+`"}`))
		if fits != (err == nil) || fits != d.Allow {
			t.Errorf("a document of %d bytes: %+v, %v", size, d, err)
		}
		if !fits && !errors.Is(err, hooks.ErrEventTooLarge) {
			t.Errorf("a document of %d bytes: %v", size, err)
		}
	}
}

func TestGuestLogIsCapped(t *testing.T) {
	var out bytes.Buffer
	line := strings.Repeat("x", 2000)
	once := Code(I32Const(2), I32Const(DataAt), I32Const(2000), Call(0))
	guest := Guest{Data: line, Imports: []wasmbin.Import{{Module: "sluice", Name: "log", Type: TypeLog}},
		Policy: Code(bytes.Repeat(once, 40), I64Const(1))}
	bundle := Load(t, hooks.Options{Logger: slog.New(slog.NewTextHandler(&out, nil)), LogLines: 3, LogBytes: 10}, guest.Wasm())
	for range 2 {
		if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	if n := strings.Count(out.String(), "line=xxxxxxxxxx\n"); n != 6 {
		t.Errorf("%d lines in\n%s", n, out.String())
	}
	if !strings.Contains(out.String(), "level=WARN") || !strings.Contains(out.String(), "module=guest request_id=r-1") {
		t.Errorf("log\n%s", out.String())
	}
}

func TestCloseWaitsForCallsAndHolders(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	bundle := load(t, host, Guest{Policy: I64Const(1)}.Wasm())
	if !bundle.Acquire() {
		t.Fatal("cannot acquire")
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := bundle.Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close with a holder: %v", err)
	}
	if bundle.Acquire() {
		t.Error("a closing bundle was acquired")
	}
	if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
		t.Errorf("the holder's call ended with %+v, %v", d, err)
	}
	bundle.Release()
	if err := bundle.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if d, err := bundle.Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrClosed) || d.Allow {
		t.Errorf("a call after Close: %+v, %v", d, err)
	}
}

func TestSwapUnderLoadFailsNoCall(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	var current atomic.Pointer[hooks.Bundle]
	wasm := Guest{Policy: I64Const(1)}.Wasm()
	current.Store(load(t, host, wasm))
	var stop atomic.Bool
	var calls atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for !stop.Load() {
				bundle := current.Load()
				if !bundle.Acquire() {
					continue
				}
				for range 2 {
					if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
						t.Errorf("%+v, %v", d, err)
						stop.Store(true)
					}
				}
				bundle.Release()
				calls.Add(1)
			}
		})
	}
	for range 50 {
		old := current.Swap(load(t, host, wasm))
		if err := old.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	group.Wait()
	if calls.Load() == 0 {
		t.Error("no call was made")
	}
}

func TestCallsBeyondTheInstancesWait(t *testing.T) {
	bundle := Load(t, hooks.Options{Instances: 1, PolicyFuel: 1 << 50, PolicyTime: 300 * time.Millisecond, QueueTime: 20 * time.Millisecond}, Guest{Policy: forever}.Wasm())
	first := make(chan error)
	go func() {
		_, err := bundle.Policy(context.Background(), insert(`{}`))
		first <- err
	}()
	time.Sleep(100 * time.Millisecond)
	if _, err := bundle.Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrBusy) {
		t.Errorf("second call: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := bundle.Policy(gone, insert(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("third call: %v", err)
	}
	if err := <-first; !errors.Is(err, hooks.ErrTimeout) {
		t.Errorf("the endless guest ended with %v", err)
	}
}

// callTree is a guest whose policy makes 2 to the power of depth calls without a loop.
func callTree(depth uint32) Guest {
	g := Guest{Policy: Code(Call(FirstFunction), I64Const(1))}
	for i := range depth {
		code := Op(0x01)
		if i+1 < depth {
			code = Code(Call(FirstFunction+i+1), Call(FirstFunction+i+1))
		}
		g.Functions = append(g.Functions, Function{Type: TypeVoid, Code: code})
	}
	return g
}

func TestFuelIsTheSameEveryTime(t *testing.T) {
	// A loop of len iterations: the longer the event, the more fuel.
	count := Guest{Policy: Code(Op(0x03, 0x40, 0x20, 0x01, 0x41, 0x01, 0x6b, 0x22, 0x01, 0x0d, 0x00, 0x0b), I64Const(1))}
	wasm := count.Wasm()
	var first uint64
	for range 3 {
		bundle := load(t, NewHost(t, hooks.Options{}), wasm)
		for range 3 {
			d, err := bundle.Policy(context.Background(), insert(`{"a":1}`))
			if err != nil || d.Fuel == 0 || first != 0 && d.Fuel != first {
				t.Fatalf("fuel %d, before %d, error %v", d.Fuel, first, err)
			}
			first = d.Fuel
		}
		if d, err := bundle.Policy(context.Background(), insert(`{"a":12}`)); err != nil || d.Fuel != first+5 {
			t.Errorf("one iteration more took %d units, %v", d.Fuel-first, err)
		}
		exact := load(t, NewHost(t, hooks.Options{PolicyFuel: int64(first)}), wasm)
		if d, err := exact.Policy(context.Background(), insert(`{"a":1}`)); err != nil || !d.Allow {
			t.Errorf("with exactly enough fuel: %+v, %v", d, err)
		}
		if d, err := exact.Policy(context.Background(), insert(`{"a":12}`)); !errors.Is(err, hooks.ErrFuel) || d.Allow || d.Fuel != first {
			t.Errorf("with a unit too little: %+v, %v", d, err)
		}
	}
}

// A guest that runs must not keep the garbage collector from stopping the world: neither one that does much for its fuel, nor one
// that waits for memory at each step.
func TestGuestsYieldToTheCollector(t *testing.T) {
	text, err := os.ReadFile("testdata/pointer_chase.wat")
	if err != nil {
		t.Fatal(err)
	}
	chase, err := wat.Assemble(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, wasm := range map[string][]byte{"a loop": Guest{Policy: forever}.Wasm(), "a pointer chase": chase} {
		t.Run(name, func(t *testing.T) { yieldsToTheCollector(t, wasm) })
	}
}

func yieldsToTheCollector(t *testing.T, wasm []byte) {
	bundle := loadManifest(t, NewHost(t, hooks.Options{PolicyFuel: 1 << 50, PolicyTime: 1500 * time.Millisecond}), readable, wasm, hooks.LoadOptions{})
	done := make(chan error)
	go func() {
		_, err := bundle.Policy(context.Background(), insert(`{}`))
		done <- err
	}()
	var pauses []time.Duration
	for {
		begin := time.Now()
		goruntime.GC()
		pauses = append(pauses, time.Since(begin))
		select {
		case err := <-done:
			if !errors.Is(err, hooks.ErrTimeout) {
				t.Errorf("the endless guest ended with %v", err)
			}
			slices.Sort(pauses)
			t.Logf("%d collections, the middle one took %v, the longest %v", len(pauses), pauses[len(pauses)/2], pauses[len(pauses)-1])
			// How long each takes is up to the machine, too. A guest that does not yield lets none end before it does.
			if len(pauses) < 5 {
				t.Error("the guest has kept the collector waiting")
			}
			return
		default:
		}
	}
}

func load(t *testing.T, host *hooks.Host, wasm []byte) *hooks.Bundle {
	t.Helper()
	bundle, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": wasm}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bundle.Close(context.Background()) })
	return bundle
}
