package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.UnixMilli(1_800_000_000_000)

func texts(p Page[Line]) (s string) {
	for i, e := range p.Entries {
		s += fmt.Sprintf("%d:%s ", p.First+uint64(i), e.Text)
	}
	return s
}

func TestPages(t *testing.T) {
	l := newLog[Line](3, 10)
	if p := l.Newest(5); len(p.Entries) != 0 || p.Next != 9 || p.Missed != 0 {
		t.Errorf("an empty log: %+v", p)
	}
	for i := range 5 { // numbers 10 to 14; 10 and 11 have gone
		l.Add(Line{Text: string(rune('a' + i))})
	}
	for _, c := range []struct {
		name         string
		after        uint64
		limit        int
		want         string
		next, missed uint64
	}{
		{"all that is kept", 0, 9, "12:c 13:d 14:e ", 14, 0},
		{"no more than asked for", 0, 2, "12:c 13:d ", 13, 0},
		{"what comes after a number", 12, 9, "13:d 14:e ", 14, 0},
		{"what has gone is said to be missed", 9, 9, "12:c 13:d 14:e ", 14, 2},
		{"nothing is missed at the edge", 11, 1, "12:c ", 12, 0},
		{"the end of the log", 14, 9, "", 14, 0},
		{"a number that it never came to starts over", 15, 1, "12:c ", 12, 0},
	} {
		p := l.After(c.after, c.limit)
		if texts(p) != c.want || p.Next != c.next || p.Missed != c.missed {
			t.Errorf("%s: got %q next %d missed %d, want %+v", c.name, texts(p), p.Next, p.Missed, c)
		}
	}
	if p := l.Newest(2); texts(p) != "13:d 14:e " || p.Next != 14 {
		t.Errorf("newest: %q next %d", texts(p), p.Next)
	}
}

func TestAFollowerMissesNothing(t *testing.T) {
	const entries = 2000
	l := newLog[Line](entries, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			next := uint64(0)
			for seen := 0; seen < entries; {
				p := l.Wait(ctx, next, 7)
				for _, e := range p.Entries {
					if e.Text != fmt.Sprint(seen) {
						t.Errorf("entry %d is %s", seen, e.Text)
						return
					}
					seen++
				}
				if next = p.Next; ctx.Err() != nil {
					t.Errorf("after %d entries: %v", seen, ctx.Err())
					return
				}
			}
		})
	}
	for i := range entries {
		l.Add(Line{Text: fmt.Sprint(i)})
	}
	readers.Wait()
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l := newLog[Line](3, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if p := l.Wait(ctx, 0, 5); len(p.Entries) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestRefusalsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keptRefusals + 7 {
		j.Refuse(Refusal{Time: noon, Reason: fmt.Sprint(i), Cause: strings.Repeat("x", 2*maxCause*(i%2))})
	}
	if err := j.Save(); err != nil {
		t.Fatal(err)
	}
	was := j.Refusals.After(0, 1)
	j, err = Open(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	p := j.Refusals.After(0, keptRefusals+1)
	if len(p.Entries) != keptRefusals || p.Entries[0].Reason != "7" || p.First != was.First || len(p.Entries[0].Cause) != maxCause+len("…") {
		t.Errorf("%d entries from %s, number %d", len(p.Entries), p.Entries[0].Reason, p.First)
	}
	j, _ = Open(dir, noon.Add(time.Hour))
	if later := j.Refusals.After(p.Next, 1); len(later.Entries) != 0 {
		t.Errorf("a follower sees old entries again: %d", len(later.Entries))
	}
	j.Refuse(Refusal{Reason: "new"})
	if later := j.Refusals.After(p.Next, 5000); later.Entries[len(later.Entries)-1].Reason != "new" {
		t.Errorf("a follower does not see the new one: %+v", later)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Errorf("files: %v", files)
	}
}

func TestADamagedFileIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `{"next":-1}`, `{"next":99999999999999999,"entries":[{}]}`} {
		if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		j, _ := Open(dir, noon)
		j.Refuse(Refusal{Reason: "x"})
		if p := j.Refusals.Newest(1); len(p.Entries) != 1 || p.First > 1<<53 {
			t.Errorf("%q: %+v", text, p)
		}
		if err := j.Save(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	j, _ := Open(filepath.Join(dir, "gone"), noon)
	j.Refuse(Refusal{})
	if err := j.Save(); err == nil {
		t.Error("a directory that is not there was written to")
	}
}

func TestLinesAreLimited(t *testing.T) {
	j, _ := Open("", noon)
	write := func(n int, at time.Time) {
		for range n {
			j.Write(Line{Time: at})
		}
	}
	write(5*lineBurst, noon)
	write(5*lineRate, noon.Add(time.Second))
	write(1, noon) // a clock that goes back gives nothing away
	if p := j.Lines.Newest(1); p.Dropped != 4*lineBurst+4*lineRate+1 {
		t.Errorf("dropped %d", p.Dropped)
	}
}

// A refusal on the way of a request costs a lock and a copy, however many there are and whoever reads.
func BenchmarkRefuse(b *testing.B) {
	j, _ := Open("", noon)
	e := Refusal{Time: noon, RequestID: "0123456789", Reason: "policy.denied"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			j.Refuse(e)
		}
	})
}
