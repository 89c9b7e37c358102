package bench

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	connections = 32
	documents   = 10_000
	text        = `Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat.`
)

// BenchmarkGet reads documents of about 500 bytes by id, over HTTP with 32 connections: server=bare is a fasthttp
// handler that does one bbolt View and Get and knows nothing else; server=sluice is the whole pipeline, with its key check,
// access rules, headers and access log.
func BenchmarkGet(b *testing.B) {
	b.Run("server=bare", func(b *testing.B) {
		url, ids := startBare(b)
		load(b, func(req *fasthttp.Request, i uint64) { req.SetRequestURI(url + ids[i%documents]) })
	})
	b.Run("server=sluice", func(b *testing.B) {
		url, keys, ids := startSluice(b)
		key := keys.PublishableKey.Reveal()
		load(b, func(req *fasthttp.Request, i uint64) {
			req.SetRequestURI(url + "/api/data/posts/" + ids[i%documents])
			req.Header.Set("x-api-key", key)
		})
	})
}

// load sends b.N requests over the connections and reports the rate.
func load(b *testing.B, prepare func(*fasthttp.Request, uint64)) {
	client := &fasthttp.Client{MaxConnsPerHost: connections}
	defer client.CloseIdleConnections()
	var next atomic.Uint64
	b.SetParallelism((connections + 1) / 2)
	b.ResetTimer()
	begun := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		for pb.Next() {
			prepare(req, next.Add(7919)) // a prime, so that neighbours are not read together
			if err := client.Do(req, res); err != nil || res.StatusCode() != 200 {
				b.Errorf("%v %d %s", err, res.StatusCode(), res.Body())
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "req/s")
}

// startBare serves documents from a bare bbolt file.
func startBare(b *testing.B) (url string, ids []string) {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bolt.Options{InitialMmapSize: 1 << 30, NoStatistics: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	bucket := []byte("d")
	err = db.Update(func(tx *bolt.Tx) error {
		d, err := tx.CreateBucket(bucket)
		for i := 0; err == nil && i < documents; i++ {
			id := fmt.Sprintf("%024x", i)
			ids = append(ids, "/"+id)
			err = d.Put([]byte(id), document(id, i))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		_ = db.View(func(tx *bolt.Tx) error {
			ctx.SetContentType("application/json; charset=utf-8")
			ctx.SetBody(tx.Bucket(bucket).Get(ctx.Path()[1:]))
			return nil
		})
	}}
	go server.Serve(ln)
	b.Cleanup(func() { _ = server.Shutdown() })
	return "http://" + ln.Addr().String(), ids
}

func document(id string, i int) []byte {
	return fmt.Appendf(nil, `{"_id":%q,"title":"Post %d","body":%q,"price":%d,"tags":["one","two"],"userId":"aaaaaaaaaaaaaaaaaaaaaaaa","createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z"}`, id, i, text, i%100)
}

const projectFile = `
name: bench
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]
  - name: posts
    fields:
      - {key: title, type: String, required: true}
      - {key: price, type: Number}
      - {key: tags, type: Array, items: {type: String}}
      - {key: userId, type: String}
    rls: {enabled: true, mode: public-read}
`

// startSluice serves documents from a node, and discards its access log as late as a file would take it.
func startSluice(b *testing.B) (url string, keys *project.Applied, ids []string) {
	server, err := runtime.Open(context.Background(), runtime.Options{
		Dir: b.TempDir(), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), AccessLog: discard{},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	cfg, err := project.ParseFile("bench.yaml", []byte(projectFile))
	if err != nil {
		b.Fatal(err)
	}
	if keys, err = server.Registry().Apply(ctx, cfg, project.ApplyOptions{}); err != nil {
		b.Fatal(err)
	}
	url = server.PublicURL()
	ids = make([]string, documents)
	insert(b, url, keys.SecretKey.Reveal(), ids)
	return url, keys, ids
}

// insert fills a node by as many writers as group commit likes.
func insert(b *testing.B, url, key string, ids []string) {
	const writers = 128
	client := &fasthttp.Client{MaxConnsPerHost: writers}
	defer client.CloseIdleConnections()
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.Header.SetMethod("POST")
			req.Header.Set("x-api-key", key)
			req.Header.SetContentType("application/json")
			for i := w; i < len(ids); i += writers {
				req.SetRequestURI(url + "/api/data/posts")
				req.SetBody(document(fmt.Sprintf("%024x", i+1), i))
				if err := client.Do(req, res); err != nil || res.StatusCode() != 201 {
					failed <- fmt.Errorf("insert: %v %d %s", err, res.StatusCode(), res.Body())
					return
				}
				ids[i] = string(res.Body()[len(`{"_id":"`):][:24])
			}
			failed <- nil
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
