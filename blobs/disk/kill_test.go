package disk_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/disk"
)

// envWork has a copy of the test binary work in the directory that it names until it is killed.
const envWork = "BLOBS_WORK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envWork); dir != "" {
		if err := work(dir); err != nil {
			fmt.Println("error", err)
		}
		os.Exit(1)
	}
	// Random operations take a disk's time, not a processor's.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// ledger is the records, as a server's documents would be: a file of lines "+hash" and "-hash", read again at the next
// start. A process that is killed loses nothing of what it has written to a file.
type ledger struct {
	mu   sync.Mutex
	file *os.File
	of   map[blobs.Hash]int
}

func openLedger(dir string) (*ledger, error) {
	f, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f, of: map[blobs.Hash]int{}}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		h, err := blobs.ParseHash(lines.Text()[1:])
		if err != nil {
			return nil, err
		}
		if l.of[h] += map[byte]int{'+': 1, '-': -1}[lines.Text()[0]]; l.of[h] == 0 {
			delete(l.of, h)
		}
	}
	return l, nil
}

func (l *ledger) add(h blobs.Hash) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[h]++
	_, err := fmt.Fprintf(l.file, "+%s\n", h)
	return err
}

// take ends a record of the hash, if there is one.
func (l *ledger) take(h blobs.Hash) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[h] == 0 {
		return nil
	}
	l.of[h]--
	_, err := fmt.Fprintf(l.file, "-%s\n", h)
	return err
}

func (l *ledger) has(_ context.Context, h blobs.Hash) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[h] > 0, nil
}

// work puts, promotes, deletes and sweeps, the same contents again and again, until it is killed. It writes a line for
// every record that it has committed.
func work(dir string) error {
	records, err := openLedger(dir)
	if err != nil {
		return err
	}
	b, err := disk.Open(filepath.Join(dir, "blobs"), disk.Options{})
	if err != nil {
		return err
	}
	s := blobs.New(b, blobs.Options{})
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				if err := step(s, records); err != nil {
					failed <- err
				}
			}
		}()
	}
	go func() {
		for {
			if _, err := s.Sweep(context.Background(), records.has, 0); err != nil {
				failed <- err
			}
		}
	}()
	return <-failed
}

func step(s *blobs.Store, records *ledger) error {
	ctx := context.Background()
	n := rand.IntN(12)
	content := strings.Repeat(fmt.Sprintf("%d.", n), n*n*1000)
	var lease *blobs.Lease
	var err error
	switch rand.IntN(5) {
	case 0, 1:
		lease, err = s.Put(ctx, strings.NewReader(content), blobs.NoLimit)
	case 2:
		var id blobs.UploadID
		for i := range id {
			id[i] = byte(rand.Uint32())
		}
		if _, err = s.Stage(ctx, id, strings.NewReader(content), blobs.NoLimit); err != nil {
			return err
		}
		if lease, err = s.Promote(ctx, id, blobs.NoLimit); errors.Is(err, blobs.ErrNotFound) {
			return nil // swept
		}
		defer func() { _ = s.Discard(ctx, id) }()
	default:
		for h := range records.snapshot() {
			if err := records.take(h); err != nil {
				return err
			}
			_, err := s.Remove(ctx, h, records.has)
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer lease.Release()
	if err := records.add(lease.Hash); err != nil {
		return err
	}
	fmt.Println("put", lease.Hash)
	return nil
}

func (l *ledger) snapshot() map[blobs.Hash]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}

// REL-28: a process that is killed at any moment of puts, promotions, deletions and sweeps leaves no record without its
// bytes, and after the next sweep no bytes without a record.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	records, acks := 0, 0
	for round := range 30 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), envWork+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		left := 1 + rand.IntN(60)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !strings.HasPrefix(lines.Text(), "put ") {
				t.Errorf("round %d: the process said: %s", round, lines.Text())
				continue
			}
			acks++
			if left--; left == 0 {
				_ = child.Process.Kill()
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = child.Wait()

		known, err := openLedger(dir)
		if err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(dir, "blobs")
		s := blobs.New(open(t, root), blobs.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
		for h := range known.of {
			records++
			if err := s.Verify(t.Context(), h); err != nil {
				t.Errorf("round %d: a record is without its bytes: %v", round, err)
			}
		}
		if _, err := s.Check(t.Context(), func(info blobs.Info, err error) { t.Errorf("round %d: %v", round, err) }); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sweep(t.Context(), known.has, time.Minute); err != nil {
			t.Fatal(err)
		}
		if found := files(t, root); len(found) != len(known.of) {
			t.Errorf("round %d: there are %d records and %d files: %q", round, len(known.of), len(found), found)
		}
		known.file.Close()
		if t.Failed() {
			return
		}
	}
	t.Logf("30 rounds, %d records committed; %d that were there after a kill had their bytes, and no bytes were left over", acks, records)
}
