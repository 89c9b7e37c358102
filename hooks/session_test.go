package hooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// session begins a session that the test ends.
func session(t testing.TB, bundle *hooks.Bundle, reader hooks.Reader) *hooks.Session {
	t.Helper()
	s, ok := bundle.Session(reader)
	if !ok {
		t.Fatal("the bundle is closed")
	}
	return s
}

// Every event of a session begins with the guest as the snapshot has it, though nothing is restored before the session ends.
func TestASessionsEventsAreAlike(t *testing.T) {
	once := Guest{Policy: Code(I32Const(4096), Op(0x2d, 0, 0, 0x45), I32Const(4096), I32Const(1), Op(0x3a, 0, 0, 0xad))} // yes if there is no mark; leaves one
	eachMethod(t, func(t *testing.T, options hooks.Options) {
		for _, instances := range []int{1, 3} {
			options.Instances = instances
			bundle := Load(t, options, once.Wasm())
			var fuel uint64
			for range 5 {
				s := session(t, bundle, nil)
				for i := range 7 {
					d, err := s.Policy(context.Background(), insert(`{}`))
					if err != nil || !d.Allow || fuel != 0 && d.Fuel != fuel || d.Budget != 10_000_000 {
						t.Fatalf("event %d: %+v, %v; fuel before %d", i, d, err, fuel)
					}
					fuel = d.Fuel
				}
				s.End()
			}
		}
	})
}

// What a call leaves behind is put off until the session ends, and is done then.
func TestTheEndOfASessionRestores(t *testing.T) {
	grow := Code(I32Const(1), Op(0x40, 0, 0x1a), I64Const(1))
	for name, guest := range map[string]Guest{"an instance": {Policy: I64Const(1)}, "one that grew": {Policy: grow}, "one that trapped": {Policy: Op(0x00)}} {
		t.Run(name, func(t *testing.T) {
			bundle := Load(t, hooks.Options{}, guest.Wasm())
			s := session(t, bundle, nil)
			_, _ = s.Policy(context.Background(), insert(`{}`)) // one of them traps
			if idle, spent := bundle.Pool(); idle != 0 || spent != 1 {
				t.Errorf("before the end %d rest and %d wait", idle, spent)
			}
			s.End()
			if idle, spent := bundle.Pool(); idle != 1 || spent != 0 {
				t.Errorf("after the end %d rest and %d wait", idle, spent)
			}
		})
	}
}

