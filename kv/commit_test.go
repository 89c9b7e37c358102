package kv_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// blocked opens a database whose next group waits at a point of Apply until
// release is called.
func blocked(t *testing.T, opt kv.Options, point string) (db *kv.DB, reached chan struct{}, release func()) {
	db = kvtest.OpenAt(t, t.TempDir(), opt)
	kvtest.Commit(t, db, kvtest.Collection("posts"))
	reached = make(chan struct{}, 100)
	gate := make(chan struct{})
	db.SetTestHook(func(at string) {
		if at == point {
			reached <- struct{}{}
			<-gate
		}
	})
	return db, reached, sync.OnceFunc(func() { close(gate) })
}

func post(n int) *kv.Batch { return kvtest.Batch(kvtest.Put("posts", kvtest.ID(n), `{"n":1}`)) }

func TestCommitterUnderPressure(t *testing.T) {
	t.Run("a full queue is refused at once", func(t *testing.T) {
		db, reached, release := blocked(t, kv.Options{QueueLength: 2}, "before commit")
		defer release()
		done := make(chan error)
		go func() {
			_, err := db.Commit(context.Background(), post(0))
			done <- err
		}()
		<-reached
		for n := range 3 { // two fill the queue, and stay there when given up
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			_, err := db.Commit(ctx, post(n))
			cancel()
			want := context.DeadlineExceeded
			if n == 2 {
				want = kv.ErrBusy
			}
			if !errors.Is(err, want) {
				t.Errorf("write %d got %v", n, err)
			}
		}
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("who goes away before it was taken has written nothing", func(t *testing.T) {
		db, reached, release := blocked(t, kv.Options{}, "before commit")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = db.Commit(context.Background(), post(0)) })
		<-reached
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if _, err := db.Commit(ctx, post(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		release()
		wg.Wait()
		kvtest.Commit(t, db)
		if got := get(t, db, "posts", kvtest.ID(1)); got != "no such document" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("who goes away after it was taken is told the outcome", func(t *testing.T) {
		db, reached, release := blocked(t, kv.Options{}, "before commit")
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := db.Commit(ctx, post(0))
			done <- err
		}()
		<-reached
		cancel()
		time.Sleep(5 * time.Millisecond)
		release()
		if err := <-done; err != nil {
			t.Errorf("got %v", err)
		}
	})
	t.Run("closing answers everybody", func(t *testing.T) {
		db, reached, release := blocked(t, kv.Options{}, "before commit")
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, err := db.Commit(context.Background(), post(i)); err != nil && !errors.Is(err, kv.ErrClosed) {
					t.Error(err)
				}
			})
		}
		<-reached
		release()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if _, err := db.Commit(context.Background(), post(0)); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("commit: %v", err)
		}
		if _, err := db.Snapshot(); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("snapshot: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

// TestFailureInApply: a group that breaks is answered with what is known, and
// the file is opened anew for the next.
func TestFailureInApply(t *testing.T) {
	for _, tt := range []struct {
		point string
		want  error
		there bool // afterwards
	}{
		{"before commit", kv.ErrReadOnly, false},
		{"after commit", kv.ErrUnknownOutcome, true},
	} {
		t.Run("a panic "+tt.point, func(t *testing.T) {
			db := kvtest.Open(t)
			kvtest.Commit(t, db, kvtest.Collection("posts"), kvtest.Put("posts", kvtest.ID(0), `{}`))
			once := false
			db.SetTestHook(func(at string) {
				if at == tt.point && !once {
					once = true
					panic("boom")
				}
			})
			held, err := db.Snapshot() // keeps writing from going on
			if err != nil {
				t.Fatal(err)
			}
			b := post(1)
			if _, err := db.Commit(context.Background(), b); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "boom") {
				t.Errorf("got %v", err)
			}
			if _, err := db.Commit(context.Background(), post(2)); !errors.Is(err, kv.ErrReadOnly) {
				t.Errorf("the next write got %v", err)
			}
			if h := db.Health(); !h.ReadOnly || h.Full || !strings.Contains(h.Reason, "boom") || h.Failures != 1 {
				t.Errorf("health: %+v", h)
			}
			if got := get(t, db, "posts", kvtest.ID(0)); got != "1 {}" {
				t.Errorf("reading got %s", got)
			}
			held.Close()
			recovered(t, db)
			if got := get(t, db, "posts", kvtest.ID(1)); (got == `2 {"n":1}`) != tt.there {
				t.Errorf("after reopening: %s", got)
			}
			if commit, err := db.Commit(context.Background(), b); err != nil || commit != 2 {
				t.Errorf("the same batch again: %d, %v", commit, err)
			}
		})
	}
}

// recovered waits until writing goes on.
func recovered(t *testing.T, db *kv.DB) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); db.Health().ReadOnly; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not recovered: %+v", db.Health())
		}
	}
}

