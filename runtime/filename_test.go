package runtime

import (
	"mime"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzFileName: whatever a client calls a file, its path is read back as exactly that file, its address holds one segment,
// and its disposition is one header from which a reader gets the name.
func FuzzFileName(f *testing.F) {
	for _, name := range []string{"a.txt", "../../etc/passwd", `..\x`, "grüße \"1\".txt", "\x00", "100%", "\u202egnp.exe", "", "\xff", "a;b=c, d"} {
		f.Add(name)
	}
	const id = "6929a0f0f0f0f0f0f0f0f0f0"
	f.Fuzz(func(t *testing.T, raw string) {
		name, err := cleanFileName(raw)
		if err != nil {
			return
		}
		if name == "" || len(name) > maxFileName || !utf8.ValidString(name) || strings.ContainsAny(name, "/\\%\r\n\x00") {
			t.Fatalf("%q became %q", raw, name)
		}
		key := formatUUID([16]byte{1, 2, 3}) + "_" + name
		got, err := parseFilePath(id, id+"/"+key)
		if err != nil || got != key {
			t.Fatalf("%q is read back as %q, %v", key, got, err)
		}
		path := filesPrefix + id + "/" + url.PathEscape(key)
		if !soundPath([]byte(path)) {
			t.Fatalf("the address %q is refused", path)
		}
		r := &request{}
		var ok bool
		if r.path, ok = splitFileAddress([]byte(path)); !ok {
			t.Fatalf("the address %q is no file's", path)
		}
		if got, err := r.fileKey(); err != nil || got != key {
			t.Fatalf("the address %q names %q, %v", path, got, err)
		}
		d := disposition(asAttachment, name)
		for i := range len(d) {
			if d[i] < ' ' || d[i] > '~' {
				t.Fatalf("%q is no header", d)
			}
		}
		kind, params, err := mime.ParseMediaType(d)
		if err != nil || kind != asAttachment || params["filename"] != name {
			t.Fatalf("%q is read as %q, %v", d, params["filename"], err)
		}
	})
}

// FuzzFilePath: a path either names a file of the project, by a key that is one name, or is denied.
func FuzzFilePath(f *testing.F) {
	const id = "6929a0f0f0f0f0f0f0f0f0f0"
	for _, path := range []string{"", "/", id + "/", id + "/../x", id + "%2f" + formatUUID([16]byte{}) + "_a", "%", id + "/" + formatUUID([16]byte{}) + "_%252e"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		key, err := parseFilePath(id, path)
		if err != nil {
			if err != errFileDenied {
				t.Fatalf("%q: %v", path, err)
			}
			return
		}
		if strings.ContainsAny(key, "/\\%\x00\r\n") || key == ".." || len(key) > maxFileKey || !utf8.ValidString(key) {
			t.Fatalf("%q names %q", path, key)
		}
		if again, err := parseFilePath(id, id+"/"+key); err != nil || again != key {
			t.Fatalf("%q names %q, which names %q", path, key, again)
		}
	})
}

// FuzzRange: a range lies within the file, or there is none.
func FuzzRange(f *testing.F) {
	for _, text := range []string{"bytes=0-1", "bytes=-1", "bytes=5-", "bytes=9223372036854775807-", "bytes=-9223372036854775808"} {
		f.Add([]byte(text), int64(10))
	}
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		if size < 0 {
			return
		}
		first, n, ok := parseRange(text, size)
		if ok && n != 0 && (first < 0 || n < 0 || first > size-n) {
			t.Fatalf("%q of %d bytes: %d from %d", text, size, n, first)
		}
	})
}
