package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// smallBuild is how many documents a collection may have for a new ordered
// index to be complete with the commit that defines it. On a larger one it is
// built in steps afterwards, and not used before it is complete. Part of the
// format: every node must decide alike.
const smallBuild = 1000

// build is how far an index that is not complete has come. Its row makes the
// position durable; no row means a complete index. Documents up to the
// position have their entries, kept by Apply; the rest have none, and Apply
// leaves them to the builder. So the finished index is what it would be had it
// been there from the start, whatever was written meanwhile.
type build struct {
	cid, iid uint32
	started  bool
	at       DocID // if started: the last document that has its entries
	done     int64 // documents passed
	total    int64 // documents when it was defined
}

// builds are the unfinished indexes of one state of the file, by key of their
// rows. It is immutable.
type builds []*build

func (bs builds) find(iid uint32) *build {
	for _, b := range bs {
		if b.iid == iid {
			return b
		}
	}
	return nil
}

// with returns the list with the build of an index set to next, or removed.
func (bs builds) with(iid uint32, next *build) builds {
	var out builds
	for _, b := range bs {
		if b.iid != iid {
			out = append(out, b)
		}
	}
	if next != nil {
		out = append(out, next)
		slices.SortFunc(out, func(a, b *build) int { return bytes.Compare(a.key(), b.key()) })
	}
	return out
}

// alike reports whether the same indexes are unfinished.
func (bs builds) alike(other builds) bool {
	return slices.EqualFunc(bs, other, func(a, b *build) bool { return a.iid == b.iid })
}

func (b *build) key() []byte {
	key := binary.BigEndian.AppendUint32([]byte{counterBuild}, b.cid)
	return binary.BigEndian.AppendUint32(key, b.iid)
}

func (b *build) append(dst []byte) []byte {
	if b.started {
		dst = append(append(dst, 1), b.at[:]...)
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(b.done))
	return binary.AppendUvarint(dst, uint64(b.total))
}

func readBuilds(tx *bolt.Tx) (builds, error) {
	counters := tx.Bucket([]byte(bucketCounters))
	if counters == nil {
		return nil, nil // told by others
	}
	var out builds
	cur := counters.Cursor()
	for k, v := cur.Seek([]byte{counterBuild}); len(k) > 0 && k[0] == counterBuild; k, v = cur.Next() {
		content, err := openSeal(bucketCounters, k, v)
		if err != nil {
			return nil, err
		}
		key, r := &reader{b: k[1:]}, &reader{b: content}
		b := &build{cid: key.uint32(), iid: key.uint32(), started: r.flag()}
		if b.started {
			b.at = r.id()
		}
		b.done, b.total = int64(r.uvarint()), int64(r.uvarint())
		if !key.done() || !r.done() {
			return nil, &CorruptError{Where: placeName(bucketCounters, k), Why: "garbled"}
		}
		out = append(out, b)
	}
	return out, nil
}

// setBuild records how far a build is; with done, that it is complete.
func (w *writer) setBuild(b *build, complete bool) error {
	if complete {
		w.builds = w.builds.with(b.iid, nil)
		return w.counters.Delete(b.key())
	}
	w.builds = w.builds.with(b.iid, b)
	return w.putSealed(w.counters, bucketCounters, b.key(), b.append)
}

// Progress is how far an index that is being built has come.
type Progress struct {
	Collection string
	Index      string
	Done       int64 // documents passed
	Total      int64 // documents when the index was defined
}

// Building lists the indexes that queries do not use yet. The builder of the
// DB goes on with them by itself, also after a restart.
func (s *Snapshot) Building() []Progress {
	var out []Progress
	for _, b := range s.v.builds {
		for _, c := range s.v.cat.sorted {
			for i := range c.Indexes {
				if c.Indexes[i].ID == b.iid {
					out = append(out, Progress{c.Name, c.Indexes[i].Name, b.done, b.total})
				}
			}
		}
	}
	return out
}

// A step of the builder is bounded, for writers wait while it runs.
const (
	buildStepDocuments = 2000
	buildStepTime      = 20 * time.Millisecond // of reading; writing takes about as long again
	buildRetry         = time.Second           // after a step failed
)

func (db *DB) wakeBuilder() {
	select {
	case db.toBuild <- struct{}{}:
	default:
	}
}

// buildLoop is the builder: it finishes indexes, one bounded step at a time.
func (db *DB) buildLoop() {
	defer db.recovering.Done()
	broken := map[uint32]bool{} // indexes over a document that rotted
	for {
		select {
		case <-db.stop:
			return
		case <-db.toBuild:
		}
		for more := true; more; {
			start := time.Now()
			var err error
			more, err = db.buildStep(broken)
			// Writers get at least every other moment.
			pause := time.Since(start)
			if err != nil {
				db.opt.Logger.Error("kv: building an index", "path", db.path, "error", err)
				pause = buildRetry
			}
			if !more {
				break
			}
			select {
			case <-db.stop:
				return
			case <-time.After(pause):
			}
		}
	}
}

// buildStep extends the first unfinished index and reports whether to go on.
func (db *DB) buildStep(broken map[uint32]bool) (more bool, err error) {
	if len(db.current.Load().builds) == 0 {
		return false, nil
	}
	db.hook("before build step")
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	var b *build
	for _, next := range db.current.Load().builds {
		if b == nil && !broken[next.iid] {
			b = next
		}
	}
	if b == nil || db.stopped {
		return false, nil
	}
	if err := db.writable(); err != nil {
		return true, err
	}
	w := &db.writer
	w.db = db
	fault := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(fault)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			more, err = true, w.abandon(err)
		}
	}()
	if err := w.begin(db); err != nil {
		return true, err
	}
	err = w.extend(b)
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		// Nothing was written. The index stays unfinished until the next Open.
		broken[b.iid] = true
		db.opt.Logger.Error("kv: an index cannot be built", "path", db.path, "error", err)
		return true, w.tx.Rollback()
	}
	if err != nil {
		return true, err
	}
	return true, w.commit()
}

// extend adds the entries of the next documents to an unfinished index.
func (w *writer) extend(b *build) error {
	var c *Collection
	for _, known := range w.cat.sorted {
		if known.ID == b.cid {
			c = known
		}
	}
	if c == nil {
		return &CorruptError{Where: "progress of an index", Why: "its collection is missing"}
	}
	t, err := w.target(c)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(t.ordered, func(o *ordered) bool { return o.x.ID == b.iid })
	if at < 0 {
		return &CorruptError{Where: "progress of an index", Why: "the index is missing"}
	}
	o, list, next := t.ordered[at], &w.olds, *b
	list.reset()
	end := time.Now().Add(buildStepTime)
	cur := t.docs.Cursor()
	k, v := cur.First()
	if b.started {
		if k, v = cur.Seek(b.at[:]); bytes.Equal(k, b.at[:]) {
			k, v = cur.Next()
		}
	}
	for n := 0; k != nil && n < buildStepDocuments && (n%64 != 0 || n == 0 || time.Now().Before(end)); n++ {
		if len(k) != len(DocID{}) {
			return &CorruptError{Where: "collection " + c.Name, Why: "a key has the wrong length"}
		}
		d, err := openDoc(c, DocID(k), v)
		if err != nil {
			return err
		}
		list.add(d.JSON, d.ID, o.x.Fields)
		w.replace(o, nil, nil, list, &list.sets[n])
		next.started, next.at = true, d.ID
		next.done++
		k, v = cur.Next()
	}
	w.stepped = true
	if k != nil {
		return w.setBuild(&next, false)
	}
	w.cat = w.cat.finished(c, b.iid)
	return w.setBuild(&next, true)
}
