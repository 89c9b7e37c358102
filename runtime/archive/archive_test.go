package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-edge/sluice/runtime/archive"
)

var files = map[string]string{"a.json": `{"a":1}`, "d/empty": "", "d/large": strings.Repeat("0123456789", 20_000)}

func pack(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := archive.NewWriter(&out, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json", "d/empty", "d/large"} {
		if err := w.Add(name, int64(len(files[name])), func(w io.Writer) error { _, err := io.WriteString(w, files[name]); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(src []byte) (map[string]string, error) {
	got := map[string]string{}
	return got, archive.Read(bytes.NewReader(src), func(name string, size int64, r io.Reader) error {
		text, err := io.ReadAll(r)
		if err == nil && int64(len(text)) != size {
			return errors.New("wrong size")
		}
		got[name] = string(text)
		return err
	})
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	got, err := unpack(pack(t))
	if err != nil || len(got) != len(files) {
		t.Fatalf("%d files, %v", len(got), err)
	}
	for name, text := range files {
		if got[name] != text {
			t.Errorf("%s differs", name)
		}
	}
	if err := archive.Read(bytes.NewReader(pack(t)), func(string, int64, io.Reader) error { return nil }); err != nil {
		t.Errorf("files that are skipped: %v", err)
	}
}

// An archive that was cut short or altered anywhere is refused, whatever was read of it before: who restores it keeps what
// there was.
func TestDamageIsFound(t *testing.T) {
	whole := pack(t)
	for n := range len(whole) {
		if _, err := unpack(whole[:n]); !errors.Is(err, archive.ErrDamaged) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		src := bytes.Clone(whole)
		at := random.IntN(len(src))
		src[at] ^= byte(1 + random.IntN(255))
		if got, err := unpack(src); err == nil {
			for name, text := range files {
				if got[name] != text {
					t.Fatalf("byte %d altered: %s differs, and nobody notices", at, name)
				}
			}
		} else if !errors.Is(err, archive.ErrDamaged) {
			t.Fatalf("byte %d altered: %v", at, err)
		}
	}
}

// hostile makes a well-formed archive with one strange entry.
func hostile(t testing.TB, h *tar.Header) []byte {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	if err := errors.Join(w.WriteHeader(h), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEntriesThatLeaveTheDirectoryAreRefused(t *testing.T) {
	for name, h := range map[string]*tar.Header{
		"parent":     {Typeflag: tar.TypeReg, Name: "../x"},
		"inner":      {Typeflag: tar.TypeReg, Name: "a/../../x"},
		"absolute":   {Typeflag: tar.TypeReg, Name: "/etc/x"},
		"backslash":  {Typeflag: tar.TypeReg, Name: `a\x`},
		"NUL-like":   {Typeflag: tar.TypeReg, Name: "a\x01"},
		"symlink":    {Typeflag: tar.TypeSymlink, Name: "x", Linkname: "/etc/passwd"},
		"hard link":  {Typeflag: tar.TypeLink, Name: "x", Linkname: "y"},
		"directory":  {Typeflag: tar.TypeDir, Name: "x/"},
		"device":     {Typeflag: tar.TypeChar, Name: "x"},
		"long name":  {Typeflag: tar.TypeReg, Name: strings.Repeat("x", 600)},
		"empty name": {Typeflag: tar.TypeReg, Name: "."},
	} {
		if got, err := unpack(hostile(t, h)); !errors.Is(err, archive.ErrDamaged) || len(got) > 0 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestWriterRefusesWhatCouldNotBeRead(t *testing.T) {
	w, err := archive.NewWriter(io.Discard, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(io.Writer) error { return nil }
	for name, size := range map[string]int64{"../x": 0, "a b": 0, "short": 5} {
		if err := w.Add(name, size, nothing); err == nil {
			t.Errorf("%q of %d bytes was taken", name, size)
		}
	}
	w.Abandon()
}

func FuzzRead(f *testing.F) {
	f.Add(pack(f))
	f.Add([]byte("no archive"))
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := unpack(src)
		if err != nil && !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("not called damaged: %v", err)
		}
		for name := range got {
			if strings.Contains(name, "..") && strings.Contains(name, "/..") || strings.HasPrefix(name, "/") {
				t.Errorf("name %q was let through", name)
			}
		}
	})
}
