package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keepPages is how many pages of its own a memory may keep. One that needs more gives all of them back: it pays for
// faults again, and the host's memory stays bounded.
const keepPages = 512

func (s *Space) openPagemap() (err error) {
	s.pagemap, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

func (s *Space) closePagemap() {
	if s.pagemap >= 0 {
		_ = unix.Close(s.pagemap) // it was only read
		s.pagemap = -1
	}
}

// mappedImage writes state to a file of size bytes without a name, seals it and maps it for reading.
func (s *Space) mappedImage(state []byte, size int) (*Image, error) {
	const name, flags = "guest", unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	file, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err != nil { // kernels before 6.3 do not know the last flag
		if file, err = unix.MemfdCreate(name, flags); err != nil {
			return nil, fmt.Errorf("snapshot: make image: %w", err)
		}
	}
	i := &Image{space: s, file: file}
	if err := i.fill(state, size); err != nil {
		i.unmap()
		return nil, fmt.Errorf("snapshot: fill image: %w", err)
	}
	return i, nil
}

// fill leaves zeros out, so that memory which a guest has never used costs nothing.
func (i *Image) fill(state []byte, size int) error {
	if err := unix.Ftruncate(i.file, int64(size)); err != nil {
		return err
	}
	const block = 4096
	var zeros [block]byte
	for from := 0; from < len(state); {
		to := from
		for to < len(state) && !bytes.Equal(state[to:min(to+block, len(state))], zeros[:min(block, len(state)-to)]) {
			to = min(to+block, len(state))
		}
		for from < to {
			n, err := unix.Pwrite(i.file, state[from:to], int64(from))
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			from += max(n, 0)
		}
		from += block
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(i.file), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	var err error
	i.state, err = unix.Mmap(i.file, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	return err
}

func (i *Image) unmap() {
	if i.file < 0 {
		i.state = nil
		return
	}
	if i.state != nil {
		_ = unix.Munmap(i.state) // it is a mapping of ours: this cannot fail
		i.state = nil
	}
	_ = unix.Close(i.file)
	i.file = -1
}

// mapped is a private mapping of an image in front of address space to grow into.
type mapped struct {
	image *Image
	base  unsafe.Pointer
	space []byte // all of the address space, of which size bytes can be used
	size  uint64
	kept  int64 // bytes of pages that are not the file's

	scan    scanArg
	regions [64]region
	entries []uint64 // of Pagemap
}

func (i *Image) mappedMemory(max uint64) (Memory, error) {
	m := &mapped{image: i, size: uint64(len(i.state))}
	if max < m.size {
		return nil, fmt.Errorf("snapshot: make memory: %d bytes do not hold the image", max)
	}
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(max), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("snapshot: reserve memory: %w", err)
	}
	m.base, m.space = base, unsafe.Slice((*byte)(base), max)
	if _, err := unix.MmapPtr(i.file, 0, base, uintptr(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE); err != nil {
		m.Free()
		return nil, fmt.Errorf("snapshot: map memory: %w", err)
	}
	// A huge page would be copied as a whole for one byte. Kernels without huge pages refuse the advice, and do not need it.
	_ = unix.Madvise(m.space[:m.size], unix.MADV_NOHUGEPAGE)
	if i.space.method == Pagemap {
		m.entries = make([]uint64, min(2048, m.size/uint64(os.Getpagesize())))
	}
	return m, nil
}

// populateBytes is from which size on what a memory grows by is made at once.
const populateBytes = 1 << 20

func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.space)) {
		return nil
	}
	if size > m.size {
		if err := unix.Mprotect(m.space[m.size:size], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil
		}
		if size-m.size >= populateBytes {
			// Many faults would be taken in the guest's code, where no collection of garbage can begin; here one can. It may
			// fail, as on an older kernel: then they are taken there.
			_ = unix.Madvise(m.space[m.size:size], unix.MADV_POPULATE_WRITE)
		}
		m.size = size
	}
	return m.space[:m.size:m.size]
}

func (m *mapped) Grown() bool { return m.size > uint64(len(m.image.state)) }

