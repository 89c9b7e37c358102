//go:build wasip1

package sluice

import "unsafe"

var (
	buffer []byte // the host writes events here
	answer []byte // text of the last answer, kept for the host to read
)

//go:wasmimport sluice log
func hostLogLine(level int32, line string)

func hostLog(level Level, line string) { hostLogLine(int32(level), line) }

//go:wasmimport sluice get
func hostGetText(collection, id string, into unsafe.Pointer, room int32) int32

func hostGet(collection, id string, into []byte) int32 {
	return hostGetText(collection, id, unsafe.Pointer(unsafe.SliceData(into)), int32(len(into)))
}

//go:wasmimport sluice find
func hostFindText(collection, query string, into unsafe.Pointer, room int32) int32

func hostFind(collection, query string, into []byte) int32 {
	return hostFindText(collection, query, unsafe.Pointer(unsafe.SliceData(into)), int32(len(into)))
}

//go:wasmimport sluice count
func hostCount(collection, query string) int64

//go:wasmimport sluice config
func hostConfigText(into unsafe.Pointer, room int32) int32

func hostConfig(into []byte) int32 {
	return hostConfigText(unsafe.Pointer(unsafe.SliceData(into)), int32(len(into)))
}

//go:wasmexport abi_version
func abiVersion() int32 { return 1 }

//go:wasmexport alloc
func alloc(n int32) int32 {
	buffer = make([]byte, n)
	return address(buffer)
}

//go:wasmexport policy
func policy(_, n int32) int64 { return ask(policyFunc, n) }

//go:wasmexport hook
func hook(_, n int32) int64 { return ask(hookFunc, n) }

// ask runs one of the guest's functions and packs its answer into the result of the guest contract.
func ask(f func(*Event) Decision, n int32) int64 {
	if f == nil {
		panic("sluice: the manifest binds this module to an event for which it has set no function")
	}
	e, err := ParseEvent(buffer[:n])
	if err != nil {
		panic(err)
	}
	d := f(e)
	answer = d.text()
	if answer == nil {
		if d.yes {
			return 1
		}
		return 0
	}
	result := int64(address(answer))<<32 | int64(len(answer))
	if !d.yes {
		result |= -1 << 63
	}
	return result
}

func address(b []byte) int32 { return int32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
