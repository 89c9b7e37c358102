package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

// TestMain lets this test's binary be the server of the rows over HTTP, as the command's is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == helloArgument {
		if err := serveHello(os.Args[2]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// The whole command, on slices that are too short to mean anything: every engine judges, and every row is told.
func TestEveryEngineJudges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.json")
	var table, progress bytes.Buffer
	if err := run([]string{"-rounds", "1", "-slice", "1ms", "-load", "50ms", "-json", file}, &table, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, row := range rows {
		want += 1 + len(row.others) + len(row.http)
	}
	if len(r.Sides) != want {
		t.Errorf("%d sides, not %d", len(r.Sides), want)
	}
	for _, s := range r.Sides {
		first := s.Name == "sluice" || s.Name == "hello"
		if (s.Call > 0) == (s.Rate > 0) || (s.Ratio > 0) == first || (s.Reached != nil) != (s.Target > 0) {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(table.String(), s.Name) {
			t.Errorf("%s is not in the table:\n%s", s.Name, &table)
		}
		if s.Name == "sluice" && s.Allocs >= 1 {
			t.Errorf("a guest's call allocates %v times", s.Allocs)
		}
	}
}

// What the others read is what guests read, to the byte.
func TestTheEventIsTheHosts(t *testing.T) {
	length := hooktest.Op(0x20, 0x01, 0xad) // local.get 1, i64.extend_i32_u
	echo := hooktest.Guest{Hook: hooktest.Code(length, hooktest.I64Const(hooktest.BufferAt<<32), hooktest.Op(0x84))}
	d, err := hooktest.Load(t, hooks.Options{}, echo.Wasm()).Hook(context.Background(), event(document))
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Replace(text(document), []byte(`"policy"`), []byte(`"beforeInsert"`), 1) // a policy cannot answer with it
	if !bytes.Equal(d.Document, want) {
		t.Errorf("the host writes\n%s\nnot\n%s", d.Document, want)
	}
	if n := len(want); n < 280 || n > 320 {
		t.Errorf("%d bytes", n)
	}
}

type fixed bool

func (f fixed) Ask(*subject) (bool, error) { return bool(f), nil }
func (f fixed) Close() error               { return nil }

func TestAnEngineThatDoesNotJudgeIsNotTimed(t *testing.T) {
	for _, always := range []fixed{true, false} {
		if err := prove(always); err == nil {
			t.Errorf("one that always says %v is", always)
		}
	}
}

func TestRatiosAreOfNeighbours(t *testing.T) {
	of := func(first, other time.Duration) pair { return pair{slice{wall: first}, slice{wall: other}} }
	r := &report{}
	// In the second round somebody else had the machine, in the third half of it.
	r.add(&measured{row: &row{name: "x", guest: langC, others: []target{{"goja", 8}, {"opa", 20}, {"cel", 0}}}, pairs: map[string][]pair{
		"goja": {of(2000, 20_000), of(90_000, 40_000), of(2000, 18_000)},
		"opa":  {of(2000, 30_000)},
		"cel":  {of(2000, 5000)},
	}})
	for i, want := range []struct {
		ratio   float64
		reached string
	}{{0, ""}, {9, "yes"}, {15, "NO"}, {2.5, ""}} {
		s, reached := r.Sides[i], ""
		if s.Reached != nil {
			reached = map[bool]string{true: "yes", false: "NO"}[*s.Reached]
		}
		if s.Ratio != want.ratio || reached != want.reached {
			t.Errorf("%s: %v %q, want %v", s.Name, s.Ratio, reached, want)
		}
	}
}

func TestRowsNameEngines(t *testing.T) {
	for _, r := range rows {
		for _, other := range r.others {
			if engineNamed(other.to) == nil {
				t.Errorf("%s: there is no engine %s", r.name, other.to)
			}
		}
		if (r.guest == "") == (len(r.http) == 0) {
			t.Errorf("%s is neither about calls nor about requests, or about both", r.name)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name, args string
		want       []string // in the error
	}{
		{"nothing is everything", "", nil},
		{"every mistake is told at once", "-rounds 0 -slice 1us -load 0s -rows c,nothing", []string{"-rounds", "-slice", "-load", `"nothing"`}},
		{"an argument too many", "c", []string{`"c"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt, err := parse(strings.Fields(c.args), io.Discard)
			if c.want == nil {
				if err != nil || len(opt.rows) != len(rows) {
					t.Errorf("%+v %v", opt, err)
				}
				return
			}
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not name %s", err, w)
				}
			}
		})
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
	for _, r := range rows {
		if !strings.Contains(help.String(), r.name) {
			t.Errorf("-help does not tell of %s", r.name)
		}
	}
}
