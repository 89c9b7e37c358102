package snapshot

import "errors"

// ErrGrown is what Restore answers for a memory that is larger than its image: it cannot be made smaller.
var ErrGrown = errors.New("snapshot: the memory has grown")

// Space makes images, all with one method.
type Space struct {
	method  Method
	pagemap int // file descriptor; -1: none
}

// Method returns the space's method; never Auto.
func (s *Space) Method() Method { return s.method }

// Close frees what the space holds. No image of it may be in use.
func (s *Space) Close() { s.closePagemap() }

// Image is a state that memories begin with and go back to.
type Image struct {
	space *Space
	state []byte // read-only
	file  int    // holds state, sealed; -1: state is on Go's heap, and memories are plain
}

// Image keeps a copy of state, whose length must be a multiple of 64 KiB. The caller must Close it.
func (s *Space) Image(state []byte) (*Image, error) { return s.ImageOf(state, len(state)) }

// ImageOf is Image of size bytes that begin with state and go on with zeros: whoever knows that they are zero need not have them
// read.
func (s *Space) ImageOf(state []byte, size int) (*Image, error) {
	if s.method == Copy || size == 0 {
		whole := make([]byte, size)
		copy(whole, state)
		return &Image{space: s, state: whole, file: -1}, nil
	}
	return s.mappedImage(state, size)
}

// Bytes returns the state. It is shared and must not be written to; it is gone after Close.
func (i *Image) Bytes() []byte { return i.state }

// Close frees the image. No memory of it may be in use.
func (i *Image) Close() { i.unmap() }

// Memory is a linear memory in the image's state, that may grow to max bytes. The caller must Free it.
func (i *Image) Memory(max uint64) (Memory, error) {
	if i.file < 0 {
		return &plain{image: i, bytes: append([]byte(nil), i.state...), max: max}, nil
	}
	return i.mappedMemory(max)
}

// Memory is a linear memory as an engine wants it, that can be put back.
type Memory interface {
	// Reallocate returns the memory's bytes, at least size of them and never fewer than the image has. It returns nil if it cannot
	// grow so far. What it returned before must not be used any more.
	Reallocate(size uint64) []byte
	// Grown reports whether the memory is larger than its image.
	Grown() bool
	// Restore makes the memory equal to its image. It fails with ErrGrown if the memory has grown; after any error the
	// memory is in an unknown state.
	Restore() error
	// Kept returns how many bytes the memory has for itself, beside the image, as of the last Restore.
	Kept() int64
	// Free gives the memory back. It may be called more than once.
	Free()
}

// plain is a memory on Go's heap that is overwritten as a whole.
type plain struct {
	image *Image
	bytes []byte
	max   uint64
}

func (p *plain) Reallocate(size uint64) []byte {
	if size > p.max {
		return nil
	}
	if size > uint64(len(p.bytes)) {
		grown := make([]byte, size)
		copy(grown, p.bytes)
		p.bytes = grown
	}
	return p.bytes
}

func (p *plain) Grown() bool { return len(p.bytes) > len(p.image.state) }

func (p *plain) Restore() error {
	if p.Grown() {
		return ErrGrown
	}
	copy(p.bytes, p.image.state)
	return nil
}

func (p *plain) Kept() int64 { return int64(len(p.bytes)) }

func (p *plain) Free() { p.bytes = nil }
