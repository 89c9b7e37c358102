package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Sums is the name of the last file.
const Sums = "SHA256SUMS"

// Writer writes an archive. It is for one goroutine, and is of no more use after an error.
type Writer struct {
	zstd *zstd.Encoder
	tar  *tar.Writer
	sums bytes.Buffer
	time time.Time
}

// NewWriter begins an archive whose files carry the time now.
func NewWriter(w io.Writer, now time.Time) (*Writer, error) {
	// One goroutine, not one for each core: a backup runs beside requests.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	return &Writer{zstd: z, tar: tar.NewWriter(z), time: now.Truncate(time.Second)}, nil
}

// Add adds a file of exactly size bytes, which write writes. The name is a relative path with slashes.
func (w *Writer) Add(name string, size int64, write func(io.Writer) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := w.header(name, size); err != nil {
		return err
	}
	hash := sha256.New()
	if err := write(io.MultiWriter(w.tar, hash)); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := w.tar.Flush(); err != nil { // fewer bytes than announced
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(&w.sums, "%x  %s\n", hash.Sum(nil), name)
	return nil
}

func (w *Writer) header(name string, size int64) error {
	return w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.time, Format: tar.FormatPAX})
}

// Close ends the archive with its sums: without them nobody takes it for whole.
func (w *Writer) Close() error {
	if err := w.header(Sums, int64(w.sums.Len())); err != nil {
		return err
	}
	if _, err := w.tar.Write(w.sums.Bytes()); err != nil {
		return err
	}
	return errors.Join(w.tar.Close(), w.zstd.Close())
}

// Abandon frees what the writer holds, after an error; nothing more is written.
func (w *Writer) Abandon() { w.zstd.Reset(nil) }
