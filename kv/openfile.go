package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// openFile locks and checks the data file, and only then hands it to bbolt,
// which takes an empty file for a new one and dies of a cut one.
func (db *DB) openFile() (*file, error) {
	f, err := db.lockFile()
	if err != nil {
		return nil, err
	}
	if err := db.recoverHead(f); err != nil {
		f.Close()
		return nil, err
	}
	return db.openBolt(f)
}

// lockFile opens and locks the data file. Who waits for the lock may get it on
// a file that a compaction has replaced in the meantime, and tries again.
func (db *DB) lockFile() (*os.File, error) {
	flag := os.O_RDWR
	if db.opt.ReadOnly {
		flag = os.O_RDONLY
	}
	path := filepath.Join(db.path, dataFile)
	for {
		f, err := os.OpenFile(path, flag, 0) // never creates
		if errors.Is(err, fs.ErrNotExist) {
			return nil, db.damaged("the file %s is missing", dataFile)
		}
		if err != nil {
			return nil, err
		}
		err = waitForLock(f, db.opt.ReadOnly, db.opt.LockTimeout)
		same := false
		if err == nil {
			same, err = isCurrent(f, path)
		}
		if same {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// openBolt checks a locked file and hands it to bbolt. It owns f.
func (db *DB) openBolt(f *os.File) (opened *file, err error) {
	if why := precheck(f); why != nil {
		f.Close()
		return nil, db.damaged("the file %s %v", dataFile, why)
	}
	fault := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(fault)
	defer func() {
		if p := recover(); p != nil {
			f.Close()
			opened, err = nil, db.damaged("the file %s is damaged: %v", dataFile, p)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	mapped := max(db.opt.MapSize, 2*info.Size()) // address space only
	b, err := bolt.Open(f.Name(), 0, &bolt.Options{
		Timeout:         db.opt.LockTimeout,
		NoFreelistSync:  true, // writing it with every commit costs more than finding it after a crash
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: int(mapped),
		NoStatistics:    true,
		ReadOnly:        db.opt.ReadOnly,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, err
	}
	return db.newFile(b, f, mapped), nil
}

// waitForLock locks an open file against other processes, or other handles.
func waitForLock(f *os.File, shared bool, timeout time.Duration) error {
	for end := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		held, err := tryLock(f, shared)
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if !held {
			return nil
		}
		if time.Now().After(end) {
			return ErrLocked
		}
	}
}

// catch turns a panic or a memory fault, which is how bbolt meets a damaged
// page, into an error. Use it as
//
//	defer catch(&err, debug.SetPanicOnFault(true))
func catch(err *error, fault bool) {
	debug.SetPanicOnFault(fault)
	if p := recover(); p != nil {
		*err = &CorruptError{Where: "database", Why: fmt.Sprint(p)}
	}
}
