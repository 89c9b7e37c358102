package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// A file never grows beyond its quota, whoever writes at once; what was refused
// left no trace and can be repeated, and deleting makes room.
func TestFileQuota(t *testing.T) {
	const limit = 1 << 20
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{})
	kvtest.Commit(t, db, kvtest.Collection("posts", "k"), kv.Op{Kind: kv.OpSetting, Name: "kv.maxFileBytes", Value: fmt.Append(nil, limit)})
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "data.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	put := func(n int) *kv.Batch {
		return kvtest.Batch(kvtest.Put("posts", kvtest.ID(n), fmt.Sprintf(`{"k":"k%d","x":"%s"}`, n, strings.Repeat("x", 3000))))
	}
	refused := make([]*kv.Batch, 16)
	var passed atomic.Int64
	var writers sync.WaitGroup
	for w := range refused {
		writers.Go(func() {
			for n := w * 1000; ; n++ {
				b := put(n)
				_, err := db.Commit(context.Background(), b)
				var quota *kv.QuotaError
				if errors.As(err, &quota) && quota.File && quota.Limit == limit {
					refused[w] = b
					return
				}
				if err != nil || n > w*1000+500 {
					t.Errorf("writer %d, %d: %v", w, n, err)
					return
				}
				passed.Add(1)
			}
		})
	}
	writers.Wait()
	if now := size(); now > limit || now < limit/2 {
		t.Errorf("the file has %d bytes, its quota is %d", now, limit)
	}
	if n := int64(posts(t, db)); n != passed.Load() || n < 50 {
		t.Errorf("%d posts, %d were acknowledged", n, passed.Load())
	}
	if h := db.Health(); h.ReadOnly || h.Failures != 0 {
		t.Errorf("health: %+v", h)
	}
	kvtest.Check(t, db)

	for w := range refused { // what is there is given up, and makes room
		var ops []kv.Op
		for n := w * 1000; n < w*1000+200; n++ {
			ops = append(ops, kvtest.Delete("posts", kvtest.ID(n)))
		}
		kvtest.Commit(t, db, ops...)
	}
	if n := posts(t, db); n != 0 {
		t.Fatalf("%d posts are left", n)
	}
	for w, b := range refused {
		if _, err := db.Commit(context.Background(), b); err != nil {
			t.Errorf("writer %d again: %v", w, err)
		}
	}
	kvtest.Commit(t, db, kv.Op{Kind: kv.OpSetting, Name: "kv.maxFileBytes"})
	for n := range 100 {
		if _, err := db.Commit(context.Background(), put(50_000+n)); err != nil {
			t.Fatalf("without a quota: %v", err)
		}
	}
}

// Of batches that come together, those that fit pass.
func TestFileQuotaRefusesOnlyWhatDoesNotFit(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Collection("posts"), kv.Op{Kind: kv.OpSetting, Name: "kv.maxFileBytes", Value: []byte("1000000")})
	text := func(n int) string { return `{"x":"` + strings.Repeat("x", n) + `"}` }
	results, err := db.Apply([]*kv.Batch{
		kvtest.Batch(kvtest.Put("posts", kvtest.ID(1), text(100))),
		kvtest.Batch(kvtest.Put("posts", kvtest.ID(2), text(1_500_000))),
		kvtest.Batch(kvtest.Put("posts", kvtest.ID(3), text(100))),
	})
	if err != nil {
		t.Fatal(err)
	}
	var quota *kv.QuotaError
	if results[0].Err != nil || !errors.As(results[1].Err, &quota) || results[2].Err != nil {
		t.Errorf("%+v", results)
	}
	if n := posts(t, db); n != 2 {
		t.Errorf("%d posts", n)
	}
}
