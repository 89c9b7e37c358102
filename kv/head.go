package kv

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// headFile holds the head of the last state that is on disk for sure, while
// durability is relaxed; see relaxation. There is none otherwise. It is text:
//
//	sluice head, format 1
//	id <32 hex digits>              the database's
//	boot <text>                     identity of the boot in which it was written
//	size <bytes>                    of a page
//	head <hex>                      of bbolt's head page, without padding
//	crc <8 hex digits>              CRC-32C of the lines above
const headFile = "head"

const headFirst = "sluice head, format 1"

// head is the content of a head file.
type head struct {
	file [16]byte
	boot string
	page []byte // header and meta
	meta metaPage
}

// encode returns the text of a head file.
func (h *head) encode() []byte {
	text := fmt.Appendf(nil, "%s\nid %x\nboot %s\nsize %d\nhead %x\n", headFirst, h.file, h.boot, h.meta.pageSize, h.page)
	return fmt.Appendf(text, "crc %08x\n", crc32.Checksum(text, castagnoli))
}

// parseHead reads what encode wrote. Whatever else it is given is an error.
func parseHead(text []byte) (h head, err error) {
	body, sum, found := strings.Cut(string(text), "crc ")
	if !found || sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(body), castagnoli)) {
		return h, errors.New("its checksum differs")
	}
	lines := strings.Split(body, "\n")
	if len(lines) != 6 || lines[0] != headFirst {
		return h, errors.New("it is of another format")
	}
	value := func(line, name string) string {
		v, ok := strings.CutPrefix(line, name+" ")
		if !ok {
			err = fmt.Errorf("it has no line %s", name)
		}
		return v
	}
	id, hexErr := hex.DecodeString(value(lines[1], "id"))
	h.boot = value(lines[2], "boot")
	size := value(lines[3], "size")
	page, pageErr := hex.DecodeString(value(lines[4], "head"))
	if err = errors.Join(err, hexErr, pageErr); err != nil {
		return h, err
	}
	h.page = page
	var ok bool
	if h.meta, ok = parseMeta(h.page); !ok || len(h.page) != pageHeader+metaSize || len(id) != len(h.file) || size != fmt.Sprint(h.meta.pageSize) {
		return h, errors.New("it is garbled")
	}
	copy(h.file[:], id)
	return h, nil
}

// headOf reads the head of a data file's newest state. Nobody may commit
// meanwhile.
func (db *DB) headOf(f *os.File) (*head, error) {
	m, err := readMeta(f)
	if err != nil {
		return nil, err
	}
	h := &head{file: db.id, boot: db.opt.Boot, page: make([]byte, pageHeader+metaSize)}
	if _, err := f.ReadAt(h.page, int64(m.txid%2)*m.pageSize); err != nil {
		return nil, err
	}
	var ok bool
	if h.meta, ok = parseMeta(h.page); !ok || h.meta != m {
		return nil, errors.New("the head of the file changes while it is read")
	}
	return h, nil
}

// write makes the head durable under its name. The head before it, if any, is
// there until this one is.
func (h *head) write(dir string) error {
	t, err := os.CreateTemp(dir, headFile+newSuffix+"*")
	if err != nil {
		return err
	}
	_, err = t.Write(h.encode())
	err = errors.Join(err, t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), filepath.Join(dir, headFile))
	}
	if err != nil {
		_ = os.Remove(t.Name())
		return err
	}
	return syncDir(dir)
}

func removeHead(dir string) error {
	if err := os.Remove(filepath.Join(dir, headFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// readHead reads the head file; ok is false when there is none.
func readHead(dir string) (h head, ok bool, err error) {
	f, err := os.Open(filepath.Join(dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, false, nil
	}
	if err != nil {
		return h, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return h, false, err
	}
	if h, err = parseHead(text); err != nil {
		return h, false, &DamagedError{Path: dir, Why: fmt.Sprintf("the file %s is damaged: %v", headFile, err)}
	}
	return h, true, nil
}

// restore makes the head that of the data file, and makes it durable. The place
// of the other head, which may speak of pages that never reached the disk, gets
// the same head as that of one transaction earlier.
func (h *head) restore(f *os.File) error {
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() < int64(h.meta.end)*h.meta.pageSize {
		return &DamagedError{Path: filepath.Dir(f.Name()), Why: "the file " + dataFile + " was cut short"}
	}
	for _, page := range [][]byte{h.page, earlier(h.page)} {
		if _, err := f.WriteAt(page, int64(native.Uint64(page))*h.meta.pageSize); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// recoverHead brings a data file whose process ended while durability was relaxed
// into a state that is whole and on disk. f is locked.
func (db *DB) recoverHead(f *os.File) error {
	h, ok, err := readHead(db.path)
	if err != nil || !ok {
		return err
	}
	id, err := readIdentity(db.path)
	if err != nil {
		return err
	}
	if id != h.file {
		return db.damaged("the file %s belongs to another database than the file %s", headFile, identityFile)
	}
	stopped := h.boot == "" || h.boot != db.opt.Boot
	switch {
	case db.opt.ReadOnly && stopped:
		return fmt.Errorf("the machine stopped while commits were on their way to the disk: open it for writing once, which sorts this out")
	case db.opt.ReadOnly:
		return nil
	case stopped:
		if err := h.restore(f); err != nil {
			return err
		}
		db.opt.Logger.Warn("kv: the machine stopped while durability was relaxed: the file is as it was at its last checkpoint", "path", db.path)
	default: // the page cache has everything
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return removeHead(db.path)
}
