//go:build !linux

package snapshot

import "errors"

func (s *Space) openPagemap() error { return errors.ErrUnsupported }

func (s *Space) closePagemap() {}

func (s *Space) mappedImage([]byte, int) (*Image, error) { return nil, errors.ErrUnsupported }

func (i *Image) mappedMemory(uint64) (Memory, error) { return nil, errors.ErrUnsupported }

func (i *Image) unmap() { i.state = nil }
