package kv

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Options tune a DB. The zero value works.
type Options struct {
	Logger      *slog.Logger     // none
	Node        [5]byte          // in every new id; random for each Open when zero
	Now         func() time.Time // time.Now; only where the ids start
	Random      io.Reader        // crypto/rand.Reader; the file's id, Node
	QueueLength int              // 4096: batches that may wait for the committer
	GroupCount  int              // 1024: batches in one group at most
	GroupBytes  int              // 8 MiB: encoded batches in one group at most, but for the last
	Linger      time.Duration    // 50µs: wait for more batches after a group of several; < 0: never
	MapSize     int64            // 16 GiB: address space reserved; a file growing beyond it waits for readers
	LockTimeout time.Duration    // 1s: wait for another process to let go of the file
	ReadOnly    bool             // refuse every write and share the file with other readers
	Boot        string           // names the machine's present boot; the system knows
}

func (o Options) withDefaults() Options {
	def(&o.QueueLength, 4096)
	def(&o.GroupCount, 1024)
	def(&o.GroupBytes, 8<<20)
	def(&o.Linger, 50*time.Microsecond)
	def(&o.MapSize, 16<<30)
	def(&o.LockTimeout, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Boot == "" {
		o.Boot = bootID()
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return o
}

func def[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// DB is one project's file. Any number of goroutines may use it.
type DB struct {
	opt  Options
	path string
	id   [16]byte
	file atomic.Pointer[file] // the current opening

	current atomic.Pointer[version] // what the newest snapshot sees
	lastID  atomic.Uint64           // of NewID: seconds, then counter
	failed  atomic.Pointer[failure] // why no writes are taken

	applyMu sync.Mutex         // one write transaction at a time
	writer  writer             // guarded by applyMu
	seen    map[BatchID]uint64 // batches in the log, by seq; guarded by applyMu
	stopped bool               // nothing is recovered any more; guarded by applyMu

	relaxed    relaxation     // durability
	compacting sync.Mutex     // one compaction at a time; before applyMu
	stop       chan struct{}  // closed when stopped
	recovering sync.WaitGroup // retry, buildLoop, syncLoop
	toBuild    chan struct{}  // capacity 1: there may be unfinished indexes
	openings   sync.WaitGroup // files not closed yet
	wanted     atomic.Int64   // bytes, of what failed for lack of space
	failures   atomic.Uint64
	recoveries atomic.Uint64

	queueMu sync.RWMutex // read: send to queue; write: close it
	closed  bool         // guarded by queueMu
	queue   chan *job
	drained chan struct{} // closed when the committer is gone

	jobs      sync.Pool // *job
	snapshots sync.Pool // *Snapshot

	testHook func(point string) // nil but in tests
	testPlan func(n int) int    // nil but in tests: picks one of n plans
}

// version is what one state of the file looks like: the state row and the
// parsed catalog of the bbolt transaction txid.
type version struct {
	file *file // nil: not known
	txid int
	st   state
	cat  *catalog
	// The indexes that are being built. They change without a commit of ours.
	builds builds
}

// Open opens the project in directory path and makes it if there is none. It
// never takes a damaged project for a new one: see DamagedError. Only one
// process can have a project open for writing: ErrLocked.
func Open(path string, opt Options) (*DB, error) {
	db := &DB{opt: opt.withDefaults(), path: path, drained: make(chan struct{}), stop: make(chan struct{}), toBuild: make(chan struct{}, 1)}
	if err := db.open(); err != nil {
		return nil, fmt.Errorf("kv: open %s: %w", path, err)
	}
	return db, nil
}

func (db *DB) open() error {
	if db.opt.Node == ([5]byte{}) {
		if _, err := io.ReadFull(db.opt.Random, db.opt.Node[:]); err != nil {
			return fmt.Errorf("random node: %w", err)
		}
	}
	var start [3]byte
	if _, err := io.ReadFull(db.opt.Random, start[:]); err != nil {
		return fmt.Errorf("random counter: %w", err)
	}
	// Half of the counter's range stays free for the first second.
	db.lastID.Store(uint64(db.opt.Now().Unix())<<24 | uint64(start[0]&0x7F)<<16 | uint64(start[1])<<8 | uint64(start[2]))

	if err := establish(db.path, db.opt); err != nil {
		return err
	}
	f, err := db.openFile()
	if err != nil {
		return err
	}
	c, err := db.load(f)
	if err != nil {
		f.release()
		<-f.gone
		return err
	}
	if c.format < fileFormat && !db.opt.ReadOnly {
		if err = db.upgrade(f, c.format); err == nil {
			c, err = db.load(f) // it is another transaction now
		}
		if err != nil {
			f.release()
			<-f.gone
			return err
		}
	}
	db.id = c.id
	db.install(f, c)
	if !db.opt.ReadOnly {
		removeLeftovers(db.path)
	}
	db.queue = make(chan *job, db.opt.QueueLength)
	go db.commitLoop()
	if !db.opt.ReadOnly {
		db.relaxed.wake, db.relaxed.settled = make(chan struct{}, 1), make(chan struct{}, 1)
		db.recovering.Add(2)
		go db.buildLoop()
		go db.syncLoop()
		db.wakeBuilder()
	}
	return nil
}

// contents is what the handle keeps of a file in memory.
type contents struct {
	format  uint16
	id      [16]byte
	version *version
	seen    map[BatchID]uint64
}

func (db *DB) load(f *file) (c *contents, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	tx, err := f.bolt.Begin(false)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		return nil, db.damaged("%s is not a database of this program", dataFile)
	}
	row := meta.Get([]byte(keyFormat))
	if len(row) != 2 || binary.BigEndian.Uint16(row) == 0 {
		return nil, db.damaged("%s is not a database of this program", dataFile)
	}
	c = &contents{format: binary.BigEndian.Uint16(row), seen: make(map[BatchID]uint64)}
	if c.format > fileFormat {
		return nil, db.damaged("it was written by a newer version of this program (format %d, this one knows up to %d)", c.format, fileFormat)
	}
	if c.id, err = readIdentity(db.path); err != nil {
		return nil, err
	}
	if stored := meta.Get([]byte(keyFileID)); string(stored) != string(c.id[:]) {
		return nil, db.damaged("the file %s belongs to another database than the file %s", identityFile, dataFile)
	}
	if c.version, err = readVersion(tx, nil); err != nil {
		return nil, err
	}
	c.version.file = f
	log, settings := tx.Bucket([]byte(bucketLog)), tx.Bucket([]byte(bucketSettings))
	if log == nil || settings == nil || tx.Bucket([]byte(bucketCounters)) == nil {
		return nil, &CorruptError{Where: "database", Why: "a bucket is missing"}
	}
	err = settings.ForEach(func(k, v []byte) error {
		_, err := openSetting(k, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, log.ForEach(func(k, v []byte) error {
		rw, err := openLogRow(k, v)
		if err != nil || len(k) != 8 {
			// Not being able to answer a repetition is no reason to stay shut.
			db.opt.Logger.Error("kv: change log", "path", db.path, "error", err)
			return nil
		}
		c.seen[rw.batch] = binary.BigEndian.Uint64(k)
		return nil
	})
}

// readVersion reads the state of a transaction; known saves parsing the
// catalog when it is still the same.
func readVersion(tx *bolt.Tx, known *version) (*version, error) {
	corrupt := &CorruptError{Where: placeName(bucketMeta, []byte(keyState)), Why: "missing"}
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		return nil, corrupt
	}
	content, err := openSeal(bucketMeta, []byte(keyState), meta.Get([]byte(keyState)))
	if err != nil {
		return nil, err
	}
	r := &reader{b: content}
	v := &version{txid: tx.ID(), st: r.state()}
	if !r.done() {
		corrupt.Why = "garbled"
		return nil, corrupt
	}
	if v.builds, err = readBuilds(tx); err != nil {
		return nil, err
	}
	if known != nil && known.cat.rev == v.st.catalog && known.builds.alike(v.builds) {
		v.cat = known.cat
		return v, nil
	}
	v.cat, err = readCatalog(tx, v.st.catalog, v.builds)
	return v, err
}

// Close ends the handle: batches that wait are still committed, snapshots are
// waited for. A second Close does nothing.
func (db *DB) Close() error {
	db.queueMu.Lock()
	if db.closed {
		db.queueMu.Unlock()
		return nil
	}
	db.closed = true
	close(db.queue)
	db.queueMu.Unlock()
	<-db.drained
	close(db.stop)
	db.applyMu.Lock()
	db.stopped = true
	db.applyMu.Unlock()
	db.recovering.Wait()

	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	var err error
	f := db.file.Load()
	if db.writable() == nil {
		err = db.settle()
	}
	if db.writable() == nil && err == nil {
		// Leave the list of free pages behind: without it the next Open has to
		// look for them in the whole file.
		f.bolt.NoFreelistSync = false
		err = f.bolt.Update(func(*bolt.Tx) error { return nil })
	}
	db.failed.Store(&failure{cause: ErrClosed, final: true})
	db.unpin() // if a head is left, the next Open needs it
	f.release()
	<-f.gone
	db.openings.Wait() // snapshots of earlier ones
	if err = errors.Join(err, f.err); err != nil {
		return fmt.Errorf("kv: close %s: %w", db.path, err)
	}
	return nil
}

// NewID makes an id for a document. Ids of one handle are strictly
// increasing, also when now goes back; ids of different handles differ by
// their node. No more than 16 million ids a second keep the time true.
func (db *DB) NewID(now time.Time) DocID {
	at := uint64(uint32(now.Unix())) << 24
	for {
		last := db.lastID.Load()
		next := max(at, last+1)
		if !db.lastID.CompareAndSwap(last, next) {
			continue
		}
		var id DocID
		binary.BigEndian.PutUint32(id[:], uint32(next>>24))
		copy(id[4:], db.opt.Node[:])
		id[9], id[10], id[11] = byte(next>>16), byte(next>>8), byte(next)
		return id
	}
}

// FileID returns the random id that the file got when it was made.
func (db *DB) FileID() [16]byte { return db.id }

// writable says why the handle takes no writes, nil if it does.
func (db *DB) writable() error {
	if f := db.failed.Load(); f != nil {
		switch {
		case f.cause == ErrClosed:
			return fmt.Errorf("kv: commit: %w", ErrClosed)
		case f.full:
			return fmt.Errorf("kv: commit: %w: an earlier write failed: %w", ErrFull, f.cause)
		}
		return fmt.Errorf("kv: commit: %w: an earlier write failed: %w", ErrReadOnly, f.cause)
	}
	if db.opt.ReadOnly {
		return fmt.Errorf("kv: commit: %w", ErrReadOnly)
	}
	return nil
}

func (db *DB) hook(point string) {
	if db.testHook != nil {
		db.testHook(point)
	}
}

func (db *DB) damaged(format string, args ...any) error {
	return &DamagedError{Path: db.path, Why: fmt.Sprintf(format, args...)}
}

// Commit carries out a batch and waits until it is on disk. It returns the
// commit that the batch became, or why it was refused: ConflictError,
// UniqueError, QuotaError, FloorError, ErrNoCollection, ErrTooManyDocuments,
// ErrBatch. Those, and ErrBusy, ErrReadOnly, ErrFull, ErrClosed and a
// CorruptError (the batch touches a value that rotted) mean that nothing
// changed; ErrUnknownOutcome means that this is not known.
//
// ctx ends the waiting only while the batch is not being written; after that
// the answer is always the batch's own.
func (db *DB) Commit(ctx context.Context, b *Batch) (uint64, error) {
	if err := db.writable(); err != nil {
		return 0, err
	}
	j, _ := db.jobs.Get().(*job)
	if j == nil {
		j = &job{done: make(chan struct{}, 1)}
	}
	j.prepare(b, db.current.Load().cat)
	if j.invalid != nil {
		err := j.invalid
		db.recycle(j)
		return 0, err
	}
	if err := db.enqueue(j); err != nil {
		db.recycle(j)
		return 0, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobQueued, jobLeft) {
			return 0, fmt.Errorf("kv: commit: %w", context.Cause(ctx)) // the committer drops it
		}
		<-j.done
	}
	result := j.result
	db.recycle(j)
	return result.Commit, result.Err
}

func (db *DB) enqueue(j *job) error {
	db.queueMu.RLock()
	defer db.queueMu.RUnlock()
	if db.closed {
		return fmt.Errorf("kv: commit: %w", ErrClosed)
	}
	select {
	case db.queue <- j:
		return nil
	default:
		return fmt.Errorf("kv: commit: %w", ErrBusy)
	}
}

// recycle keeps the buffers of a job that nobody uses any more.
func (db *DB) recycle(j *job) {
	if cap(j.values)+cap(j.encoded)+cap(j.keys.bytes) > 1<<20 {
		return
	}
	j.batch, j.defs, j.cat, j.result = nil, nil, nil, Result{}
	db.jobs.Put(j)
}
