package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// bbolt trusts the pages of its file: a page number out of range is a memory
// fault, and while it looks for free pages after a crash a panic happens on a
// goroutine that nobody can recover. So the file is walked here first, with
// plain reads. These are the parts of bbolt's file format that it needs.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	pageElement = 16 // leaf: flags, pos, ksize, vsize; branch: pos, ksize, child 8
	pageBranch  = 0x01
	pageLeaf    = 0x02
	pageFree    = 0x10
	bucketFlag  = 0x01 // of a leaf element whose value is a bucket
	bucketHead  = 16   // root page 8, sequence 8
	metaSize    = 64
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreelist  = ^uint64(0)
	maxDepth    = 64
)

// metaPage is one of the two pages that say which state of the file is
// current.
type metaPage struct {
	pageSize int64
	root     uint64
	freelist uint64
	end      uint64 // pages from here on are not in use
	txid     uint64
}

var native = binary.NativeEndian

func parseMeta(page []byte) (m metaPage, ok bool) {
	if len(page) < pageHeader+metaSize {
		return m, false
	}
	b := page[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if native.Uint32(b) != metaMagic || native.Uint32(b[4:]) != metaVersion || native.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return m, false
	}
	m = metaPage{pageSize: int64(native.Uint32(b[8:])), root: native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]), end: native.Uint64(b[40:]), txid: native.Uint64(b[48:])}
	size := m.pageSize
	return m, size >= 1024 && size <= 1<<24 && size&(size-1) == 0
}

// earlier returns the head page that would say the same as the transaction
// before, which has its place on the other of the first two pages.
func earlier(page []byte) []byte {
	page = slices.Clone(page)
	b := page[pageHeader:]
	txid := native.Uint64(b[48:]) - 1
	native.PutUint64(page, txid%2)
	native.PutUint64(b[48:], txid)
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	native.PutUint64(b[metaSize-8:], sum.Sum64())
	return page
}

// readMeta finds the current meta page as bbolt does: the valid one with the
// higher transaction.
func readMeta(f io.ReaderAt) (metaPage, error) {
	buf := make([]byte, pageHeader+metaSize)
	at := func(offset int64) (metaPage, bool) {
		n, _ := f.ReadAt(buf, offset)
		return parseMeta(buf[:n])
	}
	first, ok := at(0)
	if ok {
		if second, ok := at(first.pageSize); ok && second.pageSize == first.pageSize && second.txid > first.txid {
			return second, nil
		}
		return first, nil
	}
	for size := int64(1024); size <= 1<<24; size *= 2 {
		if second, ok := at(size); ok && second.pageSize == size {
			return second, nil
		}
	}
	return metaPage{}, errors.New("is not a database, or its head is damaged")
}

// precheck returns what is wrong with a data file, as the rest of a sentence
// that begins with its name. A file that was closed in order is checked at
// its top only, whatever its size; one that was not, whole, as bbolt is about
// to read it whole.
func precheck(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot be examined: %w", err)
	}
	if info.Size() == 0 {
		return errors.New("is empty")
	}
	w, err := newWalk(f, info.Size())
	if err != nil {
		return err
	}
	return w.run(w.meta.freelist == noFreelist)
}

// walk visits the pages of a file.
type walk struct {
	f    io.ReaderAt
	meta metaPage
	seen []byte // bit set of pages, each of which may be met once; nil: as often as one likes
	buf  []byte // of page
	deep bool   // also what is in the buckets
}

func newWalk(f io.ReaderAt, size int64) (*walk, error) {
	m, err := readMeta(f)
	if err != nil {
		return nil, err
	}
	switch {
	case size%m.pageSize != 0 || size < 4*m.pageSize || m.end > uint64(size/m.pageSize):
		return nil, errors.New("was cut short")
	case m.end < 4 || !m.holds(m.root) || m.freelist != noFreelist && !m.holds(m.freelist):
		return nil, errors.New("has a damaged head")
	}
	return &walk{f: f, meta: m, seen: make([]byte, m.end/8+1)}, nil
}

func (m *metaPage) holds(page uint64) bool { return page >= 2 && page < m.end }

func (w *walk) run(deep bool) error {
	w.deep = deep
	if w.meta.freelist != noFreelist {
		if err := w.freelist(); err != nil {
			return fmt.Errorf("is damaged: %w", err)
		}
	}
	if err := w.tree(w.meta.root, nil, nil, 0, true); err != nil {
		return fmt.Errorf("is damaged: %w", err)
	}
	return nil
}

// page reads a page with its overflow and checks its head. The bytes are good
// until the next call.
func (w *walk) page(id uint64) (p []byte, flags, count int, err error) {
	if !w.meta.holds(id) {
		return nil, 0, 0, fmt.Errorf("page %d is out of range", id)
	}
	size, offset := w.meta.pageSize, int64(id)*w.meta.pageSize
	w.buf = slices.Grow(w.buf[:0], int(size))[:size]
	if _, err := w.f.ReadAt(w.buf, offset); err != nil {
		return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
	}
	pages := uint64(native.Uint32(w.buf[12:])) + 1
	if native.Uint64(w.buf) != id || pages > w.meta.end-id {
		return nil, 0, 0, fmt.Errorf("page %d is not where it should be", id)
	}
	for n := id; w.seen != nil && n < id+pages; n++ {
		if w.seen[n/8]&(1<<(n%8)) != 0 {
			return nil, 0, 0, fmt.Errorf("page %d is used twice", n)
		}
		w.seen[n/8] |= 1 << (n % 8)
	}
	if pages > 1 {
		w.buf = slices.Grow(w.buf, int(pages-1)*int(size))[:int64(pages)*size]
		if _, err := w.f.ReadAt(w.buf[size:], offset+size); err != nil {
			return nil, 0, 0, fmt.Errorf("page %d: %w", id, err)
		}
	}
	return w.buf, int(native.Uint16(w.buf[8:])), int(native.Uint16(w.buf[10:])), nil
}

