package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	ondisk "github.com/sluice-edge/sluice/blobs/disk"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// Files: a writer's n-th batch replaces or deletes the record of one of its files, and counts, after the bytes were
// put and before those of the old record are removed, as the server does it. The contents are few, so that writers
// meet in them.

const fileSlots = 5 // records of a writer

// fileContent is what batch n stores, nil if it deletes.
func fileContent(n int) []byte {
	if n%4 == 3 {
		return nil
	}
	kind := n * 7 % 11
	return bytes.Repeat([]byte{byte(kind + 1)}, kind*kind*900)
}

// fileRecord is the record of what batch n stores, "" if it deletes.
func fileRecord(n int) string {
	content := fileContent(n)
	if content == nil {
		return ""
	}
	object, err := blobs.Copy(context.Background(), discard{}, bytes.NewReader(content), blobs.NoLimit)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"hash":"%s","size":%d}`, object.Hash, object.Size)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func fileBatch(w, n int) *kv.Batch {
	b := batch(w, n)
	b.Ops = b.Ops[:2] // the counter and the setting
	if record := fileRecord(n); record != "" {
		b.Ops = append(b.Ops, kvtest.Put("c", kvtest.ID(w<<8|n%fileSlots), record))
	} else {
		b.Ops = append(b.Ops, kvtest.Delete("c", kvtest.ID(w<<8|n%fileSlots)))
	}
	return b
}

// recorded returns the hashes that records have.
func recorded(db *kv.DB) (map[blobs.Hash]int64, error) {
	s, err := db.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	found := map[blobs.Hash]int64{}
	c, ok := s.Collection("c")
	if !ok {
		return found, s.Err()
	}
	for w := range writers {
		for slot := range fileSlots {
			d, err := s.Get(c, kvtest.ID(w<<8|slot))
			if errors.Is(err, kv.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			var record struct {
				Hash blobs.Hash
				Size int64
			}
			if err := json.Unmarshal(d.JSON, &record); err != nil {
				return nil, err
			}
			found[record.Hash] = record.Size
		}
	}
	return found, nil
}

func referenced(db *kv.DB) blobs.Referenced {
	return func(_ context.Context, h blobs.Hash) (bool, error) {
		found, err := recorded(db)
		_, is := found[h]
		return is, err
	}
}

func openFiles(dir string) (*blobs.Store, error) {
	b, err := ondisk.Open(filepath.Join(dir, "blobs"), ondisk.Options{})
	if err != nil {
		return nil, err
	}
	return blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}), nil
}

// bear runs f until it works, bearing with a disk that fails if that is expected.
func bear(f func() error) {
	for {
		err := f()
		if err == nil {
			return
		}
		known := errors.Is(err, blobs.ErrFull) || errors.Is(err, blobs.ErrUnavailable) || errors.Is(err, kv.ErrReadOnly) || errors.Is(err, kv.ErrUnknownOutcome)
		if !known || os.Getenv(envTolerate) == "" {
			fmt.Println("fatal", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// putFile puts what batch n stores: as one stream, or as an upload in steps.
func putFile(s *blobs.Store, w, n int) (lease *blobs.Lease) {
	ctx, content := context.Background(), fileContent(n)
	if n%3 != 0 {
		bear(func() (err error) {
			lease, err = s.Put(ctx, bytes.NewReader(content), blobs.NoLimit)
			return err
		})
		return lease
	}
	id := blobs.UploadID{byte(w), byte(n)}
	bear(func() error {
		_, err := s.Stage(ctx, id, bytes.NewReader(content), blobs.NoLimit)
		return err
	})
	bear(func() (err error) {
		lease, err = s.Promote(ctx, id, blobs.NoLimit)
		return err
	})
	return lease
}

// workFiles writes until it is killed, and prints a line before each batch and when it was acknowledged.
func workFiles(dir string) {
	db, err := open(dir)
	if err == nil {
		err = prepare(db)
	}
	var from [writers]int
	if err == nil {
		from, err = written(db)
	}
	var s *blobs.Store
	if err == nil {
		s, err = openFiles(dir)
	}
	if err != nil {
		fmt.Println("fatal", err)
		os.Exit(1)
	}
	for w := range writers {
		go func() {
			for n := from[w] + 1; ; n++ {
				writeFile(db, s, w, n)
			}
		}()
	}
	select {}
}

func writeFile(db *kv.DB, s *blobs.Store, w, n int) {
	ctx := context.Background()
	fmt.Printf("i %d %d 0\n", w, n)
	var lease *blobs.Lease
	if fileContent(n) != nil {
		lease = putFile(s, w, n)
	}
	var before []blobs.Hash
	if n > fileSlots {
		if content := fileContent(n - fileSlots); content != nil { // what the slot held
			o, err := blobs.Copy(ctx, discard{}, bytes.NewReader(content), blobs.NoLimit)
			if err != nil {
				fmt.Println("fatal", err)
			}
			before = append(before, o.Hash)
		}
	}
	b := fileBatch(w, n)
	bear(func() error {
		_, err := db.Commit(ctx, b)
		return err
	})
	fmt.Printf("a %d %d %d\n", w, n, time.Now().UnixNano())
	if lease != nil {
		lease.Release()
		if n%3 == 0 {
			bear(func() error { return s.Discard(ctx, blobs.UploadID{byte(w), byte(n)}) })
		}
	}
	for _, h := range before {
		bear(func() error {
			_, err := s.Remove(ctx, h, referenced(db))
			return err
		})
	}
}

// verifyFiles compares a project and the files in its directory with what was acknowledged and intended.
func verifyFiles(dir string) func(*kv.DB, [writers]int, [writers]int) []string {
	return func(db *kv.DB, acked, intended [writers]int) (wrong []string) {
		problem := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
		ctx := context.Background()
		have, err := written(db)
		if err != nil {
			return []string{err.Error()}
		}
		snapshot, err := db.Snapshot()
		if err != nil {
			return []string{err.Error()}
		}
		defer snapshot.Close()
		c, created := snapshot.Collection("c")
		for w, n := range have {
			if n < acked[w] || n > intended[w] {
				problem("writer %d: %d batches are there, %d were acknowledged, %d intended", w, n, acked[w], intended[w])
			}
			for slot := range fileSlots {
				want := ""
				if last := n - (n-slot+fileSlots)%fileSlots; last > 0 {
					want = fileRecord(last)
				}
				if !created && want == "" {
					continue
				}
				if d, err := snapshot.Get(c, kvtest.ID(w<<8|slot)); err != nil && !errors.Is(err, kv.ErrNotFound) || string(d.JSON) != want {
					problem("writer %d: record %d after %d batches is %s, %v; want %s", w, slot, n, d.JSON, err, want)
				}
			}
		}
		records, err := recorded(db)
		if err != nil {
			return append(wrong, err.Error())
		}
		s, err := openFiles(dir)
		if err != nil {
			return append(wrong, err.Error())
		}
		for h, size := range records {
			if err := s.Verify(ctx, h); err != nil {
				problem("a record of %d bytes is without them: %v", size, err)
			}
		}
		if _, err := s.Check(ctx, func(info blobs.Info, err error) { problem("%v", err) }); err != nil {
			problem("check of the files: %v", err)
		}
		if _, err := s.Sweep(ctx, referenced(db), time.Minute); err != nil {
			problem("sweep: %v", err)
		}
		if left := filesUnder(filepath.Join(dir, "blobs")); len(left) != len(records) {
			problem("there are %d contents in records, and these files: %q", len(records), left)
		}
		report, err := db.Check(ctx)
		if err != nil {
			return append(wrong, err.Error())
		}
		for _, p := range report.Problems {
			problem("check: %s: %s", p.Where, p.What)
		}
		return wrong
	}
}

func filesUnder(root string) (found []string) {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return nil
	})
	slices.Sort(found)
	return found
}
