package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// faults is a directory shown through FUSE whose calls fail to order. It knows
// what of each file is on the disk. When a sync fails, what it was to sync
// never gets there unless it is written again, as with real kernels: some keep
// showing it all the same, others drop it.
type faults struct {
	behind string
	drop   bool          // show what is on the disk after a failed sync
	slow   time.Duration // of each sync

	mu    sync.Mutex
	call  string // that fails: write, torn (half of it is written), short (and that is said), sync, dirsync, truncate, name; any
	errno syscall.Errno
	kill  func() // called when one fails
	skip  int    // calls until then
	times int    // it fails
	fired int
	// After the last failure so many syncs work, and then the power fails: the
	// rest is shown, and never reaches the disk.
	syncs int
	cutAt int64 // unix nanoseconds, 0: not yet
	// Where names matter they stay as they were at the cut, and this ends the process.
	off   func()
	files map[*fs.Inode]*onDisk
}

// onDisk is what a power cut would leave of a file.
type onDisk struct {
	content []byte
	dirty   map[int64]bool // pages that the next sync brings there
}

const diskPage = 4096

// hit reports whether a call fails now.
func (f *faults) hit(call string) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	if call == "name" && f.cutAt > 0 && f.off != nil {
		return syscall.EIO
	}
	if call != f.call && (f.call != "any" || call == "torn" || call == "short") || f.times == 0 {
		return 0
	}
	if f.skip > 0 {
		f.skip--
		return 0
	}
	f.times--
	f.fired++
	if f.kill != nil {
		f.kill()
	}
	return f.errno
}

func (f *faults) order(call string, errno syscall.Errno, skip, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.call, f.errno, f.skip, f.times = call, errno, skip, times
}

func (f *faults) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.times
}

// faultyNode is a file or directory of it.
type faultyNode struct {
	fs.LoopbackNode
	faults *faults
}

var (
	_ fs.NodeWrapChilder = (*faultyNode)(nil)
	_ fs.NodeOpener      = (*faultyNode)(nil)

	_ fs.NodeOpendirHandler = (*faultyNode)(nil)
	_ fs.NodeCreater        = (*faultyNode)(nil)
	_ fs.NodeWriter         = (*faultyNode)(nil)
	_ fs.NodeFsyncer        = (*faultyNode)(nil)
	_ fs.NodeSetattrer      = (*faultyNode)(nil)
	_ fs.NodeRenamer        = (*faultyNode)(nil)
	_ fs.NodeLinker         = (*faultyNode)(nil)
	_ fs.NodeUnlinker       = (*faultyNode)(nil)
)

// WrapChild makes what is in a directory fail as well.
func (n *faultyNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &faultyNode{LoopbackNode: fs.LoopbackNode{RootData: child.(*fs.LoopbackNode).RootData}, faults: n.faults}
}

// openFile keeps the kernel from writing to the file behind by itself.
type openFile struct{ *fs.LoopbackFile }

// PassthroughFd declines.
func (openFile) PassthroughFd() (int, bool) { return 0, false }

func (n *faultyNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	file, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return openFile{file.(*fs.LoopbackFile)}, 0, 0
}

// faultyDir is a directory that is open.
type faultyDir struct {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
	sync   fs.FileFsyncdirer
	faults *faults
}

func (d *faultyDir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if errno := d.faults.hit("dirsync"); errno != 0 {
		return errno
	}
	return d.sync.Fsyncdir(ctx, flags)
}

func (n *faultyNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	dir, flags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &faultyDir{dir.(fs.FileReaddirenter), dir.(fs.FileSeekdirer), dir.(fs.FileReleasedirer), dir.(fs.FileFsyncdirer), n.faults}, flags, 0
}

func (n *faultyNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.faults.hit("name"); errno != 0 {
		return nil, nil, 0, errno
	}
	inode, file, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return inode, openFile{file.(*fs.LoopbackFile)}, 0, 0
}

