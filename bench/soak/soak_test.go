package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The whole command for a few seconds, and every crime: no request of the good project fails, nor does a deploy, and the node ends
// cleanly. How long requests took says nothing over so short a time.
func TestAGoodProjectBesideAHostileOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "table.json")
	var table, progress bytes.Buffer
	args := []string{"-minutes", "0.05", "-phase", "1s", "-rate", "128", "-hostile", "16", "-json", file}
	if err := run(args, &table, &progress); err != nil {
		t.Fatalf("%v\n%s%s", err, &progress, &table)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Kinds) != 2 || r.Failed != 0 {
		t.Fatalf("%s", raw)
	}
	for i, k := range r.Kinds {
		if k.Phases == 0 || k.Rate == 0 || k.ReadP99 < k.ReadP50 || k.ReadP50 == 0 || k.WriteP99 < k.WriteP50 || k.WriteP50 == 0 || k.Deploys == 0 || (k.Hostile > 0) != (i == 1) {
			t.Errorf("%+v", k)
		}
	}
	for _, want := range []string{"alone", "beside", "failed: 0 (at most 0: yes)", "p99 of reads", "p99 of writes"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, &table)
		}
	}
}

func TestVerdict(t *testing.T) {
	of := func(alone, beside time.Duration, failed error) bool {
		r := newReport(&options{}, "")
		for i, d := range []time.Duration{alone, beside} {
			p := &phase{beside: i == 1, requests: 1, elapsed: time.Second}
			p.read.Add(d)
			p.write.Add(d)
			r.add(p)
		}
		r.fail(failed)
		r.finish()
		return r.Reached
	}
	for _, c := range []struct {
		name          string
		alone, beside time.Duration
		failed        error
		want          bool
	}{
		{"as fast as alone", time.Millisecond, time.Millisecond, nil, true},
		{"a third slower", 3 * time.Millisecond, 4 * time.Millisecond, nil, true},
		{"twice as slow", time.Millisecond, 2 * time.Millisecond, nil, false},
		{"one request failed", time.Millisecond, time.Millisecond, io.ErrUnexpectedEOF, false},
		{"nothing was measured", 0, 0, nil, false},
	} {
		if got := of(c.alone, c.beside, c.failed); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string // in the error
	}{
		{"", nil},
		{"-crimes loop,fill", nil},
		{"-minutes 0 -phase 1ms -rate 1 -hostile 0 -crimes loop,theft", []string{"-minutes", "-phase", "-rate", "-hostile", `"theft"`}},
		{"-minutes NaN", []string{"-minutes"}},
		{"now", []string{`"now"`}},
	} {
		opt, err := parse(strings.Fields(c.args), io.Discard)
		if c.want == nil && (err != nil || len(opt.crimes) == 0) {
			t.Errorf("%q: %v", c.args, err)
		}
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v does not name %s", c.args, err, w)
			}
		}
	}
	if _, err := parse([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}
