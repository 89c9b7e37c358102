package snapshot

import (
	"bytes"
	"fmt"
)

// Method is how Memory.Restore learns what has changed.
type Method int

const (
	Auto    Method = iota // the best that passes its test
	Scan                  // PAGEMAP_SCAN: the kernel lists the ranges; Linux 6.7 and newer
	Pagemap               // /proc/self/pagemap: one number for each page; Linux
	Copy                  // nobody is asked, all of it is overwritten; everywhere
)

// String returns the method's name.
func (m Method) String() string {
	switch m {
	case Auto:
		return "auto"
	case Scan:
		return "pagemap scan"
	case Pagemap:
		return "pagemap"
	case Copy:
		return "copy"
	}
	return fmt.Sprintf("method(%d)", int(m))
}

// Open returns a space that uses method, or the best method that works here if it is Auto. It fails only if a method other than
// Auto and Copy does not work. The caller must Close the space after everything that it made.
func Open(method Method) (*Space, error) {
	if method != Auto {
		return open(method)
	}
	for _, m := range []Method{Scan, Pagemap} {
		if s, err := open(m); err == nil {
			return s, nil
		}
	}
	return open(Copy)
}

// open opens a space and lets it prove itself.
func open(method Method) (*Space, error) {
	s := &Space{method: method, pagemap: -1}
	if method == Copy {
		return s, nil
	}
	if err := s.openPagemap(); err != nil {
		return nil, fmt.Errorf("snapshot: %s: %w", method, err)
	}
	if err := s.test(); err != nil {
		s.Close()
		return nil, fmt.Errorf("snapshot: %s does not work here: %w", method, err)
	}
	return s, nil
}

// test writes to a memory in ways that a kernel could be wrong about, and looks whether all of it is undone.
func (s *Space) test() error {
	const page, pages = 4096, 256
	state := make([]byte, page*pages)
	for i := range state {
		if i/page%3 != 0 { // every third page is a hole of the file
			state[i] = byte(i) ^ byte(i/page)
		}
	}
	image, err := s.Image(state)
	if err != nil {
		return err
	}
	defer image.Close()
	memory, err := image.Memory(2 * page * pages)
	if err != nil {
		return err
	}
	defer memory.Free()
	view := memory.Reallocate(uint64(len(state)))
	for round, writes := range []func(i int) bool{
		func(int) bool { return false },             // nothing, and no page was ever touched
		func(i int) bool { return i == pages-1 },    // the last one, unread until now
		func(i int) bool { return i%2 == 0 },        // more ranges than one answer of the kernel can hold
		func(i int) bool { return i > 3 && i < 99 }, // a long range over pages that were copied before and others
		func(int) bool { return true },              // everything
		func(i int) bool { return i == 7 },          // a little after much
	} {
		for i := range pages {
			if writes(i) {
				view[i*page+i*13%page]++
			}
		}
		if err := memory.Restore(); err != nil {
			return err
		}
		if !bytes.Equal(view, state) {
			return fmt.Errorf("round %d left something behind", round)
		}
	}
	return nil
}
