package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

// addresses has a client send and fetch bytes by itself, where the backend has addresses.
func addresses(t *testing.T, f Fixture, s *blobs.Store) {
	id, content := newID(), random(100_000)
	address, err := s.PresignPut(t.Context(), id, int64(len(content)), time.Minute)
	if errors.Is(err, blobs.ErrNotSupported) {
		if _, err := s.PresignGet(t.Context(), blobs.Hash{}, blobs.GetOptions{}, time.Minute); !errors.Is(err, blobs.ErrNotSupported) {
			t.Errorf("an address for reading, and none for writing: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	// Where a client's library computes checksums, an address that has one of nothing in it refuses real bytes.
	if strings.Contains(strings.ToLower(address), "checksum") {
		t.Errorf("the address asks for a checksum: %s", address)
	}
	if _, err := s.StatUpload(t.Context(), id); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("before anything was sent: %v", err)
	}
	for _, wrong := range [][]byte{content[1:], append(bytes.Clone(content), 0), nil} {
		if status, _, _ := fetch(t, f, http.MethodPut, address, wrong, nil); status/100 == 2 {
			t.Errorf("an address for %d bytes took %d", len(content), len(wrong))
		}
	}
	for what, bad := range map[string]string{
		"another upload's": strings.Replace(address, id.String(), newID().String(), 1),
		"another size's":   strings.Replace(address, "content-length", "content-type", 1),
		"a later one's":    strings.Replace(address, "X-Amz-Expires=60", "X-Amz-Expires=6000", 1),
	} {
		if bad == address {
			t.Fatalf("the address could not be altered to %s: %s", what, address)
		}
		if status, _, _ := fetch(t, f, http.MethodPut, bad, content, nil); status/100 == 2 {
			t.Errorf("an address altered to %s is taken", what)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if status, _, _ := fetch(t, f, method, address, nil, nil); status/100 == 2 {
			t.Errorf("an address for PUT takes %s", method)
		}
	}
	status, _, body := fetch(t, f, http.MethodPut, address, content, map[string]string{"Content-Type": "image/png"})
	if status != http.StatusOK {
		t.Fatalf("the upload is answered %d: %s", status, body)
	}
	l, err := s.Promote(t.Context(), id, blobs.NoLimit)
	if err != nil || l.Size != int64(len(content)) || !bytes.Equal(read(t, s, l.Hash), content) {
		t.Fatalf("promoted %+v, %v", l, err)
	}
	defer l.Release()
	if err := s.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}

	address, err = s.PresignGet(t.Context(), l.Hash, blobs.GetOptions{Type: "text/plain; charset=utf-8", Disposition: `attachment; filename="a b.txt"`, Cache: "no-store"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	status, header, body := fetch(t, f, http.MethodGet, address, nil, nil)
	if status != http.StatusOK || !bytes.Equal(body, content) {
		t.Fatalf("answered %d with %d bytes", status, len(body))
	}
	for name, want := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Disposition": `attachment; filename="a b.txt"`, "Cache-Control": "no-store"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	status, _, body = fetch(t, f, http.MethodGet, address, nil, map[string]string{"Range": "bytes=10-19"})
	if status != http.StatusPartialContent || !bytes.Equal(body, content[10:20]) {
		t.Errorf("a range is answered %d with %d bytes", status, len(body))
	}
	if status, _, _ := fetch(t, f, http.MethodGet, strings.Replace(address, "X-Amz-Expires=60", "X-Amz-Expires=61", 1), nil, nil); status != http.StatusForbidden {
		t.Errorf("an altered address is answered %d", status)
	}
	if status, _, _ := fetch(t, f, http.MethodPut, address, content, nil); status/100 == 2 {
		t.Error("an address for GET takes PUT")
	}
}

func fetch(t *testing.T, f Fixture, method, address string, body []byte, header map[string]string) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var r io.Reader
	if method == http.MethodPut {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, r)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := f.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, got
}
