package torture

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// Environment variables that give a copy of the test binary another job.
const (
	envWork     = "TORTURE_WORK"     // directory: write to it until killed
	envCompact  = "TORTURE_COMPACT"  // and compact it all the time
	envTolerate = "TORTURE_TOLERATE" // and go on when writing fails
	envGrow     = "TORTURE_GROW"     // and let the file grow
	envRelax    = "TORTURE_RELAX"    // and have commits synced so many milliseconds later
	envBoot     = "TORTURE_BOOT"     // name of the present boot, for one that comes after a power cut
	envHurry    = "TORTURE_HURRY"    // directory on a slow disk: write more than it takes
	envFiles    = "TORTURE_FILES"    // the writing, and the comparing, is of files and their records
	envExamine  = "TORTURE_EXAMINE"  // directory of a sample: read all of it
	envLook     = "TORTURE_LOOK"     // directory: compare it with
	envOutside  = "TORTURE_OUTSIDE"  // what the outside knows, as JSON
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envFiles) != "" && os.Getenv(envWork) != "":
		workFiles(os.Getenv(envWork))
	case os.Getenv(envWork) != "":
		work(os.Getenv(envWork))
	case os.Getenv(envExamine) != "":
		examine(os.Getenv(envExamine))
	case os.Getenv(envHurry) != "":
		hurry(os.Getenv(envHurry))
	case os.Getenv(envLook) != "":
		look(os.Getenv(envLook))
	}
	os.Exit(m.Run())
}

// long chooses between the short and the long form of a test.
func long(short, long int) int {
	if os.Getenv("TORTURE") == "long" {
		return long
	}
	return short
}

func open(dir string) (*kv.DB, error) {
	return kv.Open(dir, kv.Options{MapSize: 1 << 28, Boot: os.Getenv(envBoot)})
}

const (
	writers = 8
	slots   = 13 // documents of a writer in each collection
)

// A writer's n-th batch, from 1, changes one of its documents in both
// collections and a setting, and counts. So what those must be follows from its
// counter alone, and a batch that is half there shows.
func batch(w, n int) *kv.Batch {
	b := &kv.Batch{Time: int64(n), Ops: []kv.Op{{Kind: kv.OpAdd, Name: counter(w), Delta: 1},
		{Kind: kv.OpSetting, Name: counter(w), Value: fmt.Append(nil, n)}}}
	b.ID[0] = byte(w + 1)
	binary.BigEndian.PutUint64(b.ID[8:], uint64(n))
	for _, collection := range []string{"a", "b"} {
		id := kvtest.ID(w<<8 | n%slots)
		if value := document(w, n); value != "" {
			b.Ops = append(b.Ops, kvtest.Put(collection, id, value))
		} else {
			b.Ops = append(b.Ops, kvtest.Delete(collection, id))
		}
	}
	return b
}

func counter(w int) string { return fmt.Sprintf("writer%d", w) }

// document is what batch n of a writer stores, "" if it deletes.
func document(w, n int) string {
	if n%5 == 4 {
		return ""
	}
	return fmt.Sprintf(`{"k":"%d-%d","n":%d,"x":"%s"}`, w, n, n, strings.Repeat("x", n*37%3000))
}

func prepare(db *kv.DB) error {
	durability := kv.Op{Kind: kv.OpSetting, Name: "kv.syncMillis"}
	if text := os.Getenv(envRelax); text != "" {
		durability.Value = []byte(text)
	}
	_, err := db.Commit(context.Background(), kvtest.Batch(durability, kvtest.Collection("a", "k"), kvtest.Ordered(kvtest.Collection("b", "k"), "n"), kvtest.Collection("c")))
	return err
}

// write commits one writer's batches and reports each before and after. What
// could not be written, or whose outcome is not known, is repeated.
func write(db *kv.DB, w, from int, stop <-chan struct{}, report func(kind byte, w, n int, err error)) {
	for n := from; ; n++ {
		report('i', w, n, nil)
		b := batch(w, n)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_, err := db.Commit(context.Background(), b)
			if err == nil {
				break
			}
			report('e', w, n, err)
			if !errors.Is(err, kv.ErrReadOnly) && !errors.Is(err, kv.ErrUnknownOutcome) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		report('a', w, n, nil)
	}
}

// written reads how many batches of each writer there are.
func written(db *kv.DB) (n [writers]int, err error) {
	s, err := db.Snapshot()
	if err != nil {
		return n, err
	}
	defer s.Close()
	for w := range n {
		n[w] = int(s.Counter(counter(w)))
	}
	return n, s.Err()
}

