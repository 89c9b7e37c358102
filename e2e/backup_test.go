package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An operator backs up a node that is written to with full force, restores it elsewhere, and finds every write that was
// acknowledged before the backup began, and none that came after it ended; app keys and the bundle work there.
func TestBackupUnderLoad(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "node.tar.zst")
	n := startNode(t, "--dir", dir)
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte("name: busy\ncollections:\n  - {name: things, fields: [{key: n, type: Number}], rls: {enabled: true, mode: public-read, ownerField: userId}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := applyFile(t, n, file)
	var (
		stop         atomic.Bool
		next         atomic.Int64
		writers      sync.WaitGroup
		mu           sync.Mutex
		acknowledged = map[int64]string{} // number -> id
	)
	acked := func() map[int64]string {
		mu.Lock()
		defer mu.Unlock()
		seen := make(map[int64]string, len(acknowledged))
		for number, id := range acknowledged {
			seen[number] = id
		}
		return seen
	}
	for range 8 {
		writers.Go(func() {
			for !stop.Load() {
				number := next.Add(1)
				a, err := trySend("POST", n.URL+"/api/data/things", fmt.Appendf(nil, `{"n":%d,"text":%q}`, number, strings.Repeat("x", 300)), "x-api-key", k.SecretKey)
				if err != nil || a.status != 201 {
					t.Errorf("insert: %v, %v", a, err)
					return
				}
				mu.Lock()
				acknowledged[number] = a.text(t, "_id")
				mu.Unlock()
			}
		})
	}
	for len(acked()) < 200 {
		if t.Failed() {
			t.FailNow()
		}
		time.Sleep(5 * time.Millisecond)
	}
	before := acked()
	stdout, stderr, code := sluice(t, "backup", "--dir", dir, "--out", out, "--json")
	after := next.Load()
	stop.Store(true)
	writers.Wait()
	var made struct{ Bytes int64 }
	if err := json.Unmarshal([]byte(stdout), &made); code != 0 || err != nil {
		t.Fatalf("backup: exit %d, %v: %s%s", code, err, stdout, stderr)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != made.Bytes || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v, said %d bytes", info, err, made.Bytes)
	}
	if _, stderr, code := sluice(t, "backup", "--dir", dir, "--out", out); code != 2 || !strings.Contains(stderr, "is there already") {
		t.Errorf("over a file that is there: exit %d: %s", code, stderr)
	}
	if _, stderr, code := sluice(t, "restore", out, "--dir", dir, "--replace"); code != 1 || !strings.Contains(stderr, "in use by another sluice process") {
		t.Errorf("under a running node: exit %d: %s", code, stderr)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}

	elsewhere := filepath.Join(t.TempDir(), "new")
	if stdout, stderr, code := sluice(t, "restore", out, "--verify"); code != 0 || !strings.Contains(stdout, "Whole.") {
		t.Errorf("verify: exit %d: %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := sluice(t, "restore", out, "--dir", elsewhere); code != 0 || !strings.Contains(stdout, "busy (") {
		t.Fatalf("restore: exit %d: %s%s", code, stdout, stderr)
	}
	restored := startNode(t, "--dir", elsewhere)
	found := map[int64]string{}
	for cursor := ""; ; {
		a := send(t, "GET", restored.URL+"/api/data/things?limit=100&cursor="+cursor, nil, "x-api-key", k.PublishableKey)
		var page struct {
			Data struct {
				Items []struct {
					ID string `json:"_id"`
					N  int64
				}
				NextCursor string
			}
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, item := range page.Data.Items {
			found[item.N] = item.ID
		}
		if cursor = page.Data.NextCursor; cursor == "" {
			break
		}
	}
	for number, id := range before {
		if found[number] != id {
			t.Fatalf("document %d (%s), acknowledged before the backup began, is not in it", number, id)
		}
	}
	for number := range found {
		if number > after {
			t.Errorf("document %d was sent after the backup had ended", number)
		}
	}
	if a := send(t, "POST", restored.URL+"/api/data/things", []byte(`{"n":0}`), "x-api-key", k.SecretKey); a.status != 201 {
		t.Errorf("a write there: %d %s", a.status, a.body)
	}
	if err := restored.stop(); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := sluice(t, "check", "--dir", elsewhere); code != 0 {
		t.Errorf("check: exit %d: %s%s", code, stdout, stderr)
	}
}

// A node that is told to keeps backups of itself: the first at once, then not again before it is time, and no more than it
// should; what a crash left of one goes away.
func TestBackupsOnSchedule(t *testing.T) {
	dir, backups := t.TempDir(), t.TempDir()
	for _, name := range []string{"sluice-node-20200101T000000Z.tar.zst.part", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(backups, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := func() (names []string) {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(backups, "*.zst"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	run := func() {
		t.Helper()
		n := startNode(t, "--dir", dir, "--backup-dir", backups, "--backup-every", "1h", "--backup-keep", "2")
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			a := send(t, "GET", n.AdminURL+"/metrics", nil, "Authorization", "Bearer "+adminToken(t, dir))
			if strings.Contains(string(a.body), "sluice_backup_last_success_timestamp_seconds 1") {
				break
			}
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("no backup was made: %s", a.body)
			}
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if list := made(); len(list) != 1 {
		t.Fatalf("after the first start: %v", list)
	}
	first := made()[0]
	run()
	if list := made(); len(list) != 1 || list[0] != first {
		t.Errorf("after a restart within the hour: %v", list)
	}
	for _, older := range []string{"20200101T000000Z", "20200102T000000Z"} {
		if err := os.WriteFile(filepath.Join(backups, "sluice-node-"+older+".tar.zst"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if list := made(); len(list) != 2 || list[1] != first || !strings.Contains(list[0], "20200102") {
		t.Errorf("with two older ones, of which one is too many: %v", list)
	}
	if stdout, stderr, code := sluice(t, "restore", first, "--verify"); code != 0 {
		t.Errorf("verify: exit %d: %s%s", code, stdout, stderr)
	}
	left, err := filepath.Glob(filepath.Join(backups, "*"))
	if err != nil || len(left) != 3 {
		t.Errorf("in the directory: %v", left)
	}
}

func adminToken(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}
