package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// Formats of the data file, and what came with each:
//
//	1  the first
//	2  a head file beside it while durability is relaxed. A program that knows
//	   format 1 only would not look at it after the machine stopped.
const fileFormat = 2

// upgradeStep turns a file of one format into the next, in one transaction.
func upgradeStep(from uint16, tx *bolt.Tx) error {
	if from == 1 {
		return nil // what is in the file stayed as it was
	}
	return fmt.Errorf("format %d cannot be upgraded", from)
}

// upgrade brings an older file to the present format, after a copy of it was made
// beside it. A crash leaves the old file or the new one, and at worst a part of
// a copy, which the next Open removes.
func (db *DB) upgrade(f *file, from uint16) error {
	copied, err := db.copyBefore(f, from)
	if err != nil {
		return fmt.Errorf("copy the file before it is upgraded from format %d: %w", from, err)
	}
	db.hook("upgrade: copied")
	if err := upgradeFile(f.bolt, from); err != nil {
		return fmt.Errorf("upgrade from format %d (a copy of the file is %s): %w", from, copied, err)
	}
	db.opt.Logger.Info("kv: the file was upgraded; the copy from before can be deleted", "path", db.path, "from", from, "to", fileFormat, "copy", copied)
	return nil
}

func upgradeFile(b *bolt.DB, from uint16) (err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	return b.Update(func(tx *bolt.Tx) error {
		for ; from < fileFormat; from++ {
			if err := upgradeStep(from, tx); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyFormat), binary.BigEndian.AppendUint16(nil, fileFormat))
	})
}

// copyBefore copies the data file, unless an upgrade that was cut short did, and
// returns the name of the copy.
func (db *DB) copyBefore(f *file, from uint16) (name string, err error) {
	name = fmt.Sprintf("%s.format%d", dataFile, from)
	path := filepath.Join(db.path, name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	t, err := os.CreateTemp(db.path, dataFile+newSuffix+"*")
	if err != nil {
		return "", err
	}
	info, err := f.os.Stat()
	if err == nil {
		_, err = io.Copy(t, io.NewSectionReader(f.os, 0, info.Size()))
	}
	err = errors.Join(err, t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), path)
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return "", err
	}
	return name, syncDir(db.path)
}
