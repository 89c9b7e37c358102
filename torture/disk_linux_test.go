package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// disk is a file, for a loop device, that remembers everything that was written
// to it and every flush, so that what a power cut would have left at any
// moment can be made afterwards.
type disk struct {
	fs.Inode
	mu    sync.Mutex
	image []byte
	log   []record
}

// record is a write, or a flush if there is no data.
type record struct {
	at     int64 // unix nanoseconds, when it arrived
	offset int64
	data   []byte
}

var (
	_ fs.NodeOpener    = (*disk)(nil)
	_ fs.NodeReader    = (*disk)(nil)
	_ fs.NodeWriter    = (*disk)(nil)
	_ fs.NodeFsyncer   = (*disk)(nil)
	_ fs.NodeGetattrer = (*disk)(nil)
	_ fs.NodeSetattrer = (*disk)(nil)
)

// serve shows the disk as the only file of a file system at dir.
func (d *disk) serve(t *testing.T, dir string) (stop func()) {
	t.Helper()
	root := &diskRoot{disk: d}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, AllowOther: true, MaxWrite: 1 << 20}})
	if err != nil {
		t.Fatalf("mount the recording disk: %v", err)
	}
	return sync.OnceFunc(func() {
		for range 50 { // the loop device lets go of it a moment later
			if err = server.Unmount(); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("unmount the recording disk: %v", err)
	})
}

type diskRoot struct {
	fs.Inode
	disk *disk
}

// OnAdd puts the file into its directory.
func (r *diskRoot) OnAdd(ctx context.Context) {
	r.AddChild("disk", r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

// Open has every read and write come here at once, past the page cache.
func (d *disk) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *disk) Read(_ context.Context, _ fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset >= int64(len(d.image)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, d.image[offset:])]), 0
}

func (d *disk) Write(_ context.Context, _ fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset+int64(len(data)) > int64(len(d.image)) {
		return 0, syscall.ENOSPC
	}
	copy(d.image[offset:], data)
	d.log = append(d.log, record{time.Now().UnixNano(), offset, append([]byte(nil), data...)})
	return uint32(len(data)), 0
}

func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, record{at: time.Now().UnixNano()})
	return 0
}

func (d *disk) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, uint64(len(d.image))
	return 0
}

func (d *disk) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, out)
}

// A cut is a moment in the log, and how much of what was not flushed then had
// reached the disk all the same.
type cut struct {
	at      int    // the first record that came too late
	kept    string // of the rest: none, all, half (each write or not), torn (each sector or not)
	forgets int    // flushes before the cut that the disk only said it did: a lying disk
}

const sector = 512

// after writes what a power cut leaves.
func (d *disk) after(base []byte, c cut, path string) error {
	image := append([]byte(nil), base...)
	durable, forget := 0, c.forgets
	for i := c.at - 1; i >= 0; i-- {
		if d.log[i].data != nil {
			continue
		}
		if forget--; forget < 0 {
			durable = i
			break
		}
	}
	for i, r := range d.log[:c.at] {
		switch {
		case i < durable || c.kept == "all", c.kept == "half" && rand.IntN(2) == 0:
			copy(image[r.offset:], r.data)
		case c.kept == "torn":
			for from := 0; from < len(r.data); from += sector {
				if rand.IntN(2) == 0 {
					copy(image[r.offset+int64(from):], r.data[from:min(from+sector, len(r.data))])
				}
			}
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(image)
	return errors.Join(err, f.Close())
}
