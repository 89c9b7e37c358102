package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
)

// TestNodeAndBareServers is the whole command on little data, against what needs nothing fetched.
func TestNodeAndBareServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.json")
	var text, progress bytes.Buffer
	args := []string{"-no-pocketbase", "-rows", "get,list,newest,insert,update,login,start-killed", "-documents", "2000",
		"-rounds", "1", "-seconds", "0.1", "-json", file, "-lock", filepath.Join(t.TempDir(), "lock")}
	if err := run(args, &text, &progress); err != nil {
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
	if len(r.Rows) != 7 || len(r.Bounds) != 2 {
		t.Fatalf("%d rows, %d bounds\n%s", len(r.Rows), len(r.Bounds), raw)
	}
	for _, row := range r.Rows {
		for _, s := range row.Sides {
			if s.Idle == 0 {
				t.Errorf("%s: %s uses no memory", row.Row, s.Side)
			}
			if timed := s.Rate > 0 && s.P50 > 0 && s.P99 >= s.P50 && s.Peak > 0; timed == (s.Ready > 0) {
				t.Errorf("%s: %s did nothing: %+v", row.Row, s.Side, s)
			}
		}
		for _, q := range row.Ratios {
			if q.To != bareServer || q.Ratio <= 0 || q.Reached == nil {
				t.Errorf("%s: %+v", row.Row, q)
			}
		}
		if !strings.Contains(text.String(), row.Row) {
			t.Errorf("row %s is not in the table:\n%s", row.Row, &text)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name, args string
		want       []string // in the error
	}{
		{"nothing is everything", "", nil},
		{"every mistake is told at once", "-documents 1 -rounds 0 -seconds 0 -rows get,nothing", []string{"-documents", "-rounds", "-seconds", `"nothing"`}},
		{"not a number of seconds", "-seconds NaN", []string{"-seconds"}},
		{"an argument too many", "get", []string{`"get"`}},
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

func TestTargetsNameSidesOfTheirRow(t *testing.T) {
	for _, r := range rows {
		for _, target := range r.targets {
			if !slices.Contains(r.sides[1:], target.to) {
				t.Errorf("%s: %s is no other side of it", r.name, target.to)
			}
		}
		if alone := r.alone(); len(alone.sides) == 0 || strings.Contains(string(alone.sides[0]), "pocketbase") {
			t.Errorf("%s: nothing to measure but PocketBase", r.name)
		}
	}
}

func TestRatios(t *testing.T) {
	of := func(rate float64, cpu, p99 time.Duration, peak int64) slice {
		return slice{Slice: figure.Slice{Rate: rate, CPU: cpu, P99: p99, Peak: peak}}
	}
	m := &measured{
		row: &row{name: "x", sides: []sideName{sluice, pocketbase}, targets: []target{
			{rate, pocketbase, 3}, {cpu, pocketbase, 3}, {p99, pocketbase, 0},
		}},
		// Three rounds: in the second one somebody else had the machine.
		slices: map[sideName][]slice{
			sluice:     {of(100, 10, 10, 0), of(1, 12, 500, 5<<20), of(120, 10, 5, 0)},
			pocketbase: {of(30, 20, 40, 0), of(25, 24, 100, 0), of(40, 20, 50, 0)},
		},
		idle: map[sideName]int64{sluice: 3 << 20},
	}
	r := &report{}
	r.add(m)
	r.finish()
	want := []struct {
		ratio   float64
		reached string
	}{{3, "yes"}, {2, "NO"}, {4, ""}}
	for i, q := range r.Rows[0].Ratios {
		got := ""
		if q.Reached != nil {
			got = figure.YesNo(*q.Reached)
		}
		if q.Ratio != want[i].ratio || got != want[i].reached {
			t.Errorf("%s: %v %q, want %v", q.Of, q.Ratio, got, want[i])
		}
	}
	if s := r.Rows[0].Sides[0]; s.Rate != 100 || s.Peak != 5 || s.Idle != 3 {
		t.Errorf("%+v", s)
	}
	if len(r.Bounds) != 2 || !r.Bounds[0].Reached || !r.Bounds[1].Reached {
		t.Errorf("%+v", r.Bounds)
	}
}