func TestASessionKeepsItsBundle(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	bundle := load(t, host, Guest{Policy: I64Const(1)}.Wasm())
	s := session(t, bundle, nil)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := bundle.Close(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a session: %v", err)
	}
	if _, ok := bundle.Session(nil); ok {
		t.Error("a session on a closing bundle")
	}
	if d, err := s.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	s.End()
	if err := bundle.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSessionsAllocateNothing(t *testing.T) {
	bundle := Load(t, hooks.Options{}, Guest{Policy: I64Const(1), Hook: I64Const(1)}.Wasm())
	event, reader, ctx := insert(`{}`), Documents{}, context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		s, _ := bundle.Session(reader)
		_, _ = s.Hook(ctx, event)
		_, _ = s.Policy(ctx, event)
		s.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestATraceHasEveryGuestInOrder(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	reason, set := `{"code":"posts.no"}`, `{"a":1}`
	manifest := hooks.Manifest{
		Modules: []hooks.Module{{Name: "set", File: "set"}, {Name: "yes", File: "yes"}, {Name: "no", File: "no"}, {Name: "trap", File: "trap"}},
		Bindings: []hooks.Binding{
			{Module: "set", Event: hooks.EventBeforeInsert, Collections: []string{Collection}},
			{Module: "yes", Event: hooks.EventPolicy, Collections: []string{Collection}},
			{Module: "no", Event: hooks.EventPolicy, Collections: []string{Collection}},
			{Module: "yes", Event: hooks.EventPolicy, Operations: []string{"read"}, Collections: []string{Collection}},
			{Module: "trap", Event: hooks.EventFilter, Collections: []string{Collection}},
		},
	}
	bundle, err := host.Load(context.Background(), manifest, map[string][]byte{
		"set": Guest{Hook: Answer(false, len(set)), Data: set}.Wasm(), "yes": Guest{Policy: I64Const(1)}.Wasm(),
		"no": Guest{Policy: Answer(true, len(reason)), Data: reason}.Wasm(), "trap": Guest{Policy: Op(0)}.Wasm(),
	}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, bundle, nil)
	if _, err := s.Policy(context.Background(), insert(`{}`)); err != nil || len(s.Asked()) != 0 {
		t.Errorf("without Trace %d guests are remembered, %v", len(s.Asked()), err)
	}
	s.Trace()
	hook, _ := s.Hook(context.Background(), insert(`{}`))
	policy, _ := s.Policy(context.Background(), insert(`{}`))
	filter, trap := s.Filter(context.Background(), insert(`{}`))
	want := "set beforeInsert change , yes policy allow , no policy deny posts.no, trap filter error "
	var got []string
	var fuel, budget uint64
	for _, asked := range s.Asked() {
		got = append(got, fmt.Sprintf("%s %s %v %s", asked.Module, asked.Event, asked.Outcome, asked.Code))
		fuel, budget = fuel+asked.Fuel, budget+asked.Budget
		if asked.Duration <= 0 || asked.Collection != Collection || (asked.Outcome == hooks.OutcomeError) != (asked.Err != nil) {
			t.Errorf("%+v", asked)
		}
	}
	if strings.Join(got, ", ") != want || fuel != hook.Fuel+policy.Fuel+filter.Fuel || budget != hook.Budget+policy.Budget+filter.Budget || budget != 50_000_000 {
		t.Errorf("asked %q, want %q; fuel %d of %d, decisions %+v %+v %+v", got, want, fuel, budget, hook, policy, filter)
	}
	if !errors.As(trap, new(*hooks.TrapError)) || s.Asked()[3].Err != trap || policy.Budget != 20_000_000 {
		t.Errorf("%v, %+v", trap, policy)
	}
	s.End()
	s = session(t, bundle, nil)
	defer s.End()
	if _, err := s.Policy(context.Background(), insert(`{}`)); err != nil || len(s.Asked()) != 0 {
		t.Errorf("the next session remembers %d guests, %v", len(s.Asked()), err)
	}
}

// reading is a guest that imports the host's reading functions, in the order get, find, count, config. Its data is "members", the
// given question at readQuestion, and its answers go to readOut.
func reading(question string, policy []byte) Guest {
	i32, i64 := wasmbin.I32, wasmbin.I64
	var imports []wasmbin.Import
	for i, name := range []string{"get", "find", "count", "config"} {
		imports = append(imports, wasmbin.Import{Module: "sluice", Name: name, Type: FirstType + uint32(max(0, i-1))})
	}
	return Guest{
		Types: []wasmbin.FuncType{
			{Params: []wasmbin.ValueType{i32, i32, i32, i32, i32, i32}, Results: []wasmbin.ValueType{i32}},
			{Params: []wasmbin.ValueType{i32, i32, i32, i32}, Results: []wasmbin.ValueType{i64}},
			{Params: []wasmbin.ValueType{i32, i32}, Results: []wasmbin.ValueType{i32}},
		},
		Imports: imports, Data: "members" + question, Policy: policy,
		Locals: []wasmbin.LocalGroup{{Count: 1, Type: i32}},
	}
}

const (
	readQuestion = DataAt + 7
	readOut      = 4096
)

// read calls get (0), find (1) or count (2) of members, with room for an answer.
func read(function uint32, question string, room int32) []byte {
	code := Code(I32Const(DataAt), I32Const(7), I32Const(readQuestion), I32Const(int32(len(question))))
	if function != 2 {
		code = Code(code, I32Const(readOut), I32Const(room))
	}
	return Code(code, Call(function))
}

// reasonFrom answers no with what was read: the text at readOut, whose length is on the stack.
var reasonFrom = Code(Op(0xad), I64Const(-1<<63|readOut<<32), Op(0x84))

var readable = hooks.Manifest{
	Modules:  []hooks.Module{{Name: "guest", File: "guest.wasm"}},
	Bindings: []hooks.Binding{{Module: "guest", Event: hooks.EventPolicy, Collections: []string{Collection}}},
	Grants:   hooks.Grants{Read: []string{"members"}},
}

func loadManifest(t testing.TB, host *hooks.Host, m hooks.Manifest, wasm []byte, options hooks.LoadOptions) *hooks.Bundle {
	t.Helper()
	bundle, err := host.Load(context.Background(), m, map[string][]byte{"guest.wasm": wasm}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bundle.Close(context.Background()) })
	return bundle
}

func TestGuestsRead(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	document := `{"_id":"m1","code":"found"}`
	stored := Documents{"members": {json.RawMessage(document)}}
	query := `{"where":{"_id":"m1"}}`
	for _, test := range []struct {
		name     string
		question string
		policy   []byte
		want     string // code of the no; empty: yes
	}{
		{"get brings a document", "m1", Code(read(0, "m1", 100), reasonFrom), "found"},
		{"get of a document that does not exist is -1", "m2", Code(read(0, "m2", 100), I32Const(-1), Op(0x46, 0xad)), ""},
		{"what does not fit is not written", "m1", Code(read(0, "m1", int32(len(document)-1)), I32Const(int32(len(document))), Op(0x46), I32Const(readOut), Op(0x28, 2, 0, 0x45, 0x71, 0xad)), ""},
		{"what fits exactly is written", "m1", Code(read(0, "m1", int32(len(document))), reasonFrom), "found"},
		{"find brings an array", query, Code(read(1, query, 100), I32Const(int32(len(document)+2)), Op(0x46), I32Const(readOut), Op(0x2d, 0, 0), I32Const('['), Op(0x46, 0x71, 0xad)), ""},
		{"count counts", query, read(2, query, 0), ""},
		{"config brings the manifest's", "", Code(I32Const(readOut), I32Const(100), Call(3), reasonFrom), "config"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := readable
			m.Config = hooks.Config(`{"code":"config"}`)
			bundle := loadManifest(t, host, m, reading(test.question, test.policy).Wasm(), hooks.LoadOptions{})
			var fuel uint64
			for range 3 {
				s := session(t, bundle, stored)
				d, err := s.Policy(context.Background(), insert(`{}`))
				s.End()
				if err != nil || d.Code != test.want || d.Allow != (test.want == "") || fuel != 0 && d.Fuel != fuel {
					t.Fatalf("%+v, %v; fuel before %d", d, err, fuel)
				}
				fuel = d.Fuel
			}
		})
	}
}

