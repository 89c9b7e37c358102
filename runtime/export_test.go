package runtime

import "github.com/sluice-edge/sluice/runtime/auth"

// HashCheaply makes hashes cost next to nothing, unless the project says what they cost: tests that are about something else
// make hundreds, and the race detector makes each of them ten times as slow. What a hash costs by default is tested in package auth.
func (s *Server) HashCheaply() {
	s.hasher = auth.NewHasher(auth.HasherOptions{MemoryKiB: 64, Time: 1})
}
