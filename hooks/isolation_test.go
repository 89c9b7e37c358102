package hooks_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/snapshot"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// eachMethod runs a test with every method that works on this system.
func eachMethod(t *testing.T, test func(t *testing.T, options hooks.Options)) {
	for _, method := range []snapshot.Method{snapshot.Scan, snapshot.Pagemap, snapshot.Copy} {
		space, err := snapshot.Open(method)
		if err != nil {
			t.Logf("%v: %v", method, err)
			continue
		}
		space.Close()
		t.Run(method.String(), func(t *testing.T) { test(t, hooks.Options{PolicyTime: 30 * time.Second}.WithIsolation(method)) })
	}
}

func TestTheMethodCanBeAskedFor(t *testing.T) {
	eachMethod(t, func(t *testing.T, options hooks.Options) {
		if got := NewHost(t, options).Isolation(); !strings.HasSuffix(t.Name(), strings.ReplaceAll(got, " ", "_")) {
			t.Errorf("isolation by %s", got)
		}
	})
}

// A guest that leaves a mark wherever it can and looks for it never finds it: the first call and every later one are alike.
func TestAGuestRemembersNothing(t *testing.T) {
	counter := wasmbin.Global{Type: wasmbin.I64, Mutable: true, Init: []byte{0x42, 0, 0x0b}}
	// Each leaves 1 on the stack if it finds no mark, and sets it.
	word := func(at int32) []byte {
		return Code(I32Const(at), Op(0x2d, 0, 0, 0x45), I32Const(at), I32Const(1), Op(0x3a, 0, 0))
	}
	for name, guest := range map[string]Guest{
		"in memory":               {Policy: word(4096)},
		"in its last byte":        {Policy: word(8*wasmPage - 1)},
		"in its data":             {Data: "\x00", Policy: word(DataAt)},
		"behind the event":        {Policy: word(BufferAt + 200_000)},
		"all over its memory":     {Pages: 64, Policy: Code(I32Const(4_000_000), Op(0x2d, 0, 0, 0x45), I32Const(0), I32Const(1), I32Const(64*wasmPage), Op(0xfc, 0x0b, 0))},
		"in a global":             {Globals: []wasmbin.Global{counter}, Policy: Code(Op(0x23, 0, 0x50), I64Const(1), Op(0x24, 0))},
		"in the size of memory":   {Policy: Code(Op(0x3f, 0), I32Const(8), Op(0x46), I32Const(1), Op(0x40, 0, 0x1a))},
		"in memory that it added": {Policy: Code(I32Const(1), Op(0x40, 0), I32Const(16), Op(0x74, 0x2d, 0, 0, 0x45), I32Const(8*wasmPage), I32Const(1), Op(0x3a, 0, 0))},
	} {
		guest.Policy = append(guest.Policy, 0xad) // i64.extend_i32_u: 1 is yes
		t.Run(name, func(t *testing.T) {
			eachMethod(t, func(t *testing.T, options hooks.Options) {
				bundle := Load(t, options, guest.Wasm())
				var fuel uint64
				for i := range 20 {
					d, err := bundle.Policy(context.Background(), insert(`{}`))
					if err != nil || !d.Allow || i > 0 && d.Fuel != fuel {
						t.Fatalf("call %d: %+v, %v; fuel before %d", i, d, err, fuel)
					}
					fuel = d.Fuel
				}
			})
		})
	}
}

const wasmPage = 64 << 10

