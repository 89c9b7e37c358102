package s3_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/s3"
)

// bad is a service that answers as a test wants it to; e2e/s3 has a real one.
func bad(t *testing.T, serve http.HandlerFunc) (*blobs.Store, s3.Options) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/owner") {
			w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
			_, _ = io.WriteString(w, "this node")
			return
		}
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	o := valid()
	o.Endpoint, o.Region, o.SpoolDir, o.Timeout, o.Attempts = server.URL, "us-east-1", t.TempDir(), 5*time.Second, 2
	return store(t, o), o
}

func store(t *testing.T, o s3.Options) *blobs.Store {
	t.Helper()
	service, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	b, err := service.Project("project", "this node")
	if err != nil {
		t.Fatal(err)
	}
	return blobs.New(b, blobs.Options{})
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

func TestServiceErrors(t *testing.T) {
	for _, c := range []struct {
		name, code string
		status     int
		want       error
		asked      int32 // times
	}{
		{"full", "XMinioStorageFull", 507, blobs.ErrFull, 1},
		{"over its quota", "QuotaExceeded", 403, blobs.ErrFull, 1},
		{"busy", "SlowDown", 503, blobs.ErrUnavailable, 2},
		{"broken", "InternalError", 500, blobs.ErrUnavailable, 2},
		{"without the bucket", "NoSuchBucket", 404, blobs.ErrUnavailable, 1},
		{"with other keys", "SignatureDoesNotMatch", 403, blobs.ErrUnavailable, 1},
		{"seeing other bytes", "XAmzContentSHA256Mismatch", 400, blobs.ErrUnavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			s, o := bad(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				asked.Add(1)
				refuse(w, c.status, c.code)
			})
			_, err := s.Put(t.Context(), strings.NewReader("bytes"), blobs.NoLimit)
			if !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if n := asked.Load(); n != c.asked {
				t.Errorf("it was asked %d times, want %d", n, c.asked)
			}
			if text := err.Error(); strings.Contains(text, string(o.SecretKey)) {
				t.Errorf("the error holds a secret: %s", text)
			}
			if left, err := os.ReadDir(o.SpoolDir); err != nil || len(left) > 0 {
				t.Errorf("left in the spool: %v, %v", left, err)
			}
		})
	}
}

// A service that is there and says nothing is given up, and so is one that says nothing more in the middle.
func TestSilence(t *testing.T) {
	release := make(chan struct{})
	_, o := bad(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "100000")
			w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
		}
		<-release
	})
	defer close(release) // before the server waits for its handlers
	o.Timeout = 100 * time.Millisecond
	s := store(t, o)
	if _, err := s.Put(t.Context(), strings.NewReader("bytes"), blobs.NoLimit); !errors.Is(err, blobs.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	c, err := s.Open(t.Context(), blobs.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := io.Copy(io.Discard, c); n < 1000 || !errors.Is(err, blobs.ErrUnavailable) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Stat(ctx, blobs.Hash{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stat in an ended context: %v", err)
	}
}

// A stream that breaks off is gone on with where it broke off, as long as something comes.
func TestStreamsThatBreakOff(t *testing.T) {
	content := make([]byte, 400_000)
	for i := range content {
		content[i] = byte(i / 1000)
	}
	var asked atomic.Int32
	s, _ := bad(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		from, to := 0, 0
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
			t.Errorf("%q: %v", r.Header.Get("Range"), err)
		}
		to = min(to, len(content)-1)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[from:min(to+1, from+50_000)]) // the server breaks the connection if that is less
	})
	c, err := s.Open(t.Context(), blobs.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if n := asked.Load(); n < 8 {
		t.Fatalf("it was asked %d times: nothing broke", n)
	}
}

// A service that answers a question for the middle with the beginning is not believed.
func TestServiceWithoutRanges(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100)
	s, _ := bad(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	})
	c, err := s.Open(t.Context(), blobs.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("from the beginning: %d bytes, %v", len(got), err)
	}
	if _, err := c.ReadAt(make([]byte, 5), 7); !errors.Is(err, blobs.ErrUnavailable) {
		t.Fatalf("from the middle: %v", err)
	}
}

// A copy may be answered with 200 and have failed.
func TestCopyThatFailsWith200(t *testing.T) {
	copies := 0
	s, _ := bad(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		switch {
		case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/"):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "5")
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte("bytes"))
		case r.Method == http.MethodPut:
			if copies++; copies == 1 {
				_, _ = io.WriteString(w, "<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
			} else {
				refuse(w, http.StatusOK, "InternalError")
			}
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	_, err := s.Promote(t.Context(), blobs.UploadID{}, blobs.NoLimit)
	if !errors.Is(err, blobs.ErrUnavailable) || copies < 2 {
		t.Fatalf("after %d copies: %v", copies, err)
	}
}

// TLS: who it is has to be shown, by an authority that the operator may name.
func TestAuthorities(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "NoSuchKey")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	o := valid()
	o.Endpoint, o.Region, o.Attempts = server.URL, "us-east-1", 1
	if _, err := store(t, o).Stat(t.Context(), blobs.Hash{}); !errors.Is(err, blobs.ErrUnavailable) {
		t.Errorf("an unknown authority: %v", err)
	}
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(o.CAFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store(t, o).Stat(t.Context(), blobs.Hash{}); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a named authority: %v", err)
	}
	if err := os.WriteFile(o.CAFile, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.Open(o); err == nil {
		t.Error("a file without certificates")
	}
}

// Addresses are made for where clients reach the service, and without asking anybody.
func TestPublicAddress(t *testing.T) {
	o := valid()
	o.Endpoint, o.Public, o.Region, o.Prefix = "http://10.0.0.7:9000", "https://files.example.com", "eu-west-1", "node/"
	for style, prefix := range map[string]string{
		s3.StyleHost: "https://files.files.example.com/node/project/",
		s3.StylePath: "https://files.example.com/files/node/project/",
	} {
		o.Style = style
		s := store(t, o)
		put, err := s.PresignPut(t.Context(), blobs.UploadID{1}, 10, time.Minute)
		if err != nil || !strings.HasPrefix(put, prefix+"uploads/01000000000000000000000000000000?") || !strings.Contains(put, "X-Amz-SignedHeaders=content-length%3Bhost&") {
			t.Errorf("%s: %s, %v", style, put, err)
		}
		get, err := s.PresignGet(t.Context(), blobs.Hash{}, blobs.GetOptions{}, time.Minute)
		if err != nil || !strings.HasPrefix(get, prefix+"blobs/0000") {
			t.Errorf("%s: %s, %v", style, get, err)
		}
	}
}
