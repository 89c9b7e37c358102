package kv

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// Names in a project's directory. The identity file says that there is a
// database, and which: without it an emptied or exchanged data file would look
// like a new one.
const (
	dataFile     = "data.db"
	identityFile = "identity"
	newSuffix    = ".new-" // + random: being made
)

// establish makes the project's files if there are none. The data file
// appears complete under its name, and the identity after it; so a cut leaves
// either nothing, or a data file in which nothing was judged yet, which gets
// its identity here.
func establish(dir string, opt Options) error {
	_, err := os.Stat(filepath.Join(dir, identityFile))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if opt.ReadOnly {
		return fmt.Errorf("no database here: %w", fs.ErrNotExist)
	}
	data := filepath.Join(dir, dataFile)
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		if err := makeData(dir, opt); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return adopt(dir, opt)
}

// makeData makes a data file without history.
func makeData(dir string, opt Options) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, dataFile+newSuffix+"*")
	if err != nil {
		return err
	}
	temp := f.Name()
	f.Close()
	defer os.Remove(temp)
	var id [16]byte
	if _, err := io.ReadFull(opt.Random, id[:]); err != nil {
		return err
	}
	if err := fillData(temp, id); err != nil {
		return err
	}
	// A link never replaces what another process made in the meantime.
	data := filepath.Join(dir, dataFile)
	err = os.Link(temp, data)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		err = os.Rename(temp, data) // a file system without links
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func fillData(path string, id [16]byte) error {
	b, err := bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return err
	}
	b.AllocSize = 64 << 10
	err = b.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{bucketMeta, bucketSettings, bucketCatalog, bucketCounters, bucketLog} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketMeta))
		first := state{nextCID: 1, nextIID: 1}
		row := endSeal(first.append(beginSeal(nil)), 0, bucketMeta, []byte(keyState))
		return errors.Join(
			meta.Put([]byte(keyFormat), binary.BigEndian.AppendUint16(nil, fileFormat)),
			meta.Put([]byte(keyFileID), id[:]),
			meta.Put([]byte(keyState), row))
	})
	return errors.Join(err, b.Close())
}

// adopt writes the identity of a data file that was made but not finished.
func adopt(dir string, opt Options) error {
	db := &DB{opt: opt, path: dir}
	f, err := db.openFile()
	if err != nil {
		return err
	}
	defer func() {
		f.release()
		<-f.gone
	}()
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		return nil // another process was quicker
	}
	id, fresh, err := db.freshID(f)
	if err != nil {
		return err
	}
	if !fresh {
		return db.damaged("the file %s is missing but %s is in use", identityFile, dataFile)
	}
	return writeIdentity(dir, id)
}

func (db *DB) freshID(f *file) (id [16]byte, fresh bool, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	err = f.bolt.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		if meta == nil {
			return db.damaged("%s is not a database of this program", dataFile)
		}
		if copy(id[:], meta.Get([]byte(keyFileID))) != len(id) {
			return db.damaged("%s is not a database of this program", dataFile)
		}
		v, err := readVersion(tx, nil)
		if err == nil {
			fresh = v.st.seq == 0
		}
		return err
	})
	return id, fresh, err
}

const identityHead = "sluice database, format 1, id "

func writeIdentity(dir string, id [16]byte) error {
	f, err := os.CreateTemp(dir, identityFile+newSuffix+"*")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s%x\n", identityHead, id)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, identityFile))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}

func readIdentity(dir string) (id [16]byte, err error) {
	f, err := os.Open(filepath.Join(dir, identityFile))
	if err != nil {
		return id, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return id, err
	}
	digits, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), identityHead)
	if n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))])); !ok || err != nil || n != len(id) || len(digits) != 2*len(id) {
		return id, &DamagedError{Path: dir, Why: "the file " + identityFile + " is not readable as such"}
	}
	return id, nil
}

// removeLeftovers deletes what a cut creation left. The caller has the data
// file locked, so whoever still makes one has lost the race.
func removeLeftovers(dir string) {
	for _, name := range []string{dataFile, identityFile, headFile} {
		left, _ := filepath.Glob(filepath.Join(dir, name+newSuffix+"*"))
		for _, path := range left {
			_ = os.Remove(path)
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
