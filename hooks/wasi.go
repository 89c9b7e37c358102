package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"

	"github.com/tetratelabs/wazero/api"
)

// WASI preview 1 is here only because language runtimes import it before they reach a guest's own code. There are no
// arguments, no environment, no files; the clock is the event's, randomness is drawn from the event, what is printed is
// logged. So a call remains a function of module and event.

// WASI error numbers.
const (
	wasiOK     = 0
	wasiBadF   = 8
	wasiFault  = 21
	wasiInval  = 28
	wasiNoSys  = 52
	maxWASIVec = 1024 // most buffers of one fd_write
)

// wasiFunctions are all functions of preview 1, so that a guest which merely links one does not fail to load.
var wasiFunctions = map[string]hostFunction{
	"args_get":                {wasiReturn(wasiOK), params("ii"), errno},
	"args_sizes_get":          {wasiNoStrings, params("ii"), errno},
	"environ_get":             {wasiReturn(wasiOK), params("ii"), errno},
	"environ_sizes_get":       {wasiNoStrings, params("ii"), errno},
	"clock_res_get":           {wasiClockResolution, params("ii"), errno},
	"clock_time_get":          {wasiClockTime, params("iIi"), errno},
	"fd_advise":               {wasiReturn(wasiBadF), params("iIIi"), errno},
	"fd_allocate":             {wasiReturn(wasiBadF), params("iII"), errno},
	"fd_close":                {wasiReturn(wasiBadF), params("i"), errno},
	"fd_datasync":             {wasiReturn(wasiBadF), params("i"), errno},
	"fd_fdstat_get":           {wasiFDStat, params("ii"), errno},
	"fd_fdstat_set_flags":     {wasiReturn(wasiBadF), params("ii"), errno},
	"fd_fdstat_set_rights":    {wasiReturn(wasiBadF), params("iII"), errno},
	"fd_filestat_get":         {wasiReturn(wasiBadF), params("ii"), errno},
	"fd_filestat_set_size":    {wasiReturn(wasiBadF), params("iI"), errno},
	"fd_filestat_set_times":   {wasiReturn(wasiBadF), params("iIIi"), errno},
	"fd_pread":                {wasiReturn(wasiBadF), params("iiiIi"), errno},
	"fd_prestat_dir_name":     {wasiReturn(wasiBadF), params("iii"), errno},
	"fd_prestat_get":          {wasiReturn(wasiBadF), params("ii"), errno},
	"fd_pwrite":               {wasiReturn(wasiBadF), params("iiiIi"), errno},
	"fd_read":                 {wasiReturn(wasiBadF), params("iiii"), errno},
	"fd_readdir":              {wasiReturn(wasiBadF), params("iiiIi"), errno},
	"fd_renumber":             {wasiReturn(wasiBadF), params("ii"), errno},
	"fd_seek":                 {wasiReturn(wasiBadF), params("iIii"), errno},
	"fd_sync":                 {wasiReturn(wasiBadF), params("i"), errno},
	"fd_tell":                 {wasiReturn(wasiBadF), params("ii"), errno},
	"fd_write":                {wasiWrite, params("iiii"), errno},
	"path_create_directory":   {wasiReturn(wasiBadF), params("iii"), errno},
	"path_filestat_get":       {wasiReturn(wasiBadF), params("iiiii"), errno},
	"path_filestat_set_times": {wasiReturn(wasiBadF), params("iiiiIIi"), errno},
	"path_link":               {wasiReturn(wasiBadF), params("iiiiiii"), errno},
	"path_open":               {wasiReturn(wasiBadF), params("iiiiiIIii"), errno},
	"path_readlink":           {wasiReturn(wasiBadF), params("iiiiii"), errno},
	"path_remove_directory":   {wasiReturn(wasiBadF), params("iii"), errno},
	"path_rename":             {wasiReturn(wasiBadF), params("iiiiii"), errno},
	"path_symlink":            {wasiReturn(wasiBadF), params("iiiii"), errno},
	"path_unlink_file":        {wasiReturn(wasiBadF), params("iii"), errno},
	"poll_oneoff":             {wasiPoll, params("iiii"), errno},
	"proc_exit":               {wasiExit, params("i"), nil},
	"proc_raise":              {wasiReturn(wasiNoSys), params("i"), errno},
	"random_get":              {wasiRandom, params("ii"), errno},
	"sched_yield":             {wasiReturn(wasiOK), nil, errno},
	"sock_accept":             {wasiReturn(wasiBadF), params("iii"), errno},
	"sock_recv":               {wasiReturn(wasiBadF), params("iiiiii"), errno},
	"sock_send":               {wasiReturn(wasiBadF), params("iiiii"), errno},
	"sock_shutdown":           {wasiReturn(wasiBadF), params("ii"), errno},
}

var errno = []api.ValueType{i32}

// params spells a parameter list: i is an i32, I an i64.
func params(spelling string) []api.ValueType {
	types := make([]api.ValueType, len(spelling))
	for i, c := range spelling {
		types[i] = i32
		if c == 'I' {
			types[i] = i64
		}
	}
	return types
}

func wasiReturn(code uint64) api.GoModuleFunc {
	return func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = code }
}

