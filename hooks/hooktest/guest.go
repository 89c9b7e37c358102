package hooktest

import (
	"slices"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// Guest assembles a small module by hand: the exports of the guest contract around instructions that a test writes. The
// zero Guest is a sound module that denies everything. Fields that are nil take the sound default.
type Guest struct {
	Policy []byte // instructions of policy(op i32, len i32) -> i64, locals 0 and 1 being the parameters; no final end
	Hook   []byte // likewise of hook
	Init   []byte // instructions of init(); nil: no such export
	Start  []byte // instructions of the start function; nil: none
	Alloc  []byte // instructions of alloc(n i32) -> i32; nil: the buffer is at 64 KiB
	Data   string // constant bytes at address 1024, where answers can be kept

	Version     int32  // 0: 1
	Pages       uint32 // of memory; 0: 8
	MaxPages    uint32 // 0: no maximum
	Table       uint32 // items of a table; 0: none
	Locals      []wasmbin.LocalGroup
	Imports     []wasmbin.Import   // of functions; their types are indexes into Types
	Types       []wasmbin.FuncType // added after the builder's own, see TypeIndex
	Without     []string           // exports to leave out
	PolicyType  uint32             // type of policy, one of the Type constants; 0: the right one
	Functions   []Function         // further functions; the first has index FirstFunction plus the number of imports
	Globals     []wasmbin.Global
	FinalCustom []wasmbin.Section
}

// Function is a further function of a Guest.
type Function struct {
	Type   uint32 // one of the Type constants
	Locals []wasmbin.LocalGroup
	Code   []byte // instructions without the final end
}

// Types that every assembled guest has.
const (
	TypeVoid   uint32 = 0 // () -> ()
	TypeI32    uint32 = 1 // () -> i32
	TypeAlloc  uint32 = 2 // (i32) -> i32
	TypeCall   uint32 = 3 // (i32, i32) -> i64
	TypeLog    uint32 = 4 // (i32, i32, i32) -> ()
	FirstType  uint32 = 5 // of Guest.Types
	DataAt            = 1024
	BufferAt          = 65536
	firstOwned        = 6
)

// FirstFunction is the index of Guest.Functions[0] in a guest without imports.
const FirstFunction uint32 = firstOwned

// Wasm returns the module in binary form.
func (g Guest) Wasm() []byte { return g.Module().Encode() }

// Module returns the module taken apart.
func (g Guest) Module() *wasmbin.Module {
	i32, i64 := wasmbin.I32, wasmbin.I64
	m := &wasmbin.Module{
		Types: append([]wasmbin.FuncType{
			TypeVoid:  {},
			TypeI32:   {Results: []wasmbin.ValueType{i32}},
			TypeAlloc: {Params: []wasmbin.ValueType{i32}, Results: []wasmbin.ValueType{i32}},
			TypeCall:  {Params: []wasmbin.ValueType{i32, i32}, Results: []wasmbin.ValueType{i64}},
			TypeLog:   {Params: []wasmbin.ValueType{i32, i32, i32}},
		}, g.Types...),
		Imports:  g.Imports,
		Memories: []wasmbin.Limits{{Min: orDefault(g.Pages, 8), Max: g.MaxPages, HasMax: g.MaxPages > 0}},
		Globals:  g.Globals,
		Customs:  g.FinalCustom,
	}
	if g.Table > 0 {
		m.Tables = []wasmbin.Table{{Items: wasmbin.FuncRef, Limits: wasmbin.Limits{Min: g.Table}}}
	}
	policyType := TypeCall
	if g.PolicyType != 0 {
		policyType = g.PolicyType
	}
	first := m.ImportedCount(wasmbin.KindFunction)
	add := func(name string, typ uint32, code []byte, locals ...wasmbin.LocalGroup) {
		index := first + uint32(len(m.Functions))
		m.Functions = append(m.Functions, typ)
		m.Bodies = append(m.Bodies, wasmbin.Body{Locals: locals, Code: append(slices.Clone(code), 0x0b)})
		if name != "" && !slices.Contains(g.Without, name) {
			m.Exports = append(m.Exports, wasmbin.Export{Name: name, Kind: wasmbin.KindFunction, Index: index})
		}
	}
	if g.Version == 0 {
		g.Version = 1
	}
	add("abi_version", TypeI32, I32Const(g.Version))
	add("alloc", TypeAlloc, orCode(g.Alloc, I32Const(BufferAt)))
	add("policy", policyType, orCode(g.Policy, I64Const(0)), g.Locals...)
	add("hook", TypeCall, orCode(g.Hook, I64Const(0)), g.Locals...)
	add(onlyIf(g.Init != nil, "init"), TypeVoid, g.Init)
	add("", TypeVoid, g.Start)
	if g.Start != nil {
		m.HasStart, m.Start = true, first+firstOwned-1
	}
	for _, f := range g.Functions {
		add("", f.Type, f.Code, f.Locals...)
	}
	if !slices.Contains(g.Without, "memory") {
		m.Exports = append(m.Exports, wasmbin.Export{Name: "memory", Kind: wasmbin.KindMemory})
	}
	if g.Data != "" {
		m.Data = append([]byte{1, 0}, I32Const(DataAt)...)
		m.Data = append(m.Data, 0x0b)
		m.Data = wasmbin.AppendUint32(m.Data, uint32(len(g.Data)))
		m.Data = append(m.Data, g.Data...)
	}
	return m
}

func orDefault(v, fallback uint32) uint32 {
	if v == 0 {
		return fallback
	}
	return v
}

func orCode(code, fallback []byte) []byte {
	if code == nil {
		return fallback
	}
	return code
}

func onlyIf(condition bool, name string) string {
	if condition {
		return name
	}
	return ""
}

// Code joins instructions.
func Code(parts ...[]byte) []byte { return slices.Concat(parts...) }

// I32Const pushes a constant.
func I32Const(v int32) []byte { return wasmbin.AppendInt64([]byte{0x41}, int64(v)) }

// I64Const pushes a constant.
func I64Const(v int64) []byte { return wasmbin.AppendInt64([]byte{0x42}, v) }

// Call calls a function by its index.
func Call(index uint32) []byte { return wasmbin.AppendUint32([]byte{0x10}, index) }

// Op is any instruction given by its bytes.
func Op(bytes ...byte) []byte { return bytes }

// Answer is the result that points at the first n bytes of Data: a yes with a value, or a no with a reason.
func Answer(no bool, n int) []byte {
	result := int64(DataAt)<<32 | int64(n)
	if no {
		result |= -1 << 63
	}
	return I64Const(result)
}
