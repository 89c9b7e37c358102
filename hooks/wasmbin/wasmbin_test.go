package wasmbin_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"pgregory.net/rapid"
)

func rich() *wasmbin.Module {
	m := hooktest.Guest{
		Policy:   hooktest.Code(hooktest.I32Const(-1), hooktest.Op(0x1a), hooktest.I64Const(1<<62)),
		Data:     "data",
		Table:    10,
		MaxPages: 20,
		Start:    hooktest.Op(0x01),
		Locals:   []wasmbin.LocalGroup{{Count: 3, Type: wasmbin.F64}},
		Imports:  []wasmbin.Import{{Module: "sluice", Name: "log", Type: hooktest.TypeLog}},
		Globals: []wasmbin.Global{
			{Type: wasmbin.I32, Mutable: true, Init: []byte{0x41, 0x2a, 0x0b}},
			{Type: wasmbin.F64, Init: []byte{0x44, 1, 2, 3, 4, 5, 6, 7, 8, 0x0b}},
		},
		FinalCustom: []wasmbin.Section{{Name: "name", Body: []byte{1, 2, 3}}},
	}.Module()
	m.HasCount, m.DataCount = true, 1
	m.Elements = []byte{0}
	return m
}

func TestEncodeAndDecodeAreInverse(t *testing.T) {
	m := rich()
	code := m.Encode()
	back, err := wasmbin.Decode(code)
	if err != nil {
		t.Fatal(err)
	}
	if again := back.Encode(); !bytes.Equal(again, code) {
		t.Errorf("got\n%x\nwant\n%x", again, code)
	}
	if !reflect.DeepEqual(back.Exports, m.Exports) || !reflect.DeepEqual(back.Imports, m.Imports) || back.Start != m.Start || back.Memories[0] != m.Memories[0] {
		t.Errorf("got %+v\nwant %+v", back, m)
	}
}

func TestDecodeRefusesAndSaysWhere(t *testing.T) {
	head := "\x00asm\x01\x00\x00\x00"
	for _, test := range []struct{ name, code, says string }{
		{"an unknown section", head + "\x20\x00", "section 32: unknown"},
		{"sections out of order", head + "\x03\x01\x00\x01\x01\x00", "section 1: out of order"},
		{"two sections of a kind", head + "\x01\x01\x00\x01\x01\x00", "section 1: out of order"},
		{"a section that is too short", head + "\x01\x05\x00", "section 1: unexpected end"},
		{"bytes left over", head + "\x01\x02\x00\x00", "1 bytes too many"},
		{"a count that lies", head + "\x03\x05\xff\xff\xff\xff\x0f", "unexpected end"},
		{"a number of 33 bits", head + "\x03\x05\xff\xff\xff\xff\x1f", "does not fit in 32 bits"},
		{"functions without bodies", head + "\x03\x02\x01\x00", "1 functions are declared, 0 have a body"},
		{"a shared memory", head + "\x05\x04\x01\x03\x01\x01", "limits with flags 0x3"},
		{"a vector type", head + "\x01\x05\x01\x60\x01\x7b\x00", "value type 0x7b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := wasmbin.Decode([]byte(test.code)); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
}

func TestNumbersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, u := rapid.Int64().Draw(t, "v"), rapid.Uint32().Draw(t, "u")
		code := wasmbin.AppendInt64([]byte{wasmbin.OpI64Const}, v)
		code = wasmbin.AppendUint32(append(code, wasmbin.OpCall), u)
		s := wasmbin.NewScanner(code)
		if !s.Next() || s.Op != wasmbin.OpI64Const || !s.Next() || s.Index != u || s.Next() || s.Err() != nil {
			t.Fatalf("%d, %d: %+v, %v", v, u, s.Instruction, s.Err())
		}
	})
}

