package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// relax is the operation that has commits synced at most so many milliseconds
// later; "" has each synced again.
func relax(millis string) kv.Op {
	op := kv.Op{Kind: kv.OpSetting, Name: "kv.syncMillis"}
	if millis != "" {
		op.Value = []byte(millis)
	}
	return op
}

// openRelaxed opens a database whose checkpoints only the test makes.
func openRelaxed(t *testing.T, dir, boot string) *kv.DB {
	t.Helper()
	db := kvtest.OpenAt(t, dir, kv.Options{Boot: boot})
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("posts", "n"), "tag"), relax("10000"))
	return db
}

func putPosts(t *testing.T, db *kv.DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"_id":"%s","n":%d,"tag":"t%d","text":"%s"}`, kvtest.ID(i), i, i%7, strings.Repeat("x", i%900))))
	}
}

func posts(t *testing.T, db *kv.DB) int {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, ok := s.Collection("posts")
	if !ok {
		return -1
	}
	n, err := s.Count(context.Background(), c, &kv.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// left lays out what a process left behind, in a directory of its own.
func left(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// remains is the directory of a database as it is on disk now.
func remains(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{"data.db": contents(t, filepath.Join(dir, "data.db")), "identity": contents(t, filepath.Join(dir, "identity"))}
	if head, err := os.ReadFile(filepath.Join(dir, "head")); err == nil {
		out["head"] = head
	}
	return out
}

// Nobody loses a write because the process died: the operating system has it.
func TestRelaxedLosesNothingWithTheProcess(t *testing.T) {
	dir := t.TempDir()
	db := openRelaxed(t, dir, "boot 1")
	putPosts(t, db, 0, 50)
	after := left(t, remains(t, dir))
	again := kvtest.OpenAt(t, after, kv.Options{Boot: "boot 1"})
	if n := posts(t, again); n != 50 {
		t.Errorf("%d of 50 posts are there", n)
	}
	if _, err := os.Stat(filepath.Join(after, "head")); err == nil {
		t.Error("the head file is still there, although the file was synced")
	}
}

// When the machine stops, any page written since the last checkpoint may have
// reached the disk, or not, or half. What is opened is the checkpoint, whole.
func TestRelaxedGoesBackToACheckpointWithTheMachine(t *testing.T) {
	dir := t.TempDir()
	db := openRelaxed(t, dir, "boot 1")
	for round := range 12 {
		before := 30 * round
		putPosts(t, db, before, before+20)
		if err := db.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		synced := remains(t, dir)
		putPosts(t, db, before+20, before+30)
		if round%3 == 2 { // pages that were in use become free, and are used again
			var ops []kv.Op
			for i := range before {
				ops = append(ops, kv.Op{Kind: kv.OpDelete, Collection: "posts", ID: kvtest.ID(i)})
			}
			kvtest.Commit(t, db, ops...)
			putPosts(t, db, 0, before)
		}
		now := remains(t, dir)
		for range 10 {
			mixed := bytes.Clone(now["data.db"])
			for at := 0; at < len(mixed); at += 512 {
				if part := mixed[at:min(at+512, len(mixed))]; rand.IntN(2) == 0 {
					clear(part)
					copy(part, synced["data.db"][min(at, len(synced["data.db"])):])
				}
			}
			after := left(t, map[string][]byte{"data.db": mixed, "identity": now["identity"], "head": now["head"]})
			if _, err := kv.Open(after, kv.Options{Boot: "boot 2", ReadOnly: true, MapSize: 1 << 26}); err == nil || !strings.Contains(err.Error(), "open it for writing once") {
				t.Fatalf("opened for reading: %v", err)
			}
			again, err := kv.Open(after, kv.Options{Boot: "boot 2", MapSize: 1 << 26})
			if err != nil {
				t.Fatal(err)
			}
			kvtest.Check(t, again)
			if n := posts(t, again); n != before+20 {
				t.Fatalf("round %d: %d posts, want the %d of the checkpoint", round, n, before+20)
			}
			putPosts(t, again, 5000, 5003) // and writing goes on
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Commits go on while a checkpoint waits for the disk. What it then names as safe
// is the state that it synced, not a later one.
func TestCheckpointNamesWhatItSynced(t *testing.T) {
	dir := t.TempDir()
	db := openRelaxed(t, dir, "boot 1")
	putPosts(t, db, 0, 20)
	for round := range 4 {
		from := 20 + 10*round
		var synced []byte
		db.SetTestHook(func(point string) {
			if point != "checkpoint" {
				return
			}
			db.SetTestHook(nil)
			synced = contents(t, filepath.Join(dir, "data.db"))
			putPosts(t, db, from, from+round+1) // one commit, two, three: the places of heads alternate
		})
		if err := db.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		now := remains(t, dir)
		// Of what came after, nothing has reached the disk but the head.
		lost := bytes.Clone(synced)
		lost = append(lost, make([]byte, len(now["data.db"])-len(lost))...)
		copy(lost[:8192], now["data.db"])
		again := kvtest.OpenAt(t, left(t, map[string][]byte{"data.db": lost, "identity": now["identity"], "head": now["head"]}), kv.Options{Boot: "boot 2"})
		if n := posts(t, again); n != from {
			t.Errorf("round %d: %d posts, want the %d that were synced", round, n, from)
		}
		if round < 3 {
			putPosts(t, db, from+round+1, from+10)
		}
	}
}

// A reader sees its own write at once, and a snapshot taken before does not.
func TestRelaxedCommitsAreSeenAtOnce(t *testing.T) {
	db := openRelaxed(t, t.TempDir(), "")
	for i := range 100 {
		before, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		putPosts(t, db, i, i+1)
		if n := posts(t, db); n != i+1 {
			t.Fatalf("%d posts after the %dth insert", n, i+1)
		}
		c, _ := before.Collection("posts")
		if _, err := before.Get(c, kvtest.ID(i)); !errors.Is(err, kv.ErrNotFound) {
			t.Fatalf("a snapshot from before sees it: %v", err)
		}
		before.Close()
	}
}

// Whoever turns durability back on can rely on it from that answer on.
func TestStrictAgainLeavesNoHead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after func(t *testing.T, db *kv.DB)
	}{
		{"the setting is dropped", func(t *testing.T, db *kv.DB) { kvtest.Commit(t, db, relax("")) }},
		{"sync is asked for", func(t *testing.T, db *kv.DB) {
			if err := db.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
		}},
		{"the file is compacted", func(t *testing.T, db *kv.DB) {
			if _, err := db.Compact(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
		}},
		{"the handle is closed", func(t *testing.T, db *kv.DB) {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			db := openRelaxed(t, dir, "boot 1")
			putPosts(t, db, 0, 30)
			if remains(t, dir)["head"] == nil || db.Health().Unsynced == 0 {
				t.Fatal("durability was not relaxed")
			}
			tt.after(t, db)
			rest := remains(t, dir)
			if rest["head"] != nil || db.Health().Unsynced != 0 {
				t.Error("there still is a head file, or something unsynced")
			}
			again := kvtest.OpenAt(t, left(t, rest), kv.Options{Boot: "boot 2"})
			if n := posts(t, again); n != 30 {
				t.Errorf("%d of 30 posts are there after the machine stopped", n)
			}
		})
	}
}

// Commits reach the disk by themselves, in about the time that was asked for.
func TestRelaxedCommitsAreSyncedSoon(t *testing.T) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{Boot: "boot 1"})
	kvtest.Commit(t, db, kvtest.Collection("posts", "n"), relax("5"))
	for round := range 5 {
		putPosts(t, db, round*10, round*10+10)
		for wait := time.Now(); db.Health().Unsynced != 0; time.Sleep(time.Millisecond) {
			if time.Since(wait) > 20*time.Second {
				t.Fatal("not synced after 20 seconds")
			}
		}
		again := kvtest.OpenAt(t, left(t, remains(t, dir)), kv.Options{Boot: "boot 2"})
		if n := posts(t, again); n != round*10+10 {
			t.Fatalf("%d posts of %d are there after the machine stopped", n, round*10+10)
		}
	}
}

// Many writers and checkpoints at once, compactions in between.
func TestRelaxedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{Boot: "boot 1"})
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("posts", "n"), "tag"), relax("1"))
	done := make(chan error, 8)
	for w := range 8 {
		go func() {
			var err error
			for i := w * 1000; i < w*1000+150 && err == nil; i++ {
				_, err = db.Commit(context.Background(), kvtest.Batch(kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"_id":"%s","n":%d,"tag":"t%d"}`, kvtest.ID(i), i, i%7))))
			}
			done <- err
		}()
	}
	for range 3 {
		if _, err := db.Compact(context.Background(), nil); err != nil {
			t.Error(err)
		}
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := db.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := kvtest.OpenAt(t, left(t, remains(t, dir)), kv.Options{Boot: "boot 2"})
	if n := posts(t, again); n != 8*150 {
		t.Errorf("%d posts", n)
	}
}