func (m *mapped) Kept() int64 { return m.kept }

func (m *mapped) Free() {
	if m.space != nil {
		_ = unix.MunmapPtr(m.base, uintptr(len(m.space))) // it is a mapping of ours: this cannot fail
		m.space, m.base, m.size = nil, nil, 0
	}
}

func (m *mapped) Restore() error {
	if m.Grown() {
		return ErrGrown
	}
	pages, err := 0, error(nil)
	if m.image.space.method == Scan {
		pages, err = m.restoreScan()
	} else {
		pages, err = m.restorePagemap()
	}
	if err == nil && pages > keepPages {
		pages = 0
		err = unix.Madvise(m.space[:m.size], unix.MADV_DONTNEED) // this restores, too
	}
	m.kept = int64(pages) * int64(os.Getpagesize())
	if err != nil {
		return fmt.Errorf("snapshot: restore memory: %w", err)
	}
	return nil
}

// scanArg is struct pm_scan_arg of <linux/fs.h>.
type scanArg struct {
	size, flags, start, end, walkEnd, vec, vecLen, maxPages uint64
	inverted, categoryMask, categoryAnyOfMask, returnMask   uint64
}

// region is struct page_region.
type region struct {
	start, end uint64
	_          uint64 // categories
}

const (
	pagemapScan = 0xc0606610 // PAGEMAP_SCAN, _IOWR('f', 16, struct pm_scan_arg)
	pageFile    = 1 << 2     // PAGE_IS_FILE
	pagePresent = 1 << 3     // PAGE_IS_PRESENT
	pageSwapped = 1 << 4     // PAGE_IS_SWAPPED
)

// restoreScan lets the kernel list the ranges whose pages are not the file's own. It returns how many pages there are.
func (m *mapped) restoreScan() (pages int, err error) {
	page := uint64(os.Getpagesize())
	base := uint64(uintptr(m.base))
	arg := &m.scan
	*arg = scanArg{
		size: uint64(unsafe.Sizeof(*arg)), start: base, end: base + m.size,
		vec: uint64(uintptr(unsafe.Pointer(&m.regions))), vecLen: uint64(len(m.regions)),
		inverted: pageFile, categoryMask: pageFile, categoryAnyOfMask: pagePresent | pageSwapped, returnMask: pagePresent,
	}
	for arg.start < arg.end {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m.image.space.pagemap), pagemapScan, uintptr(unsafe.Pointer(arg)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		if n > uintptr(len(m.regions)) || arg.walkEnd <= arg.start {
			return 0, errors.New("PAGEMAP_SCAN makes no progress")
		}
		for _, r := range m.regions[:n] {
			from, to := r.start-base, r.end-base
			copy(m.space[from:to], m.image.state[from:to])
			pages += int((to - from) / page)
		}
		arg.start = arg.walkEnd
	}
	return pages, nil
}

// Bits of an entry of /proc/self/pagemap.
const (
	entryPresent = 1 << 63
	entrySwapped = 1 << 62
	entryFile    = 1 << 61
)

// restorePagemap reads one number for each page. It returns how many pages are not the file's own.
func (m *mapped) restorePagemap() (pages int, err error) {
	page := uint64(os.Getpagesize())
	first := uint64(uintptr(m.base)) / page
	for at, all := uint64(0), m.size/page; at < all; {
		entries := m.entries[:min(uint64(len(m.entries)), all-at)]
		raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(entries))), 8*len(entries))
		n, err := unix.Pread(m.image.space.pagemap, raw, int64(8*(first+at)))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if n < 8 {
			return 0, errors.New("/proc/self/pagemap ends early")
		}
		entries = entries[:n/8]
		for i, entry := range entries {
			if entry&(entryPresent|entrySwapped) != 0 && entry&entryFile == 0 {
				from := (at + uint64(i)) * page
				copy(m.space[from:from+page], m.image.state[from:from+page])
				pages++
			}
		}
		at += uint64(len(entries))
	}
	return pages, nil
}