func TestScannerFindsTheParts(t *testing.T) {
	code := []byte{
		0x02, 0x40, // block
		0x03, 0x7e, // loop i64
		0x0e, 0x02, 0x00, 0x05, 0x01, // br_table 0 5 1
		0xfc, 0x0b, 0x00, // memory.fill
		0x04, 0x83, 0x01, // if (type 131)
		0x28, 0x02, 0x80, 0x01, // i32.load
		0x11, 0x07, 0x00, // call_indirect 7
		0x0b,
	}
	var got []wasmbin.Instruction
	s := wasmbin.NewScanner(code)
	for s.Next() {
		got = append(got, s.Instruction)
	}
	want := []wasmbin.Instruction{
		{Op: wasmbin.OpBlock, Start: 0, End: 2},
		{Op: wasmbin.OpLoop, Start: 2, End: 4, Block: wasmbin.BlockType{Result: wasmbin.I64}},
		{Op: wasmbin.OpBrTable, Start: 4, End: 9, Index: 5, Labels: 3},
		{Op: wasmbin.PrefixFC, Sub: wasmbin.SubMemoryFill, Start: 9, End: 12},
		{Op: wasmbin.OpIf, Start: 12, End: 15, Block: wasmbin.BlockType{Indexed: true, Index: 131}},
		{Op: wasmbin.OpI32Load, Start: 15, End: 19},
		{Op: wasmbin.OpCallIndirect, Start: 19, End: 22, Index: 7},
		{Op: wasmbin.OpEnd, Start: 22, End: 23},
	}
	if s.Err() != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\n got %+v\nwant %+v", s.Err(), got, want)
	}
}

func TestScannerRefusesWhatIsNotAccepted(t *testing.T) {
	for name, code := range map[string][]byte{
		"vectors": {0xfd, 0x00}, "threads": {0xfe, 0x00}, "exceptions": {0x06, 0x40}, "tail calls": {0x12, 0x00}, "a second memory": {0x3f, 0x01},
		"a second memory in a load": {0x28, 0x42, 0x01, 0x00}, "an unknown one": {0xff}, "half of one": {0x41}, "a list that lies": {0x0e, 0xff, 0xff, 0xff, 0x0f}, "typed references": {0x14, 0x00},
	} {
		s := wasmbin.NewScanner(code)
		for s.Next() {
		}
		if s.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzDecode: nothing panics, and what was accepted is written back with the same meaning.
func FuzzDecode(f *testing.F) {
	f.Add(rich().Encode())
	f.Add(hooktest.Guest{}.Wasm())
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, code []byte) {
		m, err := wasmbin.Decode(code)
		if err != nil {
			return
		}
		for _, body := range m.Bodies {
			s := wasmbin.NewScanner(body.Code)
			for s.Next() {
				if s.Start >= s.End || s.End > len(body.Code) {
					t.Fatalf("instruction %+v", s.Instruction)
				}
			}
		}
		_ = m.EachData(func(s wasmbin.DataSegment) error {
			wasmbin.ConstInt32(s.Offset)
			return nil
		})
		once := m.Encode()
		back, err := wasmbin.Decode(once)
		if err != nil {
			t.Fatalf("%x was written as %x, which is refused: %v", code, once, err)
		}
		if again := back.Encode(); !bytes.Equal(again, once) {
			t.Errorf("%x was written as %x, then as %x", code, once, again)
		}
	})
}

func TestDataSegments(t *testing.T) {
	type segment struct {
		passive bool
		offset  int32
		text    string
	}
	for _, test := range []struct {
		name, data string
		want       []segment
		says       string
	}{
		{"none", "\x00", nil, ""},
		{"active, passive, active of memory 0", "\x03\x00\x41\x08\x0b\x02ab\x01\x01c\x02\x00\x41\x7f\x0b\x00", []segment{{false, 8, "ab"}, {true, 0, "c"}, {false, -1, ""}}, ""},
		{"a second memory", "\x01\x02\x01\x41\x00\x0b\x00", nil, "second memory"},
		{"unknown flags", "\x01\x03\x00", nil, "flags 0x3"},
		{"cut off", "\x01\x00\x41\x00\x0b\x05ab", nil, "unexpected end"},
		{"bytes left over", "\x00\x00", nil, "1 bytes too many"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []segment
			err := (&wasmbin.Module{Data: []byte(test.data)}).EachData(func(s wasmbin.DataSegment) error {
				offset, ok := wasmbin.ConstInt32(s.Offset)
				if ok == s.Passive {
					t.Errorf("offset %x of %+v", s.Offset, s)
				}
				got = append(got, segment{s.Passive, offset, string(s.Bytes)})
				return nil
			})
			if test.says == "" && (err != nil || !reflect.DeepEqual(got, test.want)) {
				t.Errorf("%+v, %v", got, err)
			}
			if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
	for _, expr := range []string{"", "\x42\x01\x0b", "\x41\x01", "\x41\x01\x0b\x0b", "\x41\x01\x41\x02\x0b", "\x23\x00\x0b"} {
		if v, ok := wasmbin.ConstInt32([]byte(expr)); ok {
			t.Errorf("%x is said to be %d", expr, v)
		}
	}
}
