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
func (db *DB) openFile() (err error) {
	flag := os.O_RDWR
	if db.opt.ReadOnly {
		flag = os.O_RDONLY
	}
	path := filepath.Join(db.path, dataFile)
	f, err := os.OpenFile(path, flag, 0) // never creates
	if errors.Is(err, fs.ErrNotExist) {
		return db.damaged("the file %s is missing", dataFile)
	}
	if err != nil {
		return err
	}
	if err := waitForLock(f, db.opt.ReadOnly, db.opt.LockTimeout); err != nil {
		f.Close()
		return err
	}
	if why := precheck(f); why != nil {
		f.Close()
		return db.damaged("the file %s %v", dataFile, why)
	}
	fault := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(fault)
	defer func() {
		if p := recover(); p != nil {
			f.Close()
			err = db.damaged("the file %s is damaged: %v", dataFile, p)
		}
	}()
	db.bolt, err = bolt.Open(path, 0, &bolt.Options{
		Timeout:         db.opt.LockTimeout,
		NoFreelistSync:  true, // writing it with every commit costs more than finding it after a crash
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: int(db.opt.MapSize),
		NoStatistics:    true,
		ReadOnly:        db.opt.ReadOnly,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	return err
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