// broken is a Reader that fails, after it has been asked what it may bring.
type broken struct {
	Documents
	err   error
	bytes int
}

func (b broken) Get(_ context.Context, _ string, _, dst []byte, _ int) ([]byte, error) {
	return append(dst, make([]byte, b.bytes)...), b.err
}

func TestReadingHasBounds(t *testing.T) {
	host := NewHost(t, hooks.Options{HostCalls: 3, HostBytes: 1000, PolicyFuel: 1_000_000})
	loop := func(body []byte) []byte { return Code(Op(0x03, 0x40), body, Op(0x1a, 0x0c, 0, 0x0b, 0x00)) }
	storage := errors.New("the disk is on fire")
	other := readable
	other.Grants.Read = []string{"teams"}
	small := readable
	small.Limits.HostCalls = 1
	large := readable
	large.Limits.HostCalls, large.Limits.PolicyFuel = 1000, 100_000
	long := `{"where":{"name":"` + strings.Repeat("x", 17<<10) + `"}}`
	for _, test := range []struct {
		name     string
		manifest hooks.Manifest
		question string
		policy   []byte
		reader   hooks.Reader
		is       error
		says     string
	}{
		{"a collection that is not granted", other, "m", read(0, "m", 10), Documents{}, hooks.ErrNotGranted, `get: "members"`},
		{"where nothing can be read", readable, "m", read(0, "m", 10), nil, hooks.ErrNoReader, "get: no documents"},
		{"too often", readable, "m", loop(read(0, "m", 10)), Documents{}, hooks.ErrHostCalls, "at most 3"},
		{"too often by the manifest", small, "m", loop(read(0, "m", 10)), Documents{}, hooks.ErrHostCalls, "at most 1"},
		{"too often for its fuel", large, "m", loop(read(0, "m", 10)), Documents{}, hooks.ErrFuel, ""},
		{"too much", readable, "m", read(0, "m", 10), broken{bytes: 1001}, hooks.ErrReadTooLarge, ""},
		{"too much together", readable, "m", loop(read(0, "m", 10)), broken{bytes: 400}, hooks.ErrReadTooLarge, ""},
		{"by a long query", readable, long, read(1, long, 10), Documents{}, hooks.ErrReadTooLarge, "query: 17429 bytes"},
		{"what cannot be read", readable, "m", read(0, "m", 10), broken{err: storage}, storage, "get: the disk"},
		{"to outside of its memory", readable, "m", read(0, "m", 8*wasmPage), Documents{"members": {json.RawMessage(`{"_id":"m"}`)}}, nil, "room for 524288 bytes at 4096 is outside"},
		{"by a name outside of its memory", readable, "m", Code(I32Const(-1), I32Const(7), I32Const(0), I32Const(0), I32Const(0), I32Const(0), Call(0)), Documents{}, nil, "collection: 7 bytes at 4294967295 are outside"},
		{"by a name of great length", readable, "m", Code(I32Const(0), I32Const(-1), I32Const(0), I32Const(0), I32Const(0), I32Const(0), Call(0)), Documents{}, hooks.ErrReadTooLarge, "collection: 4294967295 bytes"},
		{"its configuration to outside of its memory", readable, "m", Code(I32Const(-4), I32Const(100), Call(3)), Documents{}, nil, "config: room for 100 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			guest := reading(test.question, Code(test.policy, Op(0x1a), I64Const(1)))
			guest.Alloc = I32Const(2 * BufferAt)
			bundle := loadManifest(t, host, test.manifest, guest.Wasm(), hooks.LoadOptions{})
			for range 2 {
				s := session(t, bundle, test.reader)
				d, err := s.Policy(context.Background(), insert(`{}`))
				s.End()
				if d.Allow || err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%+v, %v", d, err)
				}
			}
		})
	}
	t.Run("while it is brought up", func(t *testing.T) {
		guest := reading("m", nil)
		guest.Init = Code(read(0, "m", 10), Op(0x1a))
		_, err := host.Load(context.Background(), readable, map[string][]byte{"guest.wasm": guest.Wasm()}, hooks.LoadOptions{})
		if !errors.Is(err, hooks.ErrNoReader) {
			t.Error(err)
		}
	})
}