// Two tenants take turns. Before each answer the guest searches its whole memory, byte by byte, and a global for what the other
// tenant sent; it keeps a copy of what it is sent now, in both.
func TestATenantNeverSeesAnothersEvent(t *testing.T) {
	const canaryA, canaryB = "canary-a", "canary-b"
	a, b := int64(binary.LittleEndian.Uint64([]byte(canaryA))), int64(binary.LittleEndian.Uint64([]byte(canaryB)))
	mine := Code(I64Const(a), I64Const(b), Op(0x20, 0, 0x41, 1, 0x46, 0x1b))                // a on insert, b otherwise
	others := Code(I64Const(b), I64Const(a), Op(0x20, 0, 0x41, 1, 0x46, 0x1b), Op(0x21, 3)) // local 3
	found := Op(0x20, 3, 0x51, 0x04, 0x40, 0x42, 0, 0x0f, 0x0b)                             // if it is local 3: return no
	search := Code(Op(0x03, 0x40, 0x20, 2, 0x29, 0, 0), found, Op(0x20, 2, 0x41, 1, 0x6a, 0x22, 2),
		I32Const(wasmPage-8), Op(0x4d, 0x0d, 0, 0x0b))
	guest := Guest{
		Pages: 1, Alloc: I32Const(32 << 10),
		Globals: []wasmbin.Global{{Type: wasmbin.I64, Mutable: true, Init: []byte{0x42, 0, 0x0b}}},
		Locals:  []wasmbin.LocalGroup{{Count: 1, Type: wasmbin.I32}, {Count: 1, Type: wasmbin.I64}},
		Policy: Code(others, search, Op(0x23, 0), found,
			I32Const(60_001), mine, Op(0x37, 0, 0), mine, Op(0x24, 0), I64Const(1)),
	}
	event := func(op hooks.Op, canary string) *hooks.Event {
		return &hooks.Event{Op: op, Collection: Collection, UserID: canary, RequestID: canary, After: []byte(`{"secret":"` + canary + `"}`), Now: 1}
	}
	tenants := []*hooks.Event{event(hooks.OpInsert, canaryA), event(hooks.OpUpdate, canaryB)}
	eachMethod(t, func(t *testing.T, options hooks.Options) {
		options.EventBytes = 8 << 10
		bundle := Load(t, options, guest.Wasm())
		alternations := 10_000
		if !strings.HasSuffix(t.Name(), "scan") {
			alternations = 500
		}
		for i := range alternations {
			if d, err := bundle.Policy(context.Background(), tenants[i%2]); err != nil || !d.Allow {
				t.Fatalf("alternation %d: %+v, %v", i, d, err)
			}
		}
		// The search works: a tenant who sends the other's canary is found out.
		if d, err := bundle.Policy(context.Background(), event(hooks.OpInsert, canaryB)); err != nil || d.Allow {
			t.Errorf("%+v, %v", d, err)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for range 200 {
					if d, err := bundle.Policy(context.Background(), tenants[i%2]); err != nil || !d.Allow {
						t.Errorf("%+v, %v", d, err)
						return
					}
				}
			})
		}
		group.Wait()
	})
}

// lazy is a guest whose first policy call works through n rounds, and no later one.
func lazy(n int32) Guest {
	return Guest{
		Locals: []wasmbin.LocalGroup{{Count: 1, Type: wasmbin.I32}},
		Policy: Code(I32Const(4096), Op(0x28, 0, 0, 0x45, 0x04, 0x40), I32Const(4096), I32Const(1), Op(0x36, 0, 0), I32Const(n), Op(0x21, 2),
			Op(0x03, 0x40, 0x20, 2, 0x41, 1, 0x6b, 0x22, 2, 0x0d, 0, 0x0b, 0x0b), I64Const(1)),
	}
}