// wasiNoStrings is args_sizes_get and environ_sizes_get(count *u32, bytes *u32).
func wasiNoStrings(_ context.Context, guest api.Module, stack []uint64) {
	memory := guest.Memory()
	ok := memory.WriteUint32Le(uint32(stack[0]), 0) && memory.WriteUint32Le(uint32(stack[1]), 0)
	stack[0] = faultUnless(ok)
}

// wasiClockResolution is clock_res_get(clock, result *u64): the event's clock has milliseconds.
func wasiClockResolution(_ context.Context, guest api.Module, stack []uint64) {
	stack[0] = faultUnless(guest.Memory().WriteUint64Le(uint32(stack[1]), 1e6))
}

// wasiClockTime is clock_time_get(clock, precision, result *u64). All clocks show the same time.
func wasiClockTime(ctx context.Context, guest api.Module, stack []uint64) {
	stack[0] = faultUnless(guest.Memory().WriteUint64Le(uint32(stack[2]), uint64(callOf(ctx).clock)))
}

// wasiFDStat is fd_fdstat_get(fd, result *fdstat): standard output and error are character devices that can be written.
func wasiFDStat(_ context.Context, guest api.Module, stack []uint64) {
	fd, ptr := uint32(stack[0]), uint32(stack[1])
	if fd > 2 {
		stack[0] = wasiBadF
		return
	}
	stat, ok := guest.Memory().Read(ptr, 24)
	if ok {
		clear(stat)
		stat[0] = 2                                   // character device
		binary.LittleEndian.PutUint64(stat[8:], 1<<6) // right to write
	}
	stack[0] = faultUnless(ok)
}

// wasiWrite is fd_write(fd, vec *iovec, n, written *u32). Standard output is logged as info, standard error as warn.
func wasiWrite(ctx context.Context, guest api.Module, stack []uint64) {
	fd, vec, n, result := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if fd != 1 && fd != 2 {
		stack[0] = wasiBadF
		return
	}
	if n > maxWASIVec {
		stack[0] = wasiInval
		return
	}
	memory := guest.Memory()
	in := callOf(ctx)
	level := slog.LevelInfo
	if fd == 2 {
		level = slog.LevelWarn
	}
	var written uint32
	for i := range n {
		ptr, ok1 := memory.ReadUint32Le(vec + 8*i)
		size, ok2 := memory.ReadUint32Le(vec + 8*i + 4)
		text, ok3 := memory.Read(ptr, size)
		if !ok1 || !ok2 || !ok3 {
			stack[0] = wasiFault
			return
		}
		written += size
		in.charge(int64(size))
		in.print(level, text)
	}
	stack[0] = faultUnless(memory.WriteUint32Le(result, written))
}

// wasiPoll is poll_oneoff(in *subscription, out *event, n, events *u32). Sleeping takes no time: the clock that the
// guest sees moves on instead. Every subscription is answered at once, to anything but a clock with an error.
func wasiPoll(ctx context.Context, guest api.Module, stack []uint64) {
	const (
		subscriptionBytes = 48
		eventBytes        = 32
		absolute          = 1
	)
	inPtr, outPtr, n, result := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if n == 0 || n > 16 {
		stack[0] = wasiInval
		return
	}
	memory := guest.Memory()
	subs, ok1 := memory.Read(inPtr, n*subscriptionBytes)
	events, ok2 := memory.Read(outPtr, n*eventBytes)
	if !ok1 || !ok2 {
		stack[0] = wasiFault
		return
	}
	in := callOf(ctx)
	start, latest := in.clock, in.clock
	for i := range int(n) {
		sub := subs[i*subscriptionBytes:][:subscriptionBytes]
		var event [eventBytes]byte
		copy(event[:8], sub[:8]) // user data
		event[10] = sub[8]       // kind of event
		if sub[8] == 0 {
			until := int64(binary.LittleEndian.Uint64(sub[24:]))
			if binary.LittleEndian.Uint16(sub[40:])&absolute == 0 {
				until += start
			}
			latest = max(latest, until)
		} else {
			binary.LittleEndian.PutUint16(event[8:], wasiBadF)
		}
		copy(events[i*eventBytes:], event[:])
	}
	in.clock = latest
	stack[0] = faultUnless(memory.WriteUint32Le(result, n))
}

// wasiExit is proc_exit(code): a guest that ends itself has given no answer.
func wasiExit(_ context.Context, _ api.Module, stack []uint64) {
	panic(fmt.Errorf("the guest called proc_exit(%d)", uint32(stack[0])))
}

// wasiRandom is random_get(ptr, len): bytes that depend on the event alone.
func wasiRandom(ctx context.Context, guest api.Module, stack []uint64) {
	out, ok := guest.Memory().Read(uint32(stack[0]), uint32(stack[1]))
	if ok {
		in := callOf(ctx)
		in.charge(int64(len(out)))
		if in.random == nil {
			in.random = rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %s", in.clock, in.requestID)))
		}
		_, _ = in.random.Read(out) // never fails
	}
	stack[0] = faultUnless(ok)
}

func faultUnless(ok bool) uint64 {
	if ok {
		return wasiOK
	}
	return wasiFault
}
