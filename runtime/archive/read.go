package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Bounds on what an archive may ask for.
const (
	maxName   = 512
	maxSums   = 1 << 30 // some eight million files
	maxWindow = 64 << 20
)

// ErrDamaged is wrapped by every error that says that an archive is not what was written: cut short, altered, or no archive.
var ErrDamaged = errors.New("the archive is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Read reads an archive and calls each for every file in turn; what each does not read is skipped. Only when Read returns nil
// are all of them known to be whole: until then nothing that each was given may be trusted. Errors: ErrDamaged, those of each.
func Read(r io.Reader, each func(name string, size int64, r io.Reader) error) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return damaged("%v", err)
	}
	defer z.Close()
	var sums bytes.Buffer
	seen := map[string]bool{}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			return damaged("it was cut short: it has no %s", Sums)
		}
		if err != nil {
			return damaged("%v", err)
		}
		if h.Name == Sums {
			return end(t, z, sums.Bytes())
		}
		if err := checkName(h.Name); err != nil || h.Typeflag != tar.TypeReg || seen[h.Name] {
			return damaged("it has an entry %q of a kind that no backup has", h.Name)
		}
		seen[h.Name] = true
		hash := sha256.New()
		body := &source{r: io.TeeReader(t, hash)}
		if err := each(h.Name, h.Size, body); err != nil {
			if body.err != nil {
				return damaged("%s: %v", h.Name, body.err)
			}
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return damaged("%s: %v", h.Name, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", hash.Sum(nil), h.Name)
	}
}

// source remembers that reading failed, so that it is not taken for a failure of who reads.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// end compares the sums, and makes sure that nothing follows.
func end(t *tar.Reader, z io.Reader, want []byte) error {
	got, err := io.ReadAll(io.LimitReader(t, maxSums))
	if err != nil {
		return damaged("%s: %v", Sums, err)
	}
	if !bytes.Equal(got, want) {
		return damaged("its files are not those that %s tells of", Sums)
	}
	if _, err := t.Next(); err != io.EOF {
		return damaged("something follows on %s", Sums)
	}
	if n, err := io.Copy(io.Discard, z); err != nil || n > 1<<20 {
		return damaged("something follows on its end: %v", err)
	}
	return nil
}

// checkName refuses names that could leave the directory into which they are unpacked, or that two systems read differently.
func checkName(name string) error {
	if len(name) == 0 || len(name) > maxName || path.Clean(name) != name || path.IsAbs(name) || name == "." || name == ".." || strings.HasPrefix(name, "../") {
		return fmt.Errorf("archive: bad name %q", name)
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '/') {
			return fmt.Errorf("archive: bad name %q", name)
		}
	}
	return nil
}
