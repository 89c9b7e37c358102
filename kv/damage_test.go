package kv_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

const sampleDocs = 300

func sampleDoc(i int) string {
	return fmt.Sprintf(`{"_id":"%s","email":"user%d@example.com","body":"%s"}`, kvtest.ID(i), i, strings.Repeat("x", i))
}

// sample makes a project of some pages: the bytes of its data file after a
// stop in order and after a crash, and its identity.
func sample(t testing.TB) (clean, crashed, identity []byte) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{})
	kvtest.Commit(t, db, kvtest.Collection("users", "email"), kvtest.Collection("small"))
	for i := 0; i < sampleDocs; i += 50 {
		var ops []kv.Op
		for k := i; k < i+50; k++ {
			ops = append(ops, kvtest.Put("users", kvtest.ID(k), sampleDoc(k)))
		}
		kvtest.Commit(t, db, ops...)
	}
	kvtest.Commit(t, db, kvtest.Put("small", kvtest.ID(1), `{"n":1}`),
		kv.Op{Kind: kv.OpSetting, Name: "rules", Value: []byte("strict")}, kv.Op{Kind: kv.OpAdd, Name: "n", Delta: 3})
	crashed = read(t, dir, "data.db")
	identity = read(t, dir, "identity")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return read(t, dir, "data.db"), crashed, identity
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restore writes a project's files; nil leaves one out.
func restore(t testing.TB, data, identity []byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string][]byte{"data.db": data, "identity": identity} {
		if content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openDamaged(dir string) (*kv.DB, error) { return kv.Open(dir, kv.Options{MapSize: 1 << 22}) }

func refused(t *testing.T, dir string) {
	t.Helper()
	before := files(t, dir)
	db, err := openDamaged(dir)
	if err == nil {
		db.Close()
	}
	var e *kv.DamagedError
	if !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
	if after := files(t, dir); after != before {
		t.Errorf("files changed from %s to %s", before, after)
	}
}

func files(t *testing.T, dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprint(e.Name(), " ", len(read(t, dir, e.Name()))))
	}
	return strings.Join(out, ", ")
}

func TestDamagedFilesAreRefused(t *testing.T) {
	clean, crashed, identity := sample(t)
	_, _, foreign := sample(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, len(clean))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	cut := func(data []byte, n int) []byte { return append(make([]byte, 0, n), data[:n]...) }
	zeroed := func(data []byte, from int) []byte {
		return append(cut(data, from), make([]byte, len(data)-from)...)
	}
	for _, tt := range []struct {
		name           string
		data, identity []byte
	}{
		{"a missing data file", nil, identity},
		{"an empty data file", []byte{}, identity},
		{"a data file of noise", noise, identity},
		{"a data file of zeros", make([]byte, len(clean)), identity},
		{"the identity of another", clean, foreign},
		{"an empty identity", clean, []byte{}},
		{"a garbled identity", clean, []byte("sluice database, format 1, id 00")},
		{"a missing identity", clean, nil},
		{"a lost second half after a crash", zeroed(crashed, len(crashed)/8192*4096), identity},
		{"lost heads", append(make([]byte, 8192), clean[8192:]...), identity},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, restore(t, tt.data, tt.identity)) })
	}
	for _, n := range []int{1, 15, 16, 79, 80, 100, 1023, 1024, 4095, 4096, 4097, 8191, 8192, 8193, 12288, 12289, 16384, 16385, 20480, 32768, 40000, 40960, 65536, 65537,
		len(clean) / 4, len(clean) / 2 / 4096 * 4096, len(clean) - 4097, len(clean) - 1} {
		t.Run(fmt.Sprintf("cut to %d bytes", n), func(t *testing.T) {
			refused(t, restore(t, cut(clean, n), identity))
			refused(t, restore(t, cut(crashed, min(n, len(crashed)-1)), identity))
		})
	}
}