func (w *walk) freelist() error {
	id := w.meta.freelist
	p, flags, count, err := w.page(id)
	if err != nil {
		return err
	}
	body := p[pageHeader:]
	n := uint64(count)
	if count == 0xFFFF && len(body) >= 8 { // too many for the head
		n, body = native.Uint64(body), body[8:]
	}
	if flags != pageFree || n > uint64(len(body)/8) {
		return fmt.Errorf("page %d is no list of free pages", id)
	}
	for ; n > 0; n, body = n-1, body[8:] {
		free := native.Uint64(body)
		if !w.meta.holds(free) || w.seen[free/8]&(1<<(free%8)) != 0 {
			return fmt.Errorf("page %d in the list of free pages is not free", free)
		}
		w.seen[free/8] |= 1 << (free % 8)
	}
	return nil
}

// tree walks the pages below one page. Keys are in [low, high). The top tree
// holds the buckets.
func (w *walk) tree(id uint64, low, high []byte, depth int, top bool) error {
	p, flags, _, err := w.page(id)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d is too deep", id)
	}
	if flags != pageLeaf || top {
		p = slices.Clone(p) // other pages are read while it is looked at
	}
	if flags == pageLeaf {
		return w.leaf(p, id, low, high, depth, top)
	}
	children, err := branches(p, id)
	if err != nil {
		return err
	}
	for i := range children {
		key := children[i].key
		if i > 0 && bytes.Compare(children[i-1].key, key) >= 0 ||
			i == 0 && low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("page %d has keys out of order", id)
		}
	}
	for i, c := range children {
		end := high
		if i+1 < len(children) {
			end = children[i+1].key
		}
		if err := w.tree(c.page, c.key, end, depth+1, top); err != nil {
			return err
		}
	}
	return nil
}

type branch struct {
	key  []byte
	page uint64
}

// branches takes a branch page apart; the keys are part of it.
func branches(p []byte, id uint64) ([]branch, error) {
	count := int(native.Uint16(p[10:]))
	if native.Uint16(p[8:]) != pageBranch || count == 0 || pageHeader+count*pageElement > len(p) {
		return nil, fmt.Errorf("page %d is neither branch nor leaf", id)
	}
	out := make([]branch, count)
	for i := range out {
		el := pageHeader + i*pageElement
		key, _, ok := part(p, el, native.Uint32(p[el:]), native.Uint32(p[el+4:]), 0)
		if !ok || len(key) == 0 {
			return nil, fmt.Errorf("page %d has a damaged element", id)
		}
		out[i] = branch{slices.Clip(key), native.Uint64(p[el+8:])}
	}
	return out, nil
}

func (w *walk) leaf(p []byte, id uint64, low, high []byte, depth int, top bool) error {
	if native.Uint16(p[8:]) != pageLeaf {
		return fmt.Errorf("page %d is no leaf", id)
	}
	count := int(native.Uint16(p[10:]))
	if pageHeader+count*pageElement > len(p) {
		return fmt.Errorf("page %d has too many elements", id)
	}
	var last []byte
	for i := range count {
		el := pageHeader + i*pageElement
		key, value, ok := part(p, el, native.Uint32(p[el+4:]), native.Uint32(p[el+8:]), native.Uint32(p[el+12:]))
		if !ok || len(key) == 0 {
			return fmt.Errorf("page %d has a damaged element", id)
		}
		if i > 0 && bytes.Compare(last, key) >= 0 || low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("page %d has keys out of order", id)
		}
		last = key
		// The buckets are flat: at the top there is nothing else, below none.
		want := uint32(0)
		if top {
			want = bucketFlag
		}
		if native.Uint32(p[el:]) != want {
			return fmt.Errorf("page %d has an element of the wrong kind", id)
		}
		if !top {
			continue
		}
		if err := w.bucket(value, id, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) bucket(value []byte, id uint64, depth int) error {
	if len(value) < bucketHead {
		return fmt.Errorf("page %d has a damaged bucket", id)
	}
	root := native.Uint64(value)
	if root != 0 {
		if !w.meta.holds(root) {
			return fmt.Errorf("page %d has a damaged bucket", id)
		}
		if !w.deep {
			return nil
		}
		return w.tree(root, nil, nil, depth+1, false)
	}
	// A small bucket is a page inside the value.
	if len(value) < bucketHead+pageHeader {
		return fmt.Errorf("page %d has a damaged bucket", id)
	}
	return w.leaf(value[bucketHead:], id, nil, nil, depth+1, false)
}

// part cuts key and value of the element at el, whose bytes begin pos behind it.
func part(p []byte, el int, pos, keySize, valueSize uint32) (key, value []byte, ok bool) {
	start := uint64(el) + uint64(pos)
	mid := start + uint64(keySize)
	end := mid + uint64(valueSize)
	if end > uint64(len(p)) {
		return nil, nil, false
	}
	return p[start:mid], p[mid:end], true
}