func TestHandles(t *testing.T) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{})
	kvtest.Commit(t, db, kvtest.Collection("posts"))
	t.Run("a second writer is refused", func(t *testing.T) {
		if _, err := kv.Open(dir, kv.Options{LockTimeout: time.Millisecond}); !errors.Is(err, kv.ErrLocked) {
			t.Errorf("got %v", err)
		}
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("readers share and do not write", func(t *testing.T) {
		one, two := kvtest.OpenAt(t, dir, kv.Options{ReadOnly: true}), kvtest.OpenAt(t, dir, kv.Options{ReadOnly: true})
		if _, ok := view(t, two).Collection("posts"); !ok {
			t.Error("no collection")
		}
		if _, err := one.Commit(context.Background(), post(1)); !errors.Is(err, kv.ErrReadOnly) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the smallest file is small", func(t *testing.T) {
		if n := len(read(t, dir, "data.db")); n > 256<<10 {
			t.Errorf("%d bytes", n)
		}
	})
}

func TestNewID(t *testing.T) {
	db := kvtest.OpenAt(t, t.TempDir(), kv.Options{Node: [5]byte{1, 2, 3, 4, 5}})
	now := time.Now().Add(time.Minute)
	last := db.NewID(now)
	for i := range 300_000 {
		at := now.Add(time.Duration(i%7-3) * time.Hour / 3) // back and forth
		if i == 100_000 {
			now = now.Add(-10 * 365 * 24 * time.Hour)
		}
		id := db.NewID(at)
		if bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%s follows %s", id, last)
		}
		last = id
	}
	if last.String()[8:18] != "0102030405" {
		t.Errorf("node of %s", last)
	}
	upper, ok := kv.ParseDocID(strings.ToUpper(last.String()))
	if !ok || upper != last || string(last.AppendHex(nil)) != hex.EncodeToString(last[:]) {
		t.Errorf("%s is read as %s", last, upper)
	}
	for _, bad := range []string{"", "x", last.String()[1:], last.String() + "0", "g" + last.String()[1:], " " + last.String()[1:]} {
		if _, ok := kv.ParseDocID(bad); ok {
			t.Errorf("%q is an id", bad)
		}
	}
}

func TestChanges(t *testing.T) {
	db := kvtest.Open(t)
	b := kvtest.Batch(kvtest.Collection("posts"), kvtest.Put("posts", kvtest.ID(1), `{}`), kv.Op{Kind: kv.OpAdd, Name: "n", Delta: 1},
		kv.Op{Kind: kv.OpSetting, Name: "s", Value: []byte{}})
	b.Time, b.Meta = 42, []byte("who")
	if _, err := db.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("none", kvtest.ID(1), `{}`))); err == nil {
		t.Fatal("not refused")
	}
	kvtest.Commit(t, db, kvtest.Delete("posts", kvtest.ID(1)))
	got, err := view(t, db).Changes(0, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := kv.Change{Commit: 1, Time: 42, Batch: b.ID, Meta: []byte("who"), Ops: []kv.ChangeOp{
		{Kind: kv.OpCollection, Collection: "posts"}, {Kind: kv.OpPut, Collection: "posts", ID: kvtest.ID(1)},
		{Kind: kv.OpAdd, Name: "n"}, {Kind: kv.OpSetting, Name: "s"}}}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
	if got[1].Commit != 2 || got[1].Ops[0].Kind != kv.OpDelete {
		t.Errorf("got %+v", got[1])
	}
	if rest, err := view(t, db).Changes(2, 10); err != nil || len(rest) != 0 {
		t.Errorf("got %+v, %v", rest, err)
	}
	if value, rev, ok := view(t, db).Setting("s"); !ok || rev != 1 || len(value) != 0 {
		t.Errorf("setting: %q, %d, %v", value, rev, ok)
	}
}

func TestQuotaFreesWhatIsDeleted(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Collection("posts"), kv.Op{Kind: kv.OpSetting, Name: "kv.maxBytes", Value: []byte("30")})
	put := func(id int, n int) error {
		_, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("posts", kvtest.ID(id), fmt.Sprintf(`{"n":%0*d}`, n-6, 0))))
		return err
	}
	var quota *kv.QuotaError
	if err := put(1, 20); err != nil {
		t.Error(err)
	}
	if err := put(2, 11); !errors.As(err, &quota) || quota.Want != 31 {
		t.Errorf("got %v", err)
	}
	if err := put(2, 10); err != nil {
		t.Error(err)
	}
	if err := put(1, 21); !errors.As(err, &quota) {
		t.Errorf("growing: %v", err)
	}
	if err := put(1, 19); err != nil {
		t.Error(err)
	}
	kvtest.Commit(t, db, kv.Op{Kind: kv.OpSetting, Name: "kv.maxBytes", Value: []byte("0")})
	kvtest.Commit(t, db, kvtest.Delete("posts", kvtest.ID(1)))
	if got := view(t, db).Bytes(); got != 10 {
		t.Errorf("%d bytes", got)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(kv.AppendBatch(nil, &kv.Batch{}))
	f.Add(kv.AppendBatch(nil, &kv.Batch{ID: kv.BatchID{1}, Time: -5, Meta: []byte("m"),
		Needs: []kv.Need{{Kind: kv.NeedDoc, Collection: "c", Rev: 300}, {Kind: kv.NeedUnique, Collection: "c", Name: "x", Value: []byte("[1]")},
			{Kind: kv.NeedCollection, Collection: "c"}, {Kind: kv.NeedSetting, Name: "s", Rev: 1 << 60}},
		Ops: []kv.Op{kvtest.Put("c", kvtest.ID(1), `{}`), kvtest.Delete("c", kvtest.ID(2)), {Kind: kv.OpAdd, Name: "n", Delta: -1, HasFloor: true, Floor: 3},
			{Kind: kv.OpSetting, Name: "s"}, {Kind: kv.OpSetting, Name: "t", Value: []byte{}}, kvtest.Collection("d", "a"), {Kind: kv.OpDropCollection, Name: "e"}}}))
	f.Add([]byte{1})
	f.Add(append(make([]byte, 18), 0xFF, 0xFF, 0xFF, 0xFF, 0x0F))
	f.Fuzz(func(t *testing.T, src []byte) {
		b, err := kv.DecodeBatch(src)
		if err != nil {
			if !errors.Is(err, kv.ErrBatch) {
				t.Fatal(err)
			}
			return
		}
		again := kv.AppendBatch(nil, b)
		if !bytes.Equal(again, src) {
			t.Fatalf("%x is encoded as %x", src, again)
		}
	})
}
