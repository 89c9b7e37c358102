package kv

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup is one state of a project's file, to be copied while the project is in use. The state does not change; while
// it is open the file cannot reuse what was deleted since, so it grows.
type Backup struct {
	snap *Snapshot
	head *head
	id   []byte // content of the identity file
}

// Backup takes hold of the newest state, which no commit follows before the next one is judged: what was acknowledged
// before is in it. The caller closes it.
func (db *DB) Backup() (*Backup, error) {
	// Between commits, so that the head in the file is that of the snapshot.
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	snap, err := db.Snapshot()
	if err != nil {
		return nil, err
	}
	b := &Backup{snap: snap}
	if b.head, err = db.headOf(snap.file.os); err == nil && b.head.meta.txid != uint64(snap.tx.ID()) {
		err = fmt.Errorf("%w: an earlier write failed, and the file is of another state", ErrUnknownOutcome)
	}
	if err == nil {
		b.id, err = os.ReadFile(filepath.Join(db.path, identityFile))
	}
	if err != nil {
		snap.Close()
		return nil, fmt.Errorf("kv: back up %s: %w", db.path, err)
	}
	return b, nil
}

// Snapshot is the state that is copied. It is for one goroutine at a time, and closed with the Backup.
func (b *Backup) Snapshot() *Snapshot { return b.snap }

// Size returns how many bytes Write writes.
func (b *Backup) Size() int64 { return int64(b.head.meta.end) * b.head.meta.pageSize }

// Files returns what a copy consists of, in the order in which to put it into a directory: with the identity there last,
// Open never takes a part for a whole.
func (b *Backup) Files() []BackupFile {
	return []BackupFile{
		{Name: dataFile, Size: b.Size(), Write: b.write},
		{Name: identityFile, Size: int64(len(b.id)), Write: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(b.id)
			return err
		}},
	}
}

// BackupFile is one file of a copy: its name in the project's directory, how many bytes it has, and a function that writes
// exactly those.
type BackupFile struct {
	Name  string
	Size  int64
	Write func(ctx context.Context, w io.Writer) error
}

// write writes the data file as of the state: its two heads, then the pages, those that are not in use included, since
// their places are part of what the others say. They are read from the file rather than from its mapping: a disk error is
// an error then, not a fault.
func (b *Backup) write(ctx context.Context, w io.Writer) error {
	page := b.head.meta.pageSize
	heads := make([]byte, 2*page)
	for _, h := range [][]byte{earlier(b.head.page), b.head.page} {
		copy(heads[int64(native.Uint64(h))*page:], h)
	}
	if _, err := w.Write(heads); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for at, end := 2*page, b.Size(); at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), end-at)]
		if _, err := b.snap.file.os.ReadAt(part, at); err != nil {
			return fmt.Errorf("kv: back up: %w", err)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return nil
}

// Close lets the state go.
func (b *Backup) Close() { b.snap.Close() }
