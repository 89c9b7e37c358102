package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wat"
)

// hostile is one guest of testdata: what it does, how it is asked, and what must become of it.
type hostile struct {
	name, event  string
	expect, says string
	wasm         []byte
}

// hostiles assembles all of testdata.
func hostiles(t testing.TB) (list []hostile) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d guests in testdata, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h := hostile{name: strings.TrimSuffix(filepath.Base(file), ".wat"), event: hooks.EventPolicy}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, ";; asked: "); ok {
				h.event = strings.TrimSpace(rest)
			}
			if rest, ok := strings.CutPrefix(line, ";; expect: "); ok {
				h.expect, h.says, _ = strings.Cut(strings.TrimSpace(rest), " ")
			}
		}
		if h.wasm, err = wat.Assemble(string(text)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, h)
	}
	return list
}

// manifest binds the guest to what it is asked.
func (h *hostile) manifest() hooks.Manifest {
	m := readable
	m.Bindings = []hooks.Binding{{Module: "guest", Event: h.event, Collections: []string{Collection}}}
	if h.expect == "timeout" {
		m.Limits = hooks.Limits{PolicyFuel: 100_000_000, PolicyMillis: 20}
	}
	return m
}

// as reports whether what has become of a call is what must.
func (h *hostile) as(d hooks.Decision, err error) bool {
	switch h.expect {
	case "yes":
		return err == nil && d.Allow
	case "fuel":
		return errors.Is(err, hooks.ErrFuel)
	case "stack":
		return errors.Is(err, hooks.ErrStack)
	case "timeout":
		return errors.Is(err, hooks.ErrTimeout) || errors.Is(err, hooks.ErrFuel) // a fast machine gets to the end of the fuel
	case "reads":
		return errors.Is(err, hooks.ErrHostCalls)
	case "grant":
		return errors.Is(err, hooks.ErrNotGranted)
	case "contract":
		return errors.As(err, new(*hooks.ABIError))
	case "trap":
		return err != nil
	}
	return false
}

// Every guest of testdata comes to the end that its file names: it is refused at load, by what it is refused for, or every one of
// its calls ends so, within its limits, and the host goes on.
func TestHostileGuests(t *testing.T) {
	host := NewHost(t, hooks.Options{PolicyTime: 30 * time.Second, HookTime: 30 * time.Second, InitTime: 30 * time.Second, InitFuel: 20_000_000})
	good := load(t, host, Guest{Policy: I64Const(1)}.Wasm())
	stored := Documents{"members": {json.RawMessage(`{"_id":"members","code":"a"}`)}}
	long, short := insert(`{"a":"`+strings.Repeat("canary", 1000)+`"}`), insert(`{}`)
	for _, h := range hostiles(t) {
		t.Run(h.name, func(t *testing.T) {
			bundle, err := host.Load(context.Background(), h.manifest(), map[string][]byte{"guest.wasm": h.wasm}, hooks.LoadOptions{})
			if h.expect == "refused" || err != nil {
				if h.expect != "refused" || !errors.As(err, new(*hooks.LoadError)) || !strings.Contains(err.Error(), h.says) {
					t.Errorf("%v, want %s %q", err, h.expect, h.says)
				}
				return
			}
			defer func() { _ = bundle.Close(context.Background()) }()
			calls := 4
			if h.name == "nth_call" {
				calls = 1100
			}
			for i := range calls {
				event := short
				if i == 0 {
					event = long
				}
				d, err := Ask(t, bundle, stored, event, h.event)
				if !h.as(d, err) || err != nil && !strings.Contains(err.Error(), h.says) || err != nil && d.Allow {
					t.Fatalf("call %d: %+v, %v; want %s %q", i, d, err, h.expect, h.says)
				}
			}
			if d, err := good.Policy(context.Background(), short); err != nil || !d.Allow {
				t.Errorf("a good guest afterwards: %+v, %v", d, err)
			}
		})
	}
}

// What is left of a module that was cut off or damaged is refused, or runs within its limits like any other. Nothing panics.
func TestDamagedGuests(t *testing.T) {
	host := NewHost(t, hooks.Options{InitFuel: 1_000_000, PolicyFuel: 100_000})
	random := rand.New(rand.NewSource(1))
	try := func(h *hostile, wasm []byte) {
		bundle, err := host.Load(context.Background(), h.manifest(), map[string][]byte{"guest.wasm": wasm}, hooks.LoadOptions{})
		if err != nil {
			if !errors.As(err, new(*hooks.LoadError)) {
				t.Errorf("%s: %v", h.name, err)
			}
			return
		}
		_, _ = Ask(t, bundle, Documents{}, insert(`{}`), h.event) // whatever it is
		if err := bundle.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	for _, h := range hostiles(t) {
		if len(h.wasm) > 2000 {
			continue
		}
		for range 6 {
			try(&h, h.wasm[:random.Intn(len(h.wasm))])
			damaged := append([]byte(nil), h.wasm...)
			for range 1 + random.Intn(3) {
				damaged[8+random.Intn(len(damaged)-8)] ^= 1 << random.Intn(8)
			}
			try(&h, damaged)
		}
	}
}

// The interpreter and the compiler agree about every guest of testdata: in the answer, in the error, and in the fuel.
func TestHostileGuestsAreTheSameInterpreted(t *testing.T) {
	options := hooks.Options{PolicyTime: time.Minute, HookTime: time.Minute, InitTime: time.Minute, InitFuel: 1_000_000, PolicyFuel: 500_000}
	compiled := NewHost(t, options)
	options.Interpreter = true
	interpreted := NewHost(t, options)
	stored := Documents{"members": {json.RawMessage(`{"_id":"members","code":"a"}`)}}
	for _, h := range hostiles(t) {
		if h.expect == "timeout" {
			continue // its end is the one that depends on the moment
		}
		var outcomes [2]string
		for i, host := range []*hooks.Host{compiled, interpreted} {
			bundle, err := host.Load(context.Background(), h.manifest(), map[string][]byte{"guest.wasm": h.wasm}, hooks.LoadOptions{})
			if err != nil {
				outcomes[i] = firstLine(err)
				continue
			}
			d, err := Ask(t, bundle, stored, insert(`{}`), h.event)
			if h.expect == "stack" {
				d.Fuel = 0 // the interpreter's stack ends earlier
			}
			outcomes[i] = fmt.Sprintf("%+v, %v", d, firstLine(err))
			if err := bundle.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if outcomes[0] != outcomes[1] {
			t.Errorf("%s\n   compiled %s\ninterpreted %s", h.name, outcomes[0], outcomes[1])
		}
	}
}

// firstLine leaves out the stack that the engine shows.
func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
