package kv

import (
	"errors"

	berrors "go.etcd.io/bbolt/errors"
)

// settingMaxFile is the quota of the data file's bytes, as decimal text. It is
// about this file on this disk, and not part of what Apply decides: another node
// may lay the same documents out otherwise. So a batch that does not fit is
// refused without a verdict, like one that meets a full disk.
const settingMaxFile = "kv.maxFileBytes"

// loadFileQuota sets how far the file may grow.
func (w *writer) loadFileQuota() error {
	w.maxFile = 0
	key := []byte(settingMaxFile)
	v := w.settings.Get(key)
	if v == nil {
		return nil
	}
	s, err := openSetting(key, v)
	if err != nil {
		return err
	}
	if n, ok := parseMaxBytes(s.value); ok {
		w.maxFile = n
	}
	return nil
}

// boundFile has bbolt refuse pages beyond the quota while this transaction is
// committed. A group that adds no documents' bytes is not held to it: deleting
// copies a few pages before it gives any back, and must always be possible.
func (w *writer) boundFile() {
	w.file.bolt.MaxSize = 0
	if w.maxFile > 0 && w.st.bytes > w.db.current.Load().st.bytes {
		w.file.bolt.MaxSize = int(w.maxFile)
	}
}

// overFile reports whether a commit failed, before anything was written, because
// the file would have grown beyond its quota.
func overFile(err error) bool { return errors.Is(err, berrors.ErrMaxSizeReached) }

// undo ends a transaction of which nothing was written, as if it had not begun.
func (w *writer) undo() {
	w.tx = nil // bbolt has rolled it back
	for _, id := range w.noted {
		delete(w.db.seen, id)
	}
	for _, f := range w.forgotten {
		w.db.seen[f.id] = f.seq
	}
}

// oneByOne applies the jobs of a group that was too large for the file's quota
// each by itself: those that fit pass.
func (db *DB) oneByOne(jobs []*job) {
	for i, j := range jobs {
		err := db.applyGroup(jobs[i : i+1])
		if overFile(err) {
			limit := db.writer.maxFile
			j.result = Result{Err: &QuotaError{Limit: limit, Want: limit + 1, File: true}}
			continue
		}
		if err != nil {
			for _, rest := range jobs[i:] {
				rest.result = Result{Err: err}
			}
			return
		}
	}
}