func (n *faultyNode) Write(ctx context.Context, file fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	if errno := n.faults.hit("write"); errno != 0 {
		return 0, errno
	}
	torn := n.faults.hit("torn")
	if torn != 0 || n.faults.hit("short") != 0 {
		data = data[:len(data)/2]
	}
	n.faults.mu.Lock()
	defer n.faults.mu.Unlock()
	d := n.faults.files[n.EmbeddedInode()]
	if d == nil {
		d = &onDisk{dirty: map[int64]bool{}}
		n.faults.files[n.EmbeddedInode()] = d
	}
	for page := offset / diskPage; page*diskPage < offset+int64(len(data)); page++ {
		d.dirty[page] = true
	}
	written, errno := file.(fs.FileWriter).Write(ctx, data, offset)
	if torn != 0 {
		return 0, torn
	}
	return written, errno
}

// Create, Rename, Link and Unlink fail only where any call does.

func (n *faultyNode) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if errno := n.faults.hit("name"); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Rename(ctx, name, to, newName, flags)
}

func (n *faultyNode) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.faults.hit("name"); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Link(ctx, target, name, out)
}

func (n *faultyNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if errno := n.faults.hit("name"); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Unlink(ctx, name)
}

func (n *faultyNode) Fsync(_ context.Context, file fs.FileHandle, _ uint32) syscall.Errno {
	if _, ok := file.(openFile); !ok {
		return 0 // see faultyDir
	}
	errno := n.faults.hit("sync")
	n.faults.mu.Lock()
	slow := n.faults.slow
	n.faults.mu.Unlock()
	time.Sleep(slow)
	n.faults.mu.Lock()
	defer n.faults.mu.Unlock()
	d := n.faults.files[n.EmbeddedInode()]
	if d == nil || n.faults.cutAt > 0 {
		return errno
	}
	f, err := os.OpenFile(filepath.Join(n.faults.behind, n.Path(nil)), os.O_RDWR, 0)
	if err != nil {
		return fs.ToErrno(err)
	}
	defer f.Close()
	for page := range d.dirty {
		switch {
		case errno == 0:
			if need := (page + 1) * diskPage; int64(len(d.content)) < need {
				d.content = append(d.content, make([]byte, need-int64(len(d.content)))...)
			}
			_, err = f.ReadAt(d.content[page*diskPage:(page+1)*diskPage], page*diskPage)
		case n.faults.drop:
			_, err = f.WriteAt(d.page(page), page*diskPage)
		}
		if err != nil && err != io.EOF {
			return fs.ToErrno(err)
		}
	}
	clear(d.dirty)
	if n.faults.fired > 0 && n.faults.times == 0 && errno == 0 {
		if n.faults.syncs--; n.faults.syncs <= 0 {
			n.faults.cutAt = time.Now().UnixNano()
			if n.faults.off != nil {
				n.faults.off()
			}
		}
	}
	if errno != 0 && n.faults.drop {
		go n.NotifyContent(0, 0) // the kernel's copy; not from within its call
	}
	return errno
}

func (d *onDisk) page(n int64) []byte {
	out := make([]byte, diskPage)
	if n*diskPage < int64(len(d.content)) {
		copy(out, d.content[n*diskPage:])
	}
	return out
}

