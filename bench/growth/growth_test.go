package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/bench/figure"
)

// TestGrowth is the whole command on little data.
func TestGrowth(t *testing.T) {
	file, dir := filepath.Join(t.TempDir(), "table.json"), t.TempDir()
	var text, progress bytes.Buffer
	args := []string{"-sizes", "1000,2000", "-more", "3000", "-rounds", "1", "-seconds", "0.1", "-json", file, "-dir", dir}
	if err := run(args, &text, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if found, err := (&sized{dir: filepath.Join(dir, "3000")}).find(); !found || err != nil {
		t.Errorf("what was filled is not found again: %v", err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Lines) != 2*5+1 {
		t.Fatalf("%d lines\n%s", len(r.Lines), raw)
	}
	for _, l := range r.Lines {
		if l.Rate <= 0 || l.P50 <= 0 || l.RateRatio <= 0 {
			t.Errorf("%+v", l)
		}
		if !strings.Contains(text.String(), l.Row) {
			t.Errorf("%s is not in the table:\n%s", l.Row, &text)
		}
	}
}

func TestOthersDirectoriesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if found, err := (&sized{dir: filepath.Join(dir, "new")}).find(); found || err != nil {
		t.Errorf("what does not exist: %v %v", found, err)
	}
	if found, err := (&sized{dir: dir}).find(); found || err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("what somebody else made: %v %v", found, err)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"too small", "-sizes 10", `"10"`},
		{"none", "-sizes ,", "-sizes"},
		{"twice", "-sizes 1000,2000 -more 2000", "twice"},
		{"no number", "-more x", `"x"`},
		{"no rounds", "-rounds 0", "-rounds"},
		{"no time", "-seconds 0", "-seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse(strings.Fields(c.args), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %s", err, c.want)
			}
		})
	}
}

func TestRatiosAreOfNeighbours(t *testing.T) {
	// In the second round the machine was half as fast for both.
	first := []figure.Slice{{CPU: 10, Rate: 100}, {CPU: 20, Rate: 50}, {CPU: 10, Rate: 100}}
	l := summary("get", 9, first, []figure.Slice{{CPU: 25, Rate: 50}, {CPU: 50, Rate: 25}, {CPU: 25, Rate: 50}})
	if l.CPURatio != 2.5 || l.RateRatio != 2 || l.Reached {
		t.Errorf("%+v", l)
	}
	if l := summary("get", 9, first, first); l.CPURatio != 1 || !l.Reached {
		t.Errorf("%+v", l)
	}
}