// A guest that passes one stretch of its memory for everything, the room for the answer included, is answered like any other.
func TestWhatAGuestPassesMayOverlap(t *testing.T) {
	guest := reading("", Code(I32Const(DataAt), I32Const(7), I32Const(DataAt), I32Const(7), I32Const(DataAt), I32Const(64), Call(0), Op(0xad), I64Const(-1<<63|DataAt<<32), Op(0x84)))
	bundle := loadManifest(t, NewHost(t, hooks.Options{}), readable, guest.Wasm(), hooks.LoadOptions{})
	s := session(t, bundle, Documents{"members": {json.RawMessage(`{"_id":"members","code":"a.b"}`)}})
	defer s.End()
	if d, err := s.Policy(context.Background(), insert(`{}`)); err != nil || d.Code != "a.b" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestFiltersAndClaims(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	for _, test := range []struct{ event, text, want, err string }{
		{hooks.EventFilter, ` {"where":{"a":1}} `, `{"where":{"a":1}}`, ""},
		{hooks.EventFilter, `{"any":[{"a":1}],"where":{}}`, `{"any":[{"a":1}],"where":{}}`, ""},
		{hooks.EventFilter, `{}`, "", "has neither where nor any"},
		{hooks.EventFilter, `{"were":{"a":1}}`, "", "were: is neither where nor any"},
		{hooks.EventFilter, `{"where":{},"limit":1}`, "", "limit: is neither"},
		{hooks.EventFilter, `{"where":[]}`, "", "where: does not begin with {"},
		{hooks.EventFilter, `{"any":{}}`, "", "any: does not begin with ["},
		{hooks.EventFilter, `{"where":{},"where":{}}`, "", "two members named"},
		{hooks.EventFilter, `[]`, "", "is not a JSON object"},
		{hooks.EventFilter, `{"where":{"a":"` + strings.Repeat("x", 17<<10) + `"}}`, "", "at most 16384"},
		{hooks.EventClaims, `{"role":"editor"} `, `{"role":"editor"}`, ""},
		{hooks.EventClaims, `["editor"]`, "", "is not a JSON object"},
		{hooks.EventClaims, `{"a":1,"a":2}`, "", "two members named"},
		{hooks.EventClaims, `{"role":"` + strings.Repeat("x", 2048) + `"}`, "", "at most 2048"},
		{hooks.EventBeforeSignup, `{"a":1}`, `{"a":1}`, ""},
		{hooks.EventBeforeSignup, `7`, "", "is not a JSON object"},
		{hooks.EventBeforeUpload, `{"a":1}`, "", "has no value to give on upload"},
	} {
		guest := Guest{Policy: Answer(false, len(test.text)), Hook: Answer(false, len(test.text)), Data: test.text}
		d, err := Ask(t, load(t, host, guest.Wasm()), nil, insert(`{}`), test.event)
		got := string(bytes.Join(append(d.Filters, d.Claims, d.Document), nil))
		if got != test.want || (err == nil) != d.Allow || (test.err == "") != (err == nil) || err != nil && (!errors.As(err, new(*hooks.ABIError)) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s answered by %.60s: %+v, %v", test.event, test.text, d, err)
		}
	}
	for event, status := range map[string]int{hooks.EventFilter: 403, hooks.EventClaims: 403, hooks.EventBeforeSignup: 422, hooks.EventBeforeUpload: 422} {
		if d, err := Ask(t, load(t, host, Guest{}.Wasm()), nil, insert(`{}`), event); err != nil || d.Allow || d.Status != status {
			t.Errorf("%s: %+v, %v", event, d, err)
		}
		d, err := Ask(t, load(t, host, Guest{Policy: I64Const(1), Hook: I64Const(1)}.Wasm()), nil, insert(`{}`), event)
		if err != nil || !d.Allow || d.Filters != nil || d.Claims != nil || d.Document != nil {
			t.Errorf("%s: %+v, %v", event, d, err)
		}
	}
	// Of two filters both must hold.
	a, b := `{"where":{"a":1}}`, `{"where":{"b":1}}`
	bundle, err := host.Load(context.Background(), hooks.Manifest{
		Modules: []hooks.Module{{Name: "a", File: "a"}, {Name: "b", File: "b"}},
		Bindings: []hooks.Binding{
			{Module: "a", Event: hooks.EventFilter, Collections: []string{Collection}}, {Module: "b", Event: hooks.EventFilter, Collections: []string{Collection}},
		},
	}, map[string][]byte{"a": Guest{Policy: Answer(false, len(a)), Data: a}.Wasm(), "b": Guest{Policy: Answer(false, len(b)), Data: b}.Wasm()}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Ask(t, bundle, nil, insert(`{}`), hooks.EventFilter); err != nil || string(bytes.Join(d.Filters, nil)) != a+b {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestABundlesLimitsAreItsOwn(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	event := func(bytes int) *hooks.Event { return insert(`{"a":"` + strings.Repeat("x", bytes) + `"}`) }
	with := func(l hooks.Limits) hooks.Manifest { m := readable; m.Limits = l; return m }
	spin := Guest{Policy: forever}
	if d, err := loadManifest(t, host, with(hooks.Limits{PolicyFuel: 1234}), spin.Wasm(), hooks.LoadOptions{}).Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrFuel) || d.Budget != 1234 || d.Fuel != 1234 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := loadManifest(t, host, with(hooks.Limits{PolicyFuel: 100_000_000, PolicyMillis: 1}), spin.Wasm(), hooks.LoadOptions{}).Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrTimeout) {
		t.Error(err)
	}
	small := loadManifest(t, host, with(hooks.Limits{EventBytes: 1000, AnswerBytes: 10}), Guest{Policy: Answer(true, 11)}.Wasm(), hooks.LoadOptions{})
	if _, err := small.Policy(context.Background(), event(1000)); !errors.Is(err, hooks.ErrEventTooLarge) {
		t.Error(err)
	}
	if _, err := small.Policy(context.Background(), event(10)); err == nil || !strings.Contains(err.Error(), "at most 10 are allowed") {
		t.Error(err)
	}
	large := loadManifest(t, host, with(hooks.Limits{EventBytes: 1 << 20}), Guest{Pages: 20, Policy: I64Const(1)}.Wasm(), hooks.LoadOptions{})
	if d, err := large.Policy(context.Background(), event(900_000)); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	// Memory grows to the bundle's limit and not beyond, above and below the node's default.
	grows := Guest{Policy: Code(Op(0x03, 0x40), I32Const(1), Op(0x40, 0), I32Const(-1), Op(0x47, 0x0d, 0, 0x0b, 0x3f, 0), I32Const(0), Op(0x6a, 0xad), I64Const(-1<<63), Op(0x84))}
	for _, pages := range []int64{8, 10, 300, 1024} {
		_, err := loadManifest(t, host, with(hooks.Limits{MemoryPages: pages}), grows.Wasm(), hooks.LoadOptions{}).Policy(context.Background(), insert(`{}`))
		if err == nil || !strings.Contains(err.Error(), "reason: is not JSON") {
			t.Errorf("%d pages: %v", pages, err)
		}
	}
	for _, test := range []struct {
		limits  hooks.Limits
		options hooks.LoadOptions
		why     string
	}{
		{hooks.Limits{PolicyFuel: 100_000_001}, hooks.LoadOptions{}, "limits.policyFuel: 100000001 is more than this node allows, which is 100000000"},
		{hooks.Limits{HostCalls: 2000, LogLines: 300}, hooks.LoadOptions{}, "limits.logLines: 300"},
		{hooks.Limits{MemoryPages: 1025}, hooks.LoadOptions{}, "limits.memoryPages"},
		{hooks.Limits{MemoryPages: -1}, hooks.LoadOptions{}, "limits.memoryPages: is negative"},
		{hooks.Limits{HookMillis: 101}, hooks.LoadOptions{Ceiling: hooks.Limits{HookMillis: 100}}, "limits.hookMillis: 101 is more than this node allows, which is 100"},
		{hooks.Limits{MemoryPages: 7}, hooks.LoadOptions{}, "needs a memory of 8 pages, at most 7 are allowed"},
	} {
		_, err := host.Load(context.Background(), with(test.limits), map[string][]byte{"guest.wasm": Guest{}.Wasm()}, test.options)
		if !errors.As(err, new(*hooks.LoadError)) || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%+v: %v", test.limits, err)
		}
	}
	if d, err := loadManifest(t, host, readable, spin.Wasm(), hooks.LoadOptions{Ceiling: hooks.Limits{PolicyFuel: 5000}}).Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrFuel) || d.Budget != 5000 {
		t.Errorf("a ceiling below the default: %+v, %v", d, err)
	}
}