// A defect of the program is no reason to give up what the system has.
func TestRelaxedLosesNothingByAPanic(t *testing.T) {
	for _, point := range []string{"before commit", "after commit"} {
		t.Run(point, func(t *testing.T) {
			db := openRelaxed(t, t.TempDir(), "boot 1")
			putPosts(t, db, 0, 20)
			once := false
			db.SetTestHook(func(at string) {
				if at == point && !once {
					once = true
					panic("boom")
				}
			})
			if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("posts", kvtest.ID(99), `{"n":99}`))); err == nil {
				t.Error("the panic was not noticed")
			}
			for begun := time.Now(); db.Health().ReadOnly; time.Sleep(5 * time.Millisecond) {
				if time.Since(begun) > 30*time.Second {
					t.Fatalf("it does not recover: %+v", db.Health())
				}
			}
			if n := posts(t, db); n < 20 {
				t.Errorf("%d of 20 posts are left", n)
			}
			putPosts(t, db, 20, 30)
		})
	}
}

func TestDamagedHeadIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := openRelaxed(t, dir, "boot 1")
	putPosts(t, db, 0, 10)
	rest := remains(t, dir)
	other := openRelaxed(t, t.TempDir(), "boot 1")
	for _, tt := range []struct {
		name, want string
		change     func(files map[string][]byte)
	}{
		{"a flipped bit", "head is damaged", func(f map[string][]byte) { f["head"][len(f["head"])/2] ^= 1 }},
		{"emptied", "head is damaged", func(f map[string][]byte) { f["head"] = []byte{} }},
		{"cut", "head is damaged", func(f map[string][]byte) { f["head"] = f["head"][:100] }},
		{"another database's", "belongs to another database", func(f map[string][]byte) {
			id := other.FileID()
			_ = id
			f["identity"] = fmt.Appendf(nil, "sluice database, format 1, id %x\n", id)
		}},
		{"a data file that was cut", "cut short", func(f map[string][]byte) { f["data.db"] = f["data.db"][:4*4096] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string][]byte{}
			for name, content := range rest {
				files[name] = bytes.Clone(content)
			}
			tt.change(files)
			_, err := kv.Open(left(t, files), kv.Options{Boot: "boot 2", MapSize: 1 << 26})
			var damaged *kv.DamagedError
			if !errors.As(err, &damaged) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want it refused for %q", err, tt.want)
			}
		})
	}
}

func TestSyncMillisIsChecked(t *testing.T) {
	db := kvtest.Open(t)
	for _, text := range []string{"0", "-1", "10001", "1.5", "soon", ""} {
		op := kv.Op{Kind: kv.OpSetting, Name: "kv.syncMillis", Value: []byte(text)}
		if _, err := db.Commit(context.Background(), kvtest.Batch(op)); !errors.Is(err, kv.ErrBatch) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzHead: whatever a head file says, it is read back as it is written or refused.
func FuzzHead(f *testing.F) {
	dir := f.TempDir()
	db, err := kv.Open(dir, kv.Options{Boot: "b", MapSize: 1 << 26})
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	for range 2 {
		if _, err := db.Commit(context.Background(), kvtest.Batch(relax("10000"))); err != nil {
			f.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("sluice head, format 1\nid \nboot \nsize 4096\nhead \ncrc 00000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if again, err := kv.ParseHead(text); err == nil && !bytes.Equal(again, text) {
			t.Errorf("%q was taken for %q", text, again)
		}
	})
}