// work writes until it is killed and prints a line for each report.
func work(dir string) {
	db, err := open(dir)
	if err == nil {
		err = prepare(db)
	}
	var from [writers]int
	if err == nil {
		from, err = written(db)
	}
	if err != nil {
		fmt.Println("fatal", err)
		os.Exit(1)
	}
	for w := range writers {
		go write(db, w, from[w]+1, nil, func(kind byte, w, n int, err error) {
			expected := os.Getenv(envTolerate) != "" && (errors.Is(err, kv.ErrReadOnly) || errors.Is(err, kv.ErrUnknownOutcome))
			if kind == 'e' && !expected {
				fmt.Printf("fatal %v\n", err)
			}
			if kind == 'e' {
				return
			}
			fmt.Printf("%c %d %d %d\n", kind, w, n, time.Now().UnixNano())
		})
	}
	for os.Getenv(envGrow) != "" {
		b := kvtest.Batch(kvtest.Put("c", db.NewID(time.Now()), `{"x":"`+strings.Repeat("x", 30_000)+`"}`))
		_, _ = db.Commit(context.Background(), b)
		time.Sleep(5 * time.Millisecond)
	}
	for os.Getenv(envCompact) != "" {
		if _, err := db.Compact(context.Background(), nil); err != nil {
			fmt.Println("fatal", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	select {}
}

// journal is what the outside knows of the writers.
type journal struct {
	mu       sync.Mutex
	intended [writers]int
	acked    [writers]int
	acks     []ack // all of them, when they are wanted
	keep     bool
	errors   []string
}

type ack struct {
	w, n int
	at   int64 // unix nanoseconds, by the writer's clock, after it was told
}

func (j *journal) note(kind byte, w, n int, at int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch kind {
	case 'i':
		j.intended[w] = n
	case 'a':
		j.acked[w] = n
		if j.keep {
			j.acks = append(j.acks, ack{w, n, at})
		}
	}
}

func (j *journal) total() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.acked {
		n += a
	}
	return n
}

// read follows the output of a working process; each is called after each line.
func (j *journal) read(out io.Reader, each func()) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var kind byte
		var w, n int
		var at int64
		if _, err := fmt.Sscanf(lines.Text(), "%c %d %d %d", &kind, &w, &n, &at); err != nil {
			j.mu.Lock()
			j.errors = append(j.errors, lines.Text())
			j.mu.Unlock()
			continue
		}
		j.note(kind, w, n, at)
		each()
	}
}

// start starts a working process.
func start(t *testing.T, dir string, env ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(append(os.Environ(), envWork+"="+dir), env...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return child, out
}

// verify compares a database with what was acknowledged and intended, and
// returns what is wrong.
func verify(db *kv.DB, acked, intended [writers]int) (wrong []string) {
	problem := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	have, err := written(db)
	if err != nil {
		return []string{err.Error()}
	}
	s, err := db.Snapshot()
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	for w, n := range have {
		if n < acked[w] || n > intended[w] {
			problem("writer %d: %d batches are there, %d were acknowledged, %d intended", w, n, acked[w], intended[w])
		}
		if value, _, ok := s.Setting(counter(w)); ok != (n > 0) || ok && string(value) != fmt.Sprint(n) {
			problem("writer %d: after %d batches the setting is %q", w, n, value)
		}
		for _, name := range []string{"a", "b"} {
			c, ok := s.Collection(name)
			if !ok {
				if n > 0 {
					problem("collection %s is gone", name)
				}
				continue
			}
			for slot := range slots {
				want := ""
				if last := n - (n-slot+slots)%slots; last > 0 {
					want = document(w, last)
				}
				d, err := s.Get(c, kvtest.ID(w<<8|slot))
				if errors.Is(err, kv.ErrNotFound) {
					err = nil
				}
				if err != nil || string(d.JSON) != want {
					problem("writer %d: document %d of %s after %d batches is %.60s, %v; want %.60s", w, slot, name, n, d.JSON, err, want)
				}
			}
		}
	}
	report, err := db.Check(context.Background())
	if err != nil {
		return append(wrong, err.Error())
	}
	for _, p := range report.Problems {
		problem("check: %s: %s", p.Where, p.What)
	}
	return wrong
}

// outside is what a process that looks at a disk after a cut must know.
type outside struct{ Acked, Intended [writers]int }

// look opens a project, compares it with what the outside knows, and prints
// what is wrong.
func look(dir string) {
	var known outside
	if err := json.Unmarshal([]byte(os.Getenv(envOutside)), &known); err != nil {
		fmt.Println(err)
	}
	if db, err := open(dir); err != nil {
		fmt.Println("open:", err)
	} else {
		compare := verify
		if os.Getenv(envFiles) != "" {
			compare = verifyFiles(dir)
		}
		for _, wrong := range compare(db, known.Acked, known.Intended) {
			fmt.Println(wrong)
		}
		if err := db.Close(); err != nil {
			fmt.Println("close:", err)
		}
	}
	fmt.Println("looked")
	os.Exit(0)
}
