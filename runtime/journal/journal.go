package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bounds of a project's journal.
const (
	keptRefusals = 1000
	keptLines    = 1000
	lineRate     = 100  // lines a second that are kept for long
	lineBurst    = 1000 // lines at once
	maxCause     = 2048 // bytes of a guest's account of how it broke
	maxFile      = 16 << 20
)

// File is where a project's refusals are kept, beside its database.
const File = "decisions.json"

// Journal is what one project's developer can look at.
type Journal struct {
	Refusals *Log[Refusal]
	Lines    *Log[Line]

	path string // "": nothing is kept on disk
	save sync.Mutex

	mu     sync.Mutex // guards what follows: the bucket of the lines' rate
	tokens float64
	filled time.Time
}

// stored is the shape of the file.
type stored struct {
	Next    uint64    `json:"next"`
	Entries []Refusal `json:"entries"`
}

// Open makes the journal of a project whose files are in dir, with the refusals that were saved there; dir may be "" for one
// that is kept in memory only. A file that cannot be read is an error and a journal without it: nothing else must fail for it.
//
// Numbers go on where the saved ones end, so that whoever follows goes on with the number that it has; without a file they
// start at the time in milliseconds, which is above those of an earlier life.
func Open(dir string, now time.Time) (*Journal, error) {
	start := uint64(max(now.UnixMilli(), 1))
	j := &Journal{Refusals: newLog[Refusal](keptRefusals, start), Lines: newLog[Line](keptLines, start), tokens: lineBurst, filled: now}
	if dir == "" {
		return j, nil
	}
	j.path = filepath.Join(dir, File)
	info, err := os.Stat(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	if err != nil {
		return j, fmt.Errorf("read %s: %w", j.path, err)
	}
	raw, err := os.ReadFile(j.path)
	if err != nil {
		return j, err
	}
	var s stored
	if err := json.Unmarshal(raw, &s); err != nil {
		return j, fmt.Errorf("read %s: %w", j.path, err)
	}
	if s.Next <= uint64(len(s.Entries)) || s.Next >= 1<<53 || len(s.Entries) > keptRefusals { // 1<<53: what JSON's readers can hold
		return j, fmt.Errorf("read %s: it was not written by this program", j.path)
	}
	j.Refusals.entries, j.Refusals.next = s.Entries, s.Next
	return j, nil
}

// Refuse adds a refusal. Its cause is cut to what a person reads.
func (j *Journal) Refuse(e Refusal) {
	if len(e.Cause) > maxCause {
		e.Cause = e.Cause[:maxCause] + "…"
	}
	j.Refusals.Add(e)
}

// Write adds a guest's line, unless the project's guests write too much.
func (j *Journal) Write(e Line) {
	j.mu.Lock()
	j.tokens = min(lineBurst, j.tokens+lineRate*max(0, e.Time.Sub(j.filled).Seconds()))
	j.filled = e.Time
	fits := j.tokens >= 1
	if fits {
		j.tokens--
	}
	j.mu.Unlock()
	if fits {
		j.Lines.Add(e)
	} else {
		j.Lines.drop()
	}
}

// Save writes the refusals to the project's file if there are new ones. The file is replaced by a rename: it is the old or
// the new one. It is not synced, since after a crash of the machine nobody is owed these.
func (j *Journal) Save() error {
	if j.path == "" {
		return nil
	}
	j.save.Lock()
	defer j.save.Unlock()
	entries, next, changed := j.Refusals.take()
	if !changed {
		return nil
	}
	raw, err := json.Marshal(stored{next, entries})
	if err == nil {
		err = os.WriteFile(j.path+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return fmt.Errorf("save the log of decisions: %w", errors.Join(err, removeAny(j.path+".new")))
	}
	return nil
}

// removeAny removes what is left of a file that could not be written.
func removeAny(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