func TestABundlesLinesAndConfigurationAreItsOwn(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	guest := Guest{Data: "a line", Imports: []wasmbin.Import{{Module: "sluice", Name: "log", Type: TypeLog}},
		Policy: Code(bytes.Repeat(Code(I32Const(1), I32Const(DataAt), I32Const(6), Call(0)), 3), I64Const(1))}.Wasm()
	var group sync.WaitGroup
	for name, lines := range map[string]int64{"one": 1, "two": 2} {
		var out bytes.Buffer
		m := readable
		m.Limits.LogLines = lines
		bundle := loadManifest(t, host, m, guest, hooks.LoadOptions{Logger: slog.New(slog.NewTextHandler(&out, nil)).With("project", name)})
		group.Go(func() {
			for range 10 {
				if _, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil {
					t.Error(err)
				}
			}
			if n := strings.Count(out.String(), "\n"); n != 10*int(lines) || strings.Count(out.String(), "project="+name+" ") != n {
				t.Errorf("%s: %d lines\n%s", name, n, out.String())
			}
		})
	}
	group.Wait()
	config := reading("", Code(I32Const(readOut), I32Const(100), Call(3), reasonFrom)).Wasm()
	if d, err := loadManifest(t, host, readable, config, hooks.LoadOptions{Config: []byte(` {"code": "options"} `)}).Policy(context.Background(), insert(`{}`)); err != nil || d.Code != "options" {
		t.Errorf("%+v, %v", d, err)
	}
	for text, why := range map[string]string{`[]`: "config: is not a JSON object", `{`: "config: is not JSON", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`: "at most 65536"} {
		_, err := host.Load(context.Background(), readable, map[string][]byte{"guest.wasm": config}, hooks.LoadOptions{Config: []byte(text)})
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.10s: %v", text, err)
		}
	}
}

// slow is a Reader that takes its time.
type slow struct{ Documents }

func (s slow) Get(ctx context.Context, collection string, id, dst []byte, most int) ([]byte, error) {
	time.Sleep(60 * time.Millisecond)
	return s.Documents.Get(ctx, collection, id, dst, most)
}

// The wall clock decides nothing that fuel has decided: a guest that is overdue, but has its answer, answers as it always does.
func TestAnAnswerThatIsLateIsTheSame(t *testing.T) {
	m := readable
	m.Limits = hooks.Limits{PolicyMillis: 10}
	bundle := loadManifest(t, NewHost(t, hooks.Options{}), m, reading("m", Code(read(0, "m", 10), Op(0x1a), I64Const(1))).Wasm(), hooks.LoadOptions{})
	var fuel uint64
	for i, reader := range []hooks.Reader{Documents{}, slow{}, Documents{}, slow{}} {
		s := session(t, bundle, reader)
		d, err := s.Policy(context.Background(), insert(`{}`))
		s.End()
		if err != nil || !d.Allow || i > 0 && d.Fuel != fuel {
			t.Errorf("%d: %+v, %v; fuel before %d", i, d, err, fuel)
		}
		fuel = d.Fuel
	}
	spin := loadManifest(t, NewHost(t, hooks.Options{}), m, reading("m", Code(read(0, "m", 10), forever)).Wasm(), hooks.LoadOptions{})
	s := session(t, spin, slow{})
	defer s.End()
	if d, err := s.Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrTimeout) || d.Fuel == 0 || d.Fuel > 1_000_000 {
		t.Errorf("a guest that goes on: %+v, %v", d, err)
	}
}

// gate is a Reader that says when it is asked, and answers when it is let.
type gate struct {
	Documents
	asked, open chan struct{}
}

func (g gate) Get(ctx context.Context, collection string, id, dst []byte, most int) ([]byte, error) {
	g.asked <- struct{}{}
	<-g.open
	return g.Documents.Get(ctx, collection, id, dst, most)
}

// A project whose guests keep all their instances busy makes its own callers wait, and nobody else's: instances belong to a module.
func TestABusyProjectKeepsNobodyElseWaiting(t *testing.T) {
	const instances = 2
	host := NewHost(t, hooks.Options{Instances: instances, QueueTime: 50 * time.Millisecond, PolicyTime: time.Minute})
	slow := loadManifest(t, host, readable, reading("m", Code(read(0, "m", 10), Op(0x1a), I64Const(1))).Wasm(), hooks.LoadOptions{})
	good := load(t, host, Guest{Policy: I64Const(1)}.Wasm())
	busy := gate{asked: make(chan struct{}), open: make(chan struct{})}
	var group sync.WaitGroup
	for range instances {
		group.Go(func() {
			s := session(t, slow, busy)
			defer s.End()
			if d, err := s.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
				t.Errorf("%+v, %v", d, err)
			}
		})
		<-busy.asked
	}
	for range 100 {
		if d, err := good.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
			t.Fatalf("a good project's call beside it: %+v, %v", d, err)
		}
	}
	if _, err := slow.Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrBusy) {
		t.Errorf("one call more of its own: %v", err)
	}
	close(busy.open)
	group.Wait()
}
