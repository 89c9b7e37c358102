package kv_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// childDir tells a copy of the test binary to write to a database until it is
// killed.
const childDir = "KV_TEST_WRITE_TO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver commits pairs of documents and says so, one line for each
// commit that it was told of.
func writeForEver(dir string) {
	db, err := kv.Open(dir, kv.Options{MapSize: 1 << 28})
	if err != nil {
		panic(err)
	}
	_, _ = db.Commit(context.Background(), kvtest.Batch(kvtest.Collection("a", "k"), kvtest.Collection("b")))
	for range 8 {
		go func() {
			for {
				id := db.NewID(time.Now())
				b := kvtest.Batch(kvtest.Put("a", id, fmt.Sprintf(`{"k":"%s"}`, id)), kvtest.Put("b", id, `{}`), kv.Op{Kind: kv.OpAdd, Name: "pairs", Delta: 1})
				commit, err := db.Commit(context.Background(), b)
				if err != nil {
					panic(err)
				}
				fmt.Fprintln(os.Stdout, id, commit)
			}
		}()
	}
	select {}
}

// TestKill: a process killed at any moment loses nothing that it was told is
// written, and leaves no half of a batch.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]string{}
	for range 5 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 20 + rand.IntN(150); lines.Scan(); left-- {
			if left == 0 {
				if err := child.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
			if id, commit, whole := strings.Cut(lines.Text(), " "); whole {
				acknowledged[id] = commit
			}
		}
		_ = child.Wait()

		db, err := kv.Open(dir, kv.Options{MapSize: 1 << 28})
		if err != nil {
			t.Fatal(err)
		}
		for id, commit := range acknowledged {
			name, _ := kv.ParseDocID(id)
			if a, b := get(t, db, "a", name), get(t, db, "b", name); a != commit+` {"k":"`+id+`"}` || b != commit+" {}" {
				t.Errorf("commit %s of %s: %s and %s", commit, id, a, b)
			}
		}
		s, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			c, _ := s.Collection(name)
			if n, err := s.Count(context.Background(), c, &kv.Query{}); err != nil || int64(n) != s.Counter("pairs") {
				t.Errorf("%d documents in %s, %d pairs, %v", n, name, s.Counter("pairs"), err)
			}
		}
		s.Close()
		sound(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d commits", len(acknowledged))
	}
}