// TestCreationCutAnywhere: whatever a cut creation leaves behind, the next
// Open finishes it.
func TestCreationCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	db := kvtest.OpenAt(t, dir, kv.Options{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, identity := read(t, dir, "data.db"), read(t, dir, "identity")
	for name, left := range map[string]map[string][]byte{
		"nothing":             {},
		"half of a data file": {"data.db.new-1": data[:5000]},
		"an unnamed one":      {"data.db.new-1": data},
		"no identity":         {"data.db": data, "data.db.new-1": data},
		"half an identity":    {"data.db": data, "identity.new-1": identity[:7]},
		"only a leftover":     {"data.db": data, "identity": identity, "identity.new-1": nil, "data.db.new-2": nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range left {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			db := kvtest.OpenAt(t, dir, kv.Options{})
			kvtest.Commit(t, db, kvtest.Collection("posts"))
			if got := files(t, dir); strings.Contains(got, "new-") {
				t.Errorf("left over: %s", got)
			}
		})
	}
	t.Run("a missing project is not made to be read", func(t *testing.T) {
		if _, err := kv.Open(t.TempDir(), kv.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDamagedValues flips one bit in each stored value in turn.
func TestDamagedValues(t *testing.T) {
	clean, _, identity := sample(t)
	db, err := openDamaged(restore(t, clean, identity))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	type place struct{ bucket, key, value string }
	var places []place
	err = db.Bolt().View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if len(places)%7 == 0 || name[0] != 'd' && name[0] != 'u' || len(k) < 9 {
					places = append(places, place{string(name), string(k), string(v)})
				} else {
					places = append(places, place{}) // one of many alike
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	put := func(p place, value string) {
		err := db.Bolt().Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(p.bucket)).Put([]byte(p.key), []byte(value)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	db.NoSync()
	tried := 0
	for _, p := range places {
		if p.bucket == "" || p.bucket == "m" && p.key != "state" {
			continue // format and id are compared when opened
		}
		tried++
		damaged := []byte(p.value)
		bit := rnd.IntN(len(damaged) * 8)
		damaged[bit/8] ^= 1 << (bit % 8)
		put(p, string(damaged))
		if report, err := db.Check(context.Background()); err == nil && report.OK() {
			t.Errorf("bucket %x, key %x: bit %d of %d: not noticed", p.bucket, p.key, bit, len(damaged)*8)
		}
		answersAreRight(t, db)
		put(p, p.value)
	}
	if tried < 50 {
		t.Errorf("only %d values", tried)
	}
	t.Run("a value under another key is an error", func(t *testing.T) {
		var docs []place
		for _, p := range places {
			if p.bucket != "" && p.bucket[0] == 'd' && strings.Contains(p.value, "email") {
				docs = append(docs, p)
			}
		}
		put(docs[0], docs[1].value)
		answersAreRight(t, db)
		put(docs[0], docs[0].value)
	})
	t.Run("a write that meets one is refused, others are not", func(t *testing.T) {
		var p place
		for _, q := range places {
			if q.bucket != "" && q.bucket[0] == 'd' && strings.Contains(q.value, "email") {
				p = q
				break
			}
		}
		damaged := []byte(p.value)
		damaged[len(damaged)-3] ^= 4
		put(p, string(damaged))
		id := kv.DocID([]byte(p.key))
		var corrupt *kv.CorruptError
		if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("users", id, `{}`))); !errors.As(err, &corrupt) {
			t.Errorf("got %v", err)
		}
		kvtest.Commit(t, db, kvtest.Put("small", kvtest.ID(7), `{}`))
		put(p, p.value)
		kvtest.Commit(t, db, kvtest.Put("users", id, p.value[14:]))
	})
	sound(t, db)
}

// answersAreRight reads everything: right, or an error.
func answersAreRight(t *testing.T, db *kv.DB) (missing int) {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		return 0
	}
	defer s.Close()
	var corrupt *kv.CorruptError
	c, ok := s.Collection("users")
	if !ok {
		return sampleDocs
	}
	for i := range sampleDocs {
		d, err := s.Get(c, kvtest.ID(i))
		if err == nil && string(d.JSON) != sampleDoc(i) {
			t.Errorf("document %d is %s", i, d.JSON)
		}
		if errors.Is(err, kv.ErrNotFound) {
			missing++
		} else if err != nil && !errors.As(err, &corrupt) {
			t.Errorf("document %d: %v", i, err)
		}
	}
	for i := 0; i < sampleDocs; i += 10 {
		d, err := s.GetUnique(c, "email", kv.String(fmt.Sprintf("user%d@example.com", i)))
		if err == nil && string(d.JSON) != sampleDoc(i) {
			t.Errorf("email %d leads to %s", i, d.JSON)
		}
		if errors.Is(err, kv.ErrNotFound) {
			missing++
		}
	}
	page, err := s.Find(context.Background(), c, &kv.Query{Limit: 1000})
	if err == nil && len(page.Docs) != sampleDocs {
		missing++
	}
	if value, _, ok := s.Setting("rules"); ok && string(value) != "strict" || !ok && s.Err() == nil {
		missing++
	}
	if n := s.Counter("n"); n != 3 && s.Err() == nil {
		missing++
	}
	return missing
}

// TestFlippedBits flips bits anywhere in the file. Whatever is read is right
// or an error, and nothing dies or hangs. bbolt's own pages have no checksums,
// so a damaged key can hide a document: Check must find that.
func TestFlippedBits(t *testing.T) {
	clean, crashed, identity := sample(t)
	rnd := rand.New(rand.NewPCG(1, 3))
	rounds, shut, hidden := 150, 0, 0
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		data := append([]byte(nil), [][]byte{clean, crashed}[round%2]...)
		used := min(len(data), []int{16 << 10, 120 << 10}[round/2%2]) // half of the rounds hit the top of the tree
		for range 1 + rnd.IntN(3) {
			bit := rnd.IntN(used * 8)
			data[bit/8] ^= 1 << (bit % 8)
		}
		db, err := openDamaged(restore(t, data, identity))
		if err != nil {
			var damaged *kv.DamagedError
			var corrupt *kv.CorruptError
			if !errors.As(err, &damaged) && !errors.As(err, &corrupt) {
				t.Errorf("open: %v", err)
			}
			shut++
			continue
		}
		missing := answersAreRight(t, db)
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		report, err := db.Check(ctx)
		cancel()
		if missing > 0 {
			hidden++
			if err == nil && report.OK() {
				t.Errorf("round %d: %d answers are missing and Check finds nothing", round, missing)
			}
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("check took %v", d)
		}
		db.Close()
	}
	t.Logf("%d rounds: %d refused to open, %d hid something, which Check found", rounds, shut, hidden)
}

func FuzzOpenMutated(f *testing.F) {
	clean, crashed, identity := sample(f)
	f.Add(uint32(0), []byte{0}, uint32(len(clean)), false)
	f.Add(uint32(24), []byte{0xFF, 0xFF}, uint32(len(clean)), true)
	f.Add(uint32(8192), []byte{1, 2, 3, 4, 5, 6, 7, 8}, uint32(len(crashed)), true)
	f.Add(uint32(8304), []byte{0x17}, uint32(len(crashed)), true)
	f.Add(uint32(16384), []byte{}, uint32(16384), true)
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32, crash bool) {
		data := append([]byte(nil), clean...)
		if crash {
			data = append(data[:0], crashed...)
		}
		data = data[:min(int(size), len(data))]
		if int(at) < len(data) {
			copy(data[at:], patch)
		}
		db, err := openDamaged(restore(t, data, identity))
		if err != nil {
			return
		}
		answersAreRight(t, db)
		_, _ = db.Check(context.Background())
		db.Close()
	})
}