// cut leaves in the files what is on the disk. Their lengths stay.
func (f *faults) cut() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, d := range f.files {
		file, err := os.OpenFile(filepath.Join(f.behind, n.Path(nil)), os.O_WRONLY, 0)
		if err != nil {
			continue // it was removed
		}
		info, err := file.Stat()
		for page := int64(0); err == nil && page*diskPage < info.Size(); page++ {
			_, err = file.WriteAt(d.page(page)[:min(diskPage, info.Size()-page*diskPage)], page*diskPage)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (n *faultyNode) Setattr(ctx context.Context, file fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if _, size := in.GetSize(); size {
		if errno := n.faults.hit("truncate"); errno != 0 {
			return errno
		}
	}
	return n.LoopbackNode.Setattr(ctx, file, in, out)
}

// serve shows the directory behind at dir.
func (f *faults) serve(t *testing.T, behind, dir string) (stop func()) {
	t.Helper()
	f.behind, f.files = behind, map[*fs.Inode]*onDisk{}
	var st syscall.Stat_t
	if err := syscall.Stat(behind, &st); err != nil {
		t.Fatal(err)
	}
	root := &fs.LoopbackRoot{Path: behind, Dev: uint64(st.Dev)}
	node := &faultyNode{LoopbackNode: fs.LoopbackNode{RootData: root}, faults: f}
	root.RootNode = node
	server, err := fs.Mount(dir, node, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, AllowOther: true, MaxWrite: 1 << 20}})
	if err != nil {
		t.Fatalf("mount the faulty directory: %v", err)
	}
	return sync.OnceFunc(func() {
		for range 50 {
			if err = server.Unmount(); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("unmount the faulty directory: %v", err)
	})
}

// TestDiskErrors: calls of a disk fail under eight writers, and a failed sync
// loses what it was to sync. Writing goes on by itself, and nothing that was
// acknowledged is lost, before or after.
func TestDiskErrors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a disk that fails to order takes mounting, and that takes root; make faults leaves this test out where it cannot be had")
	}
	runs, fired, acks := 0, 0, 0
	for _, call := range []string{"sync", "write", "torn", "short", "truncate"} {
		each := long(2, 30)
		if call == "torn" || call == "short" {
			each = long(1, 30)
		}
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for _, times := range []int{1, 3} {
				for n := range each {
					t.Run(fmt.Sprintf("%s %v %d times", call, errno, times), func(t *testing.T) {
						n, a := diskErrors(t, &faults{drop: n%2 == 0}, call, errno, times)
						runs, fired, acks = runs+1, fired+n, acks+a
					})
				}
			}
		}
	}
	if !t.Failed() {
		t.Logf("%d runs, %d calls failed, %d batches acknowledged, none lost", runs, fired, acks)
	}
}

func diskErrors(t *testing.T, f *faults, call string, errno syscall.Errno, times int) (fired, acks int) {
	behind, shown := t.TempDir(), t.TempDir()
	stop := f.serve(t, behind, shown)
	defer stop()
	f.syncs = 1 + rand.IntN(8)
	j := journal{keep: true}
	env := []string{envTolerate + "=1"}
	if call == "truncate" {
		env = append(env, envGrow+"=1")
	}
	child, out := start(t, filepath.Join(shown, "project"), env...)
	skip, before := rand.IntN(20), 0
	if call == "truncate" {
		skip = rand.IntN(2)
	}
	deadline := time.AfterFunc(15*time.Second, func() { _ = child.Process.Kill() })
	defer deadline.Stop()
	ordered, done := false, false
	j.read(out, func() {
		total := j.total()
		switch {
		case !ordered && total >= 50:
			ordered = true
			f.order(call, errno, skip, times)
		case ordered && before == 0 && f.left() == 0:
			before = total
		case before > 0 && !done && total >= before+100:
			done = true
			_ = child.Process.Kill()
		}
	})
	_ = child.Wait()
	if !done {
		t.Errorf("writing did not go on: %d acknowledged, %d when the last call failed", j.total(), before)
	}
	for _, line := range j.errors {
		t.Errorf("the process said: %s", line)
	}
	fired = f.fired
	if err := f.cut(); err != nil {
		t.Fatal(err)
	}
	var acked [writers]int
	for _, a := range j.acks {
		if a.at < f.cutAt {
			acked[a.w] = max(acked[a.w], a.n)
		}
	}
	stop()
	db, err := open(filepath.Join(behind, "project"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, wrong := range verify(db, acked, j.intended) {
		t.Error(wrong)
	}
	return fired, j.total()
}
