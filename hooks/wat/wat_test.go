package wat_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"github.com/sluice-edge/sluice/hooks/wat"
)

// body assembles one function's instructions.
func body(t *testing.T, code string) []byte {
	t.Helper()
	m, err := wat.Module(`(module (type $pair (func (param i32) (result i32 i32))) (global $g (mut i64) (i64.const 1)) (table 2 funcref) (memory 1)
		(func $f (param $a i32) (param $b i32) (local $x i64) ` + code + `) (func $later))`)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return m.Bodies[0].Code[:len(m.Bodies[0].Code)-1]
}

func TestInstructions(t *testing.T) {
	for code, want := range map[string][]byte{
		"(i32.add (local.get $a) (local.get $b)) drop":                                      {0x20, 0, 0x20, 1, 0x6a, 0x1a},
		"local.get $a local.get 1 i32.sub drop":                                             {0x20, 0, 0x20, 1, 0x6b, 0x1a},
		"(i64.store offset=8 align=8 (local.get $a) (i64.const -1))":                        {0x20, 0, 0x42, 0x7f, 0x37, 3, 8},
		"(block $out (loop $in (br $out) (br $in) (br 1)))":                                 {0x02, 0x40, 0x03, 0x40, 0x0c, 1, 0x0c, 0, 0x0c, 1, 0x0b, 0x0b},
		"(if (result i64) (local.get 0) (then (local.get 2)) (else (i64.const 0xff))) drop": {0x20, 0, 0x04, 0x7e, 0x20, 2, 0x05, 0x42, 0xff, 1, 0x0b, 0x1a},
		"block $b (br_table $b 0 1 (local.get 1)) end":                                      {0x02, 0x40, 0x20, 1, 0x0e, 2, 0, 0, 1, 0x0b},
		"(call $later) (call $f (i32.const 1) (i32.const 0xffffffff))":                      {0x10, 1, 0x41, 1, 0x41, 0x7f, 0x10, 0},
		"(call_indirect (type $pair) (i32.const 0) (i32.const 1)) drop drop":                {0x41, 0, 0x41, 1, 0x11, 0, 0, 0x1a, 0x1a},
		"(block (type $pair) (i32.const 1) drop)":                                           {0x02, 0x00, 0x41, 1, 0x1a, 0x0b},
		"(global.set $g (i64.reinterpret_f64 (f64.const 1)))":                               {0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xbd, 0x24, 0},
		"(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))":                           {0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 0},
		"(drop (i32.trunc_sat_f64_u (f64.const 0)))":                                        {0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0xfc, 3, 0x1a},
		"(@repeat 3 nop) ;; (unreachable)\n (; nor (; this ;)":                              {1, 1, 1},
		"(drop (i32.extend8_s (i32.wrap_i64 (i64.extend32_s (local.get $x)))))":             {0x20, 2, 0xc4, 0xa7, 0xc0, 0x1a},
		"(table.set (i32.const 0) (ref.func $later)) (elem.drop 0)":                         {0x41, 0, 0xd2, 1, 0x26, 0, 0xfc, 13, 0},
	} {
		if got := body(t, code); !bytes.Equal(got, want) {
			t.Errorf("%s\n got %x\nwant %x", code, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	m, err := wat.Module(`(module
		(import "a" "b" (func $imported (param i64)))
		(memory (export "memory") 1 2)
		(global (export "g") f32 (f32.const 0.5))
		(table $t 3 funcref)
		(start $start)
		(elem (i32.const 1) $start $imported)
		(data (i32.const 4) "x\00\"" "y")
		(data "passive")
		(func $start (local @3 i32) (local $l f64))
		(export "start" (func $start)))`)
	if err != nil {
		t.Fatal(err)
	}
	want := &wasmbin.Module{
		Types:     []wasmbin.FuncType{{Params: []wasmbin.ValueType{wasmbin.I64}}, {}},
		Imports:   []wasmbin.Import{{Module: "a", Name: "b"}},
		Functions: []uint32{1},
		Tables:    []wasmbin.Table{{Items: wasmbin.FuncRef, Limits: wasmbin.Limits{Min: 3}}},
		Memories:  []wasmbin.Limits{{Min: 1, Max: 2, HasMax: true}},
		Globals:   []wasmbin.Global{{Type: wasmbin.F32, Init: []byte{0x43, 0, 0, 0, 0x3f, 0x0b}}},
		Exports:   []wasmbin.Export{{Name: "memory", Kind: wasmbin.KindMemory}, {Name: "g", Kind: wasmbin.KindGlobal}, {Name: "start", Index: 1}},
		HasStart:  true, Start: 1,
		Elements: []byte{1, 0, 0x41, 1, 0x0b, 2, 1, 0},
		HasCount: true, DataCount: 2,
		Bodies: []wasmbin.Body{{Locals: []wasmbin.LocalGroup{{Count: 3, Type: wasmbin.I32}, {Count: 1, Type: wasmbin.F64}}, Code: []byte{0x0b}}},
		Data:   append([]byte{2, 0, 0x41, 4, 0x0b, 4, 'x', 0, '"', 'y', 1, 7}, "passive"...),
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got\n%+v\nwant\n%+v", m, want)
	}
	if _, err := wasmbin.Decode(m.Encode()); err != nil {
		t.Error(err)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for source, says := range map[string]string{
		"(module\n(func (frob)))":              "line 2: the instruction frob is not known",
		"(module\n(func (call $nobody)))":      "line 2: $nobody is not known",
		"(module\n\n(func (br $out)))":         "line 3: $out is not known",
		"(module (func (i32.const x)))":        "line 1:",
		"(module (func (i32.const)))":          "something is missing",
		"(module (func (if (i32.const 1))))":   "then is missing",
		"(module":                              "a parenthesis is open",
		"(module))":                            "a parenthesis too many",
		`(module (data "x))`:                   "a string is open",
		`(module (data "\zz"))`:                "escape",
		"(module (thing))":                     "the field thing is not known",
		"(func)":                               "is not one module",
		"(module (global i31 (i32.const 0)))":  "i31 is no type",
		"(module (import \"a\" \"b\" (tag)))":  "tag cannot be imported",
		"(module (@repeat x nop))":             "@repeat",
		"(module (func (br_table (nop))))":     "br_table without labels",
		"(module (export \"x\" (tag 0)))":      "tag cannot be exported",
		"(module (func (i64.load offset=zz)))": "line 1:",
		"(module (func (local @x i32)))":       "line 1:",
	} {
		if _, err := wat.Assemble(source); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", source, err, says)
		}
	}
}
