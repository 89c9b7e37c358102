package meter

import "github.com/sluice-edge/sluice/hooks/wasmbin"

// CostVersion names the table below. It changes with every change to the table, since fuel figures of different tables
// cannot be compared.
const CostVersion = 1

// The cost table, in units of fuel. It follows what instructions take on hardware closely enough that no mix of them
// runs much longer on a unit than another does; it is documented in docs/abi.md.
const (
	costPlain    = 1    // any instruction that is not named here
	costDivide   = 8    // integer division and remainder, floating-point division and square root
	costCall     = 4    // call
	costIndirect = 8    // call_indirect
	costTable    = 2    // br_table
	costImport   = 200  // call of an imported function, on top of costCall
	costGrow     = 5000 // memory.grow
	growShift    = 11   // memory.grow: 2,048 for each page
	bulkShift    = 2    // memory.copy, .fill and .init: 1 for 4 bytes
)

// free are the instructions that become no code.
func free(op byte) bool {
	switch op {
	case wasmbin.OpNop, wasmbin.OpBlock, wasmbin.OpLoop, wasmbin.OpElse, wasmbin.OpEnd:
		return true
	}
	return false
}

// cost returns what one instruction costs apart from what depends on its operands. imports is the number of imported
// functions.
func cost(in *wasmbin.Instruction, imports uint32) int64 {
	switch op := in.Op; {
	case free(op):
		return 0
	case op == wasmbin.OpCall && in.Index < imports:
		return costCall + costImport
	case op == wasmbin.OpCall:
		return costCall
	case op == wasmbin.OpCallIndirect:
		return costIndirect
	case op == wasmbin.OpBrTable:
		return costTable
	case op == wasmbin.OpMemoryGrow:
		return costGrow
	case op >= 0x6d && op <= 0x70, // i32 division and remainder
		op >= 0x7f && op <= 0x82, // i64
		op == 0x91 || op == 0x95, // f32 square root and division
		op == 0x9f || op == 0xa3: // f64
		return costDivide
	}
	return costPlain
}

// stackEffect returns by how much an instruction without control flow changes the height of the operand stack.
func stackEffect(in *wasmbin.Instruction) int {
	switch op := in.Op; {
	case op == wasmbin.OpDrop, op == wasmbin.OpLocalSet, op == wasmbin.OpGlobalSet:
		return -1
	case op == wasmbin.OpSelect, op == wasmbin.OpSelectTyped, op == wasmbin.OpTableSet:
		return -2
	case op == wasmbin.OpLocalGet, op == wasmbin.OpGlobalGet, op == wasmbin.OpMemorySize, op == wasmbin.OpRefNull, op == wasmbin.OpRefFunc,
		op >= wasmbin.OpI32Const && op <= wasmbin.OpF64Const:
		return 1
	case op >= wasmbin.OpI32Store && op <= wasmbin.OpI64Store32:
		return -2
	case op == wasmbin.OpI32Eqz, op == wasmbin.OpI64Eqz, // tests
		op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, // counting bits
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, // floating-point functions of one operand
		op >= 0xa7 && op <= wasmbin.OpI64Extend32S: // conversions
		return 0
	case op > wasmbin.OpI32Eqz && op < 0xa7: // comparisons and arithmetic
		return -1
	case op == wasmbin.PrefixFC:
		switch in.Sub {
		case wasmbin.SubMemoryInit, wasmbin.SubMemoryCopy, wasmbin.SubMemoryFill, wasmbin.SubTableInit, wasmbin.SubTableCopy, wasmbin.SubTableFill:
			return -3
		case wasmbin.SubTableSize:
			return 1
		case wasmbin.SubTableGrow:
			return -1
		}
	}
	return 0
}
