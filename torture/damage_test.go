package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

const sampleBatches = 60 // of each writer

// image is a project's files.
type image struct{ data, identity []byte }

func (i image) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string][]byte{"data.db": i.data, "identity": i.identity} {
		if content == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, dir string) (i image) {
	t.Helper()
	for name, content := range map[string]*[]byte{"data.db": &i.data, "identity": &i.identity} {
		var err error
		if *content, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// A sample is a project with the same documents in each of its images.
type samples struct {
	clean, crashed image   // after a stop in order, and after a crash
	earlier        []image // of the crashed one, before its last batches
}

func sample(t *testing.T, batches int) (s samples) {
	t.Helper()
	dir := t.TempDir()
	db, err := open(dir)
	if err == nil {
		err = prepare(db)
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= batches; n++ {
		for w := range writers {
			if n > batches-3 {
				s.earlier = append(s.earlier, load(t, dir))
			}
			if _, err := db.Commit(context.Background(), batch(w, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.crashed = load(t, dir)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.clean = load(t, dir)
	return s
}

// examine reads everything of a sample and prints what it met: "refused",
// "wrong" (an answer that is none of it), "missing", "error", "problems" (of
// the check), "right".
func examine(dir string) {
	defer os.Exit(0)
	db, err := open(dir)
	if err != nil {
		var damaged *kv.DamagedError
		var corrupt *kv.CorruptError
		if !errors.As(err, &damaged) && !errors.As(err, &corrupt) {
			fmt.Println("wrong: refused with an error of another kind:", err)
		}
		fmt.Println("refused:", err)
		return
	}
	s, err := db.Snapshot()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	right := true
	answer := func(what, got, want string, err error) {
		switch {
		case errors.Is(err, kv.ErrNotFound) && want != "":
			right = false
			fmt.Println("missing:", what)
		case err != nil && !errors.Is(err, kv.ErrNotFound):
			right = false
			fmt.Println("error:", what, err)
		case got != want:
			right = false
			fmt.Printf("wrong: %s is %.80s\n", what, got)
		}
	}
	for w := range writers {
		n := s.Counter(counter(w))
		if n == 0 && s.Err() == nil {
			n = sampleBatches
			right = false
			fmt.Println("missing:", counter(w))
		} else if s.Err() == nil {
			answer(counter(w), fmt.Sprint(n), fmt.Sprint(sampleBatches), nil)
		}
		value, _, ok := s.Setting(counter(w))
		if ok {
			answer("setting "+counter(w), string(value), fmt.Sprint(sampleBatches), nil)
		} else if s.Err() == nil {
			right = false
			fmt.Println("missing: setting", counter(w))
		}
		for _, name := range []string{"a", "b"} {
			c, ok := s.Collection(name)
			if !ok {
				right = false
				fmt.Println("missing: collection", name)
				continue
			}
			for slot := range slots {
				want := document(w, sampleBatches-(sampleBatches-slot+slots)%slots)
				d, err := s.Get(c, kvtest.ID(w<<8|slot))
				answer(fmt.Sprint(name, w, slot), string(d.JSON), want, err)
				if want == "" {
					continue
				}
				key := want[len(`{"k":"`):][:strings.IndexByte(want[len(`{"k":"`):], '"')]
				d, err = s.GetUnique(c, "k", kv.String(key))
				answer("key "+key+" of "+name, string(d.JSON), want, err)
			}
		}
	}
	if err := s.Err(); err != nil {
		right = false
		fmt.Println("error:", err)
	}
	s.Close()
	if right {
		fmt.Println("right")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if report, err := db.Check(ctx); err != nil || !report.OK() {
		fmt.Println("problems:", err)
	}
	_ = db.Close()
}

// judge has a copy of the test binary examine a directory, and says what came
// of it. The first word: refused, noticed, right, or how it must not be.
func judge(t *testing.T, dir string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), envExamine+"="+dir)
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	err := child.Run()
	text := out.String()
	has := func(word string) bool { return strings.HasPrefix(text, word) || strings.Contains(text, "\n"+word) }
	switch {
	case ctx.Err() != nil:
		return "HANGS"
	case err != nil:
		return fmt.Sprintf("DIES (%v): %.300s", err, text)
	case has("wrong"):
		return "ANSWERS WRONG: " + text
	case has("missing") && !has("problems"):
		return "HIDES: " + text
	case has("refused"):
		return "refused"
	case has("problems"), has("error"), has("missing"):
		return "noticed"
	case has("right"):
		return "right"
	}
	return "SAYS NOTHING: " + text
}

// TestDamage: a damaged project is refused, or what is damaged in it is an
// error, or nothing that is read was hit. No wrong answer, no crash, no hang.
func TestDamage(t *testing.T) {
	// The two pages at the front are heads. One that is lost, flipped or overwritten by the other leaves the whole state
	// before the last commit, and nothing in the file can tell that there was a later one: chance keeps off them.
	const heads = 2 * 4096
	mine, other := sample(t, sampleBatches), sample(t, sampleBatches-7)
	clean, crashed := mine.clean, mine.crashed
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	either := func() image {
		if rnd.IntN(2) == 0 {
			return clean
		}
		return crashed
	}
	table := map[string]map[string]int{}
	try := func(kind string, i image, allowed ...string) {
		dir := i.write(t)
		verdict := judge(t, dir)
		_ = os.RemoveAll(dir)
		if table[kind] == nil {
			table[kind] = map[string]int{}
		}
		table[kind][strings.Fields(verdict)[0]]++
		for _, a := range allowed {
			if verdict == a {
				return
			}
		}
		t.Errorf("%s: %s", kind, verdict)
	}
	try("nothing", clean, "right")
	try("nothing, after a crash", crashed, "right")
	for range long(100, 100) {
		i := either()
		try("cut short", image{i.data[:rnd.IntN(len(i.data))], i.identity}, "refused")
	}
	for range long(200, 1000) {
		i := either()
		data := bytes.Clone(i.data)
		for range 1 + rnd.IntN(3) {
			data[heads+rnd.IntN(len(data)-heads)] ^= 1 << rnd.IntN(8)
		}
		try("flipped bits", image{data, i.identity}, "refused", "noticed", "right")
	}
	page := func(data []byte, n int) []byte { return data[n*4096 : (n+1)*4096] }
	for range long(60, 300) {
		i := either()
		data := bytes.Clone(i.data)
		to := heads/4096 + rnd.IntN((len(data)-heads)/4096)
		switch rnd.IntN(3) {
		case 0:
			clear(page(data, to))
		case 1: // lost write: another page's bytes
			copy(page(data, to), page(data, rnd.IntN(len(data)/4096)))
		case 2: // torn: the second half is another's
			copy(page(data, to)[2048:], page(data, rnd.IntN(len(data)/4096)))
		}
		try("lost and torn pages", image{data, i.identity}, "refused", "noticed", "right")
	}
	// A page that another page's place should have got, in this file or in one that lies beside it; and a write that the
	// disk said it did, and did not.
	foreign := func(kind string, from []image) {
		for range long(15, 400) {
			i, other := either(), from[rnd.IntN(len(from))].data
			if kind == "lost writes" {
				i = crashed
			}
			data := bytes.Clone(i.data)
			to := heads/4096 + rnd.IntN((min(len(data), len(other))-heads)/4096)
			if copy(page(data, to), page(other, to)); bytes.Equal(data, i.data) {
				continue
			}
			try(kind, image{data, i.identity}, "refused", "noticed", "right")
		}
	}
	foreign("another project's pages", []image{other.clean, other.crashed})
	foreign("lost writes", mine.earlier)
	for range long(5, 100) {
		i := either()
		garbage := make([]byte, 1+rnd.IntN(3*4096))
		for k := range garbage {
			garbage[k] = byte(rnd.Uint32())
		}
		if rnd.IntN(2) == 0 {
			garbage = garbage[:len(garbage)/4096*4096] // whole pages belong to nobody yet
		}
		if len(garbage)%4096 == 0 {
			try("pages appended", image{append(bytes.Clone(i.data), garbage...), i.identity}, "right")
		} else {
			try("garbage appended", image{append(bytes.Clone(i.data), garbage...), i.identity}, "refused")
		}
		try("garbage in front", image{append(garbage[:len(garbage)/2+1], i.data...), i.identity}, "refused")
	}
	swapped := bytes.Clone(clean.data)
	copy(page(swapped, 0), page(clean.data, 1))
	copy(page(swapped, 1), page(clean.data, 0))
	try("exchanged heads", image{swapped, clean.identity}, "right", "refused", "noticed")
	noise := make([]byte, len(clean.data))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for name, i := range map[string]image{
		"another project's data":     {other.clean.data, clean.identity},
		"its data after a crash":     {other.crashed.data, clean.identity},
		"another project's identity": {clean.data, other.clean.identity},
		"both projects' data":        {append(bytes.Clone(other.clean.data), clean.data...), clean.identity},
		"both identities":            {clean.data, append(bytes.Clone(clean.identity), other.clean.identity...)},
		"a longer identity":          {clean.data, append(bytes.Clone(clean.identity), "0\n"...)},
		"an identity to come":        {clean.data, bytes.Replace(clean.identity, []byte("format 1"), []byte("format 9"), 1)},
		"a binary identity":          {clean.data, clean.data[:len(clean.identity)]},
		"text":                       {bytes.Repeat([]byte("not a database\n"), 4096), clean.identity},
		"a head alone":               {clean.data[:4096], clean.identity},
		"two heads alone":            {clean.data[:heads], clean.identity},
		"only heads are left":        {append(bytes.Clone(clean.data[:heads]), make([]byte, len(clean.data)-heads)...), clean.identity},
		"no data":                    {nil, clean.identity},
		"empty data":                 {[]byte{}, clean.identity},
		"no identity":                {clean.data, nil},
		"empty identity":             {clean.data, []byte{}},
		"cut identity":               {clean.data, clean.identity[:20]},
		"noise":                      {noise, clean.identity},
		"zeros":                      {make([]byte, len(clean.data)), clean.identity},
		"exchanged files":            {clean.identity, clean.data},
		"no heads":                   {append(make([]byte, 8192), clean.data[8192:]...), clean.identity},
	} {
		try(name, i, "refused")
	}
	var kinds []string
	for kind, verdicts := range table {
		kinds = append(kinds, fmt.Sprintf("%s: %v", kind, verdicts))
	}
	sort.Strings(kinds)
	t.Log(strings.Join(kinds, "\n"))
}
