package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/s3"
)

func TestPing(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	if err := open(t, g.options(t)).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change  func(*s3.Options)
		says    string
		refused bool // and not just not there
	}{
		"another secret": {func(o *s3.Options) { o.SecretKey = "wrong" }, bucket, true},
		"another key":    {func(o *s3.Options) { o.AccessKey = "wrong" }, bucket, true},
		"no such bucket": {func(o *s3.Options) { o.Bucket = "no-such-bucket" }, "no bucket no-such-bucket", true},
		"nobody there":   {func(o *s3.Options) { o.Endpoint = "http://127.0.0.1:1" }, "connection refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := g.options(t)
			o.Attempts = 1
			c.change(&o)
			err := open(t, o).Ping(t.Context())
			if !errors.Is(err, blobs.ErrUnavailable) || errors.Is(err, s3.ErrRefused) != c.refused || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secretKey) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Two nodes under one prefix would sweep each other's objects: the second is refused whatever is not reading.
func TestOwner(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	service := open(t, g.options(t))
	store := func(project, owner string) *blobs.Store {
		t.Helper()
		b, err := service.Project(project, owner)
		if err != nil {
			t.Fatal(err)
		}
		return blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	}
	nobody := func(context.Context, blobs.Hash) (bool, error) { return false, nil }
	l, err := store("project", "node one").Put(t.Context(), strings.NewReader("bytes"), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"node two", ""} {
		s := store("project", owner)
		_, put := s.Put(t.Context(), strings.NewReader("x"), blobs.NoLimit)
		_, stage := s.Stage(t.Context(), blobs.UploadID{}, strings.NewReader("x"), blobs.NoLimit)
		_, promote := s.Promote(t.Context(), blobs.UploadID{}, blobs.NoLimit)
		_, remove := s.Remove(t.Context(), l.Hash, nobody)
		_, sweep := s.Sweep(t.Context(), nobody, time.Hour)
		for doing, err := range map[string]error{"put": put, "stage": stage, "promote": promote, "remove": remove, "sweep": sweep,
			"discard": s.Discard(t.Context(), blobs.UploadID{}), "destroy": s.Destroy(t.Context())} {
			owned := (*s3.OwnedError)(nil)
			if !errors.Is(err, blobs.ErrUnavailable) || owner != "" && (!errors.As(err, &owned) || owned.Owner != "node one") {
				t.Errorf("%q: %s: %v", owner, doing, err)
			}
		}
		if err := s.Verify(t.Context(), l.Hash); err != nil {
			t.Errorf("%q: reading: %v", owner, err)
		}
	}
	if _, err := store("project", "node one").Put(t.Context(), strings.NewReader("more"), blobs.NoLimit); err != nil {
		t.Errorf("the owner, started again: %v", err)
	}

	// Of several that start at once, one has it.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			_, err := store("another", name).Put(t.Context(), strings.NewReader("x"), blobs.NoLimit)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got = append(got, name)
			} else if owned := (*s3.OwnedError)(nil); !errors.As(err, &owned) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("it belongs to %v", got)
	}
}