// What init leaves in memory and globals is what every event finds.
func TestGuestsWarmThemselvesUpInInit(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	warm := lazy(1000)
	warm.Init = Code(I32Const(0), I32Const(0), Call(2), Op(0x1a)) // it asks its own policy
	for name, test := range map[string]struct {
		guest       Guest
		least, most uint64
	}{"without init": {lazy(1000), 1000, 20_000}, "with init": {warm, 1, 100}} {
		bundle := load(t, host, test.guest.Wasm())
		for range 3 {
			if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow || d.Fuel < test.least || d.Fuel > test.most {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
	}
}

func TestGuestsThatCouldRememberAreRefused(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	function := Op(0xd2, 2)
	passive := Op(1, 1, 0) // one passive segment of no bytes
	elements := Op(1, 1, 0, 1, 2)
	for _, test := range []struct {
		name   string
		policy []byte
		change func(*wasmbin.Module)
		why    string
	}{
		{"table.set", Code(I32Const(0), function, Op(0x26, 0)), nil, "has function 2, which uses table.set"},
		{"table.grow", Code(function, I32Const(1), Op(0xfc, 0x0f, 0, 0x1a)), nil, "uses table.grow"},
		{"table.fill", Code(I32Const(0), function, I32Const(1), Op(0xfc, 0x11, 0)), nil, "uses table.fill"},
		{"table.copy", Code(I32Const(0), I32Const(0), I32Const(0), Op(0xfc, 0x0e, 0, 0)), nil, "uses table.copy"},
		{"table.init", Code(I32Const(0), I32Const(0), I32Const(0), Op(0xfc, 0x0c, 0, 0)), func(m *wasmbin.Module) { m.Elements = elements }, "uses table.init"},
		{"elem.drop", Op(0xfc, 0x0d, 0), func(m *wasmbin.Module) { m.Elements = elements }, "uses elem.drop"},
		{"memory.init", Code(I32Const(0), I32Const(0), I32Const(0), Op(0xfc, 0x08, 0, 0)), func(m *wasmbin.Module) { m.Data, m.HasCount, m.DataCount = passive, true, 1 }, "uses memory.init"},
		{"data.drop", Op(0xfc, 0x09, 0), func(m *wasmbin.Module) { m.Data, m.HasCount, m.DataCount = passive, true, 1 }, "uses data.drop: what it changes cannot be undone"},
		{"a global that holds a reference", nil, func(m *wasmbin.Module) {
			m.Globals = []wasmbin.Global{{Type: wasmbin.FuncRef, Mutable: true, Init: []byte{0xd0, 0x70, 0x0b}}}
		}, "mutable global (0) of a reference type, whose state cannot be restored"},
		{"a global that holds a vector", nil, func(m *wasmbin.Module) {
			m.Globals = []wasmbin.Global{{Type: 0x7b, Mutable: true, Init: append([]byte{0xfd, 0x0c}, make([]byte, 17)...)}}
		}, "value type 0x7b is not supported"},
		{"a global of somebody else's", nil, func(m *wasmbin.Module) {
			m.Imports = []wasmbin.Import{{Module: "sluice", Name: "g", Kind: wasmbin.KindGlobal, Global: wasmbin.Global{Type: wasmbin.I32, Mutable: true}}}
		}, "imports the global sluice.g"},
		{"a table of somebody else's", nil, func(m *wasmbin.Module) {
			m.Tables = nil
			m.Imports = []wasmbin.Import{{Module: "sluice", Name: "t", Kind: wasmbin.KindTable, Table: wasmbin.Table{Items: wasmbin.FuncRef}}}
		}, "imports the table sluice.t"},
		{"data outside of its memory", nil, func(m *wasmbin.Module) { m.Data = Code(Op(1, 0), I32Const(8*wasmPage-1), Op(0x0b, 2, 1, 2)) }, "has data segment 0, which is outside of its memory"},
		{"data at an address that wraps around", nil, func(m *wasmbin.Module) { m.Data = Code(Op(1, 0), I32Const(-1), Op(0x0b, 2, 1, 2)) }, "is outside of its memory"},
		{"data at an address that is computed", nil, func(m *wasmbin.Module) { m.Data = Op(1, 0, 0x23, 0, 0x0b, 0) }, "at an address that is no constant"},
		{"data that is cut off", nil, func(m *wasmbin.Module) { m.Data = Op(1, 0, 0x41) }, "unexpected end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := Guest{Table: 4, Policy: Code(test.policy, I64Const(1))}.Module()
			if test.change != nil {
				test.change(m)
			}
			_, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": m.Encode()}, hooks.LoadOptions{})
			if !errors.As(err, new(*hooks.LoadError)) || !strings.Contains(err.Error(), test.why) {
				t.Errorf("error %v does not say %q", err, test.why)
			}
		})
	}
	t.Run("a passive segment that nothing uses is taken", func(t *testing.T) {
		m := Guest{Policy: I64Const(1)}.Module()
		m.Data, m.HasCount, m.DataCount = passive, true, 1
		if d, err := load(t, host, m.Encode()).Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
			t.Errorf("%+v, %v", d, err)
		}
	})
}
