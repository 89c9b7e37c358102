// Command bare is what a node is measured against that knows nothing of keys, rules, schemas or logs: a fasthttp handler
// that does one bbolt View and Get, and one that hashes a password with argon2id as a node does.
//
// It makes its file anew at each start.
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"syscall"

	"github.com/valyala/fasthttp"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/argon2"

	"github.com/sluice-edge/sluice/bench/node"
)

var bucket = []byte("d")

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "loopback address to listen on")
	documents := flag.Int("documents", 100_000, "documents in the file")
	dir := flag.String("dir", "", "directory for the file, which exists")
	flag.Parse()
	if err := run(*dir, *addr, *documents); err != nil {
		log.Fatal(err)
	}
}

func run(dir, addr string, documents int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file := filepath.Join(dir, "bare.db")
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(file, 0o600, &bolt.Options{InitialMmapSize: 16 << 30, NoStatistics: true, NoSync: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := fill(db, documents); err != nil {
		return err
	}
	server := &fasthttp.Server{Handler: handler(db)}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown()
	}()
	return server.ListenAndServe(addr)
}

func fill(db *bolt.DB, documents int) error {
	const group = 10_000
	for i := 0; i < documents; i += group {
		err := db.Update(func(tx *bolt.Tx) error {
			d, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			d.FillPercent = 0.9
			for k := i; k < min(i+group, documents); k++ {
				if err := d.Put(node.AppendID(nil, k), node.AppendDocument(nil, k, node.NoOwner)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// handler answers /<id> with that document, and /login when it has hashed a password. As in a node, half of
// the processors hash at once: the others are for requests that do not.
func handler(db *bolt.DB) fasthttp.RequestHandler {
	turns := make(chan struct{}, max(1, goruntime.GOMAXPROCS(0)/2))
	password, salt := []byte(node.Password), make([]byte, 16)
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json; charset=utf-8")
		path := ctx.Path()[1:]
		if string(path) == "login" {
			turns <- struct{}{}
			argon2.IDKey(password, salt, 2, 19<<10, 1, 32)
			<-turns
			ctx.SetBodyString("{}")
			return
		}
		_ = db.View(func(tx *bolt.Tx) error {
			value := tx.Bucket(bucket).Get(path)
			if value == nil {
				ctx.SetStatusCode(fasthttp.StatusNotFound)
			}
			ctx.SetBody(value)
			return nil
		})
	}
}