// core is a client of the service that goes round the backend.
func (g *gateway) core(t *testing.T) *minio.Core {
	t.Helper()
	client, err := minio.NewCore(g.address, &minio.Options{Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region, BucketLookup: minio.BucketLookupPath})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// What a node that died has left half-done in the bucket is swept, when it is old.
func TestLeftovers(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	service := open(t, g.options(t))
	b, name := project(t, service)
	client := g.core(t)
	key := name + "/blobs/" + blobs.Hash{1}.String()
	id, err := client.NewMultipartUpload(t.Context(), bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObjectPart(t.Context(), bucket, key, id, 1, bytes.NewReader(make([]byte, part)), part, minio.PutObjectPartOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), bucket, name+"/frozen/0123", strings.NewReader("x"), 1, "", "", minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	left := func() (n int) {
		for _, file := range g.files(t) {
			if strings.HasPrefix(file, ".sgwtmp") || strings.Contains(file, "/frozen/") {
				n++
			}
		}
		return n
	}
	if left() < 2 {
		t.Fatalf("the service keeps unfinished uploads elsewhere: %q", g.files(t))
	}
	var ahead time.Duration
	s := blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
	for _, c := range []struct {
		ahead time.Duration
		want  bool
	}{{0, true}, {2 * time.Hour, false}} {
		ahead = c.ahead
		if _, err := s.Sweep(t.Context(), func(context.Context, blobs.Hash) (bool, error) { return false, nil }, time.Hour); err != nil {
			t.Fatal(err)
		}
		if is := left() > 0; is != c.want {
			t.Errorf("after %v there are leftovers %v: %q", c.ahead, is, g.files(t))
		}
	}
}

// A service that went away is said to be, without waiting for ever, and is used again when it is back.
func TestServiceGoes(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	patient := g.options(t)
	hasty := g.options(t)
	hasty.Attempts, hasty.Timeout = 1, 2*time.Second
	service := open(t, patient)
	backend, name := project(t, service)
	s := blobs.New(backend, blobs.Options{})
	same, err := open(t, hasty).Project(name, "this node")
	if err != nil {
		t.Fatal(err)
	}
	waiting := blobs.New(same, blobs.Options{})

	content := bytes.Repeat([]byte("0123456789"), 100_000)
	l, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	c, err := waiting.Open(t.Context(), l.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := waiting.Discard(t.Context(), blobs.UploadID{}); err != nil { // so that it knows whose the objects are
		t.Fatal(err)
	}
	fails := func(how string) {
		t.Helper()
		var id blobs.UploadID
		var wg sync.WaitGroup
		for doing, f := range map[string]func(context.Context) error{
			"put": func(ctx context.Context) error {
				_, err := waiting.Put(ctx, strings.NewReader("other"), blobs.NoLimit)
				return err
			},
			"put in parts": func(ctx context.Context) error {
				_, err := waiting.Put(ctx, bytes.NewReader(make([]byte, 2*part)), blobs.NoLimit)
				return err
			},
			"stage": func(ctx context.Context) error {
				_, err := waiting.Stage(ctx, id, strings.NewReader("other"), blobs.NoLimit)
				return err
			},
			"promote": func(ctx context.Context) error { _, err := waiting.Promote(ctx, id, blobs.NoLimit); return err },
			"stat":    func(ctx context.Context) error { _, err := waiting.Stat(ctx, l.Hash); return err },
			"open":    func(ctx context.Context) error { _, err := waiting.Open(ctx, l.Hash); return err },
			"read": func(context.Context) error {
				_, readAt := c.ReadAt(make([]byte, 10), 500_000)
				_, read := io.Copy(io.Discard, c)
				if !errors.Is(readAt, blobs.ErrUnavailable) {
					return readAt
				}
				return read
			},
			"walk": func(ctx context.Context) error {
				return waiting.Walk(ctx, func(blobs.Info) error { return nil })
			},
			"sweep": func(ctx context.Context) error {
				_, err := waiting.Sweep(ctx, func(context.Context, blobs.Hash) (bool, error) { return false, nil }, 0)
				return err
			},
			"verify":  func(ctx context.Context) error { return waiting.Verify(ctx, l.Hash) },
			"discard": func(ctx context.Context) error { return waiting.Discard(ctx, id) },
		} {
			wg.Go(func() {
				if err := f(t.Context()); !errors.Is(err, blobs.ErrUnavailable) {
					t.Errorf("%s: %s: %v", how, doing, err)
				}
			})
		}
		wg.Wait()
		if left, err := os.ReadDir(hasty.SpoolDir); err != nil || len(left) > 0 {
			t.Errorf("%s: left in the spool: %v, %v", how, left, err)
		}
	}
	works := func(how string) {
		t.Helper()
		if err := s.Verify(t.Context(), l.Hash); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		again, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
		if err != nil {
			t.Errorf("%s: %v", how, err)
			return
		}
		again.Release()
	}
	works("at first")
	g.kill()
	fails("killed")
	g.start(t)
	works("started again")
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := g.process.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	fails("stopped")
	if err := g.process.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	works("going on")
}

// REL-28: a service that is killed in the middle of puts has every object that was acknowledged, whole, and none in part.
func TestServiceKills(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	o := g.options(t)
	o.Attempts = 1
	b, _ := project(t, open(t, o))
	acked := map[blobs.Hash]int64{}
	failed := 0
	for range 8 {
		s := blobs.New(b, blobs.Options{})
		var wg sync.WaitGroup
		var mu sync.Mutex
		left := 1 + rand.IntN(10)
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					size := []int{10, 100_000, 2*part + 5}[(i+w)%3]
					content := make([]byte, size)
					for at := 0; at < size; at += 1000 {
						content[at] = byte(rand.Uint32())
					}
					l, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
					mu.Lock()
					if err != nil {
						failed++
						mu.Unlock()
						return
					}
					acked[l.Hash] = l.Size
					if left--; left == 0 {
						g.kill()
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		g.start(t)
		found := map[blobs.Hash]int64{}
		if err := s.Walk(t.Context(), func(info blobs.Info) error { found[info.Hash] = info.Size; return nil }); err != nil {
			t.Fatal(err)
		}
		for h, size := range acked {
			if found[h] != size {
				t.Errorf("%s was acknowledged with %d bytes, and has %d", h, size, found[h])
			}
		}
		if _, err := s.Check(t.Context(), func(info blobs.Info, err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	// Nothing is left over but what was acknowledged.
	s := blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	swept, err := s.Sweep(t.Context(), func(_ context.Context, h blobs.Hash) (bool, error) { return acked[h] > 0, nil }, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	found := map[blobs.Hash]int64{}
	if err := s.Walk(t.Context(), func(info blobs.Info) error { found[info.Hash] = info.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(found, acked) {
		t.Errorf("%d objects are there, and %d were acknowledged", len(found), len(acked))
	}
	for left := range g.core(t).ListIncompleteUploads(t.Context(), bucket, "", true) {
		t.Errorf("left behind: parts of %s, %v", left.Key, left.Err)
	}
	t.Logf("8 kills, %d puts acknowledged, none lost; %d failed, of which %d objects were there and were swept", len(acked), failed, swept.Objects)
}
