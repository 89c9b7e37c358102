package wasmbin

import (
	"fmt"
)

// ValueType is the type of a local, a parameter, a result, a global or a table's items.
type ValueType byte

const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// Kind says what an import or an export is.
type Kind byte

const (
	KindFunction Kind = 0
	KindTable    Kind = 1
	KindMemory   Kind = 2
	KindGlobal   Kind = 3
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "function"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return fmt.Sprintf("kind(%d)", byte(k))
}

// FuncType is a function's signature.
type FuncType struct{ Params, Results []ValueType }

// Limits are a memory's in pages of 64 KiB, or a table's in items. HasMax false: no maximum.
type Limits struct {
	Min, Max uint32
	HasMax   bool
}

// Table is a table's type.
type Table struct {
	Items  ValueType
	Limits Limits
}

// Global is a global variable. Init is its initial value: a constant expression with its end.
type Global struct {
	Type    ValueType
	Mutable bool
	Init    []byte
}

// Import is one import. Of Type, Table, Memory and Global only the one of its Kind counts.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         uint32 // index into Module.Types
	Table        Table
	Memory       Limits
	Global       Global // without Init
}

// Export is one export. Index counts imports first.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// LocalGroup is a run of locals of one type, as a body declares them.
type LocalGroup struct {
	Count uint32
	Type  ValueType
}

// Body is a function's locals and its instructions with their final end.
type Body struct {
	Locals []LocalGroup
	Code   []byte
}

// Section is a section that is kept as bytes.
type Section struct {
	ID   byte
	Name string // custom sections only
	Body []byte // custom sections: without the name
}

// Module is a module taken apart. Elements and Data stay in their binary form; EachData reads the latter.
type Module struct {
	Types     []FuncType
	Imports   []Import
	Functions []uint32 // type of each function that has a body
	Tables    []Table
	Memories  []Limits
	Globals   []Global
	Exports   []Export
	HasStart  bool
	Start     uint32
	Elements  []byte // content of the section; nil: none
	HasCount  bool   // whether there is a data count section
	DataCount uint32
	Bodies    []Body
	Data      []byte    // content of the section, see EachData; nil: none
	Customs   []Section // all of them, written last by Encode
}

// ImportedCount returns how many imports are of one kind: the index of the first such thing that the module itself has.
func (m *Module) ImportedCount(kind Kind) uint32 {
	var n uint32
	for i := range m.Imports {
		if m.Imports[i].Kind == kind {
			n++
		}
	}
	return n
}

// Section numbers.
const (
	secCustom   = 0
	secType     = 1
	secImport   = 2
	secFunction = 3
	secTable    = 4
	secMemory   = 5
	secGlobal   = 6
	secExport   = 7
	secStart    = 8
	secElement  = 9
	secCode     = 10
	secData     = 11
	secCount    = 12
)

// order gives each section its place: the data count comes before the code.
var order = [...]int{secType: 1, secImport: 2, secFunction: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7,
	secStart: 8, secElement: 9, secCount: 10, secCode: 11, secData: 12}

const header = "\x00asm\x01\x00\x00\x00"
