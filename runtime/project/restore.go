package project

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/disk"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/archive"
)

// RestoreOptions say what to restore, and where.
type RestoreOptions struct {
	Dir     string // data directory of a node that is not running; made if there is none
	Project string // id or name of the one project to restore, "" for all that there is
	Replace bool   // put what is restored in the place of what is there
	Verify  bool   // look only: nothing is changed
	Now     func() time.Time

	// Blobs opens where the bytes of a project's files are to be, given the project's directory; default: beneath it.
	Blobs func(projectDir string) (blobs.Backend, error)
	// Progress, if not nil, is called with how much of the backup has been read and is there, in bytes before compression.
	Progress func(done, total int64)
}

// Restored is what a backup held.
type Restored struct {
	CreatedAt string            `json:"createdAt"`
	Projects  []RestoredProject `json:"projects"`
	Kept      string            `json:"kept,omitempty"` // where what was there before lies now
	Extra     map[string][]byte `json:"-"`              // further files of the node; only of a backup of a whole one
}

// RestoredProject is one project of it, as of one commit.
type RestoredProject struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Commit uint64 `json:"commit"`
	Files  int    `json:"files"` // objects
}

// RestoreError says why a backup cannot be restored here as asked; nothing was changed.
type RestoreError struct{ Message string }

func (e *RestoreError) Error() string { return e.Message }

// stagingPrefix begins the name of the directory in which a backup is unpacked. What a crash leaves of one is removed by the
// next restore.
const stagingPrefix = "restore-"

// Restore unpacks a backup beside the projects of a data directory, makes sure that all of it is whole (the archive's sums,
// each database page by page, the history of its commits, each module and object), and only then puts it in its place in
// one step: a crash leaves the old state or the new one. What it replaces is kept beside it. Nobody may have the directory
// in use. Errors: *RestoreError, archive.ErrDamaged.
func Restore(ctx context.Context, in io.Reader, opt RestoreOptions) (*Restored, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Blobs == nil {
		opt.Blobs = func(dir string) (blobs.Backend, error) { return disk.Open(filepath.Join(dir, "blobs"), disk.Options{}) }
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	old, err := filepath.Glob(filepath.Join(opt.Dir, stagingPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
	}
	staging, err := os.MkdirTemp(opt.Dir, stagingPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(staging)
	u := &unpack{ctx: ctx, opt: &opt, dir: staging, out: &Restored{Extra: map[string][]byte{}}, projects: map[string]*unpacked{}}
	if err := archive.Read(in, u.file); err != nil {
		return nil, err
	}
	if err := u.verify(); err != nil {
		return nil, err
	}
	if opt.Verify {
		return u.out, nil
	}
	if err := u.place(); err != nil {
		return nil, err
	}
	return u.out, nil
}

// unpack is a restore at work.
type unpack struct {
	ctx      context.Context
	opt      *RestoreOptions
	dir      string // staging
	head     BackupHead
	out      *Restored
	projects map[string]*unpacked
	done     int64
}

type unpacked struct {
	backedUp
	wanted bool
	dir    string
	store  *blobs.Store
	files  int
}

// file takes one file of the archive.
func (u *unpack) file(name string, size int64, r io.Reader) error {
	if u.opt.Progress != nil {
		u.opt.Progress(min(u.done, u.head.Bytes), u.head.Bytes)
		u.done += size
	}
	if name == backupHead {
		return u.readJSON(r, &u.head, func() error {
			if u.head.Format != backupFormat {
				return &RestoreError{fmt.Sprintf("it is of format %d, and this program knows %d only; use the version that made it", u.head.Format, backupFormat)}
			}
			u.out.CreatedAt = u.head.CreatedAt
			return nil
		})
	}
	if u.head.Format == 0 {
		return &RestoreError{"it is not a backup of a node or a project"}
	}
	rest, ok := strings.CutPrefix(name, backupProjects)
	if !ok {
		text, err := io.ReadAll(io.LimitReader(r, maxFileBytes))
		u.out.Extra[name] = text
		return err
	}
	id, rest, _ := strings.Cut(rest, "/")
	if rest == backupProject {
		return u.begin(id, r)
	}
	p := u.projects[id]
	if p == nil {
		return &RestoreError{"it has a file of a project that it does not tell of"}
	}
	if !p.wanted {
		return nil
	}
	if hash, ok := strings.CutPrefix(rest, backupObjects); ok {
		return u.object(p, hash, size, r)
	}
	if module, ok := strings.CutPrefix(rest, backupModules); ok && !strings.Contains(module, "/") {
		return u.module(p, module, r)
	}
	if strings.Contains(rest, "/") {
		return &RestoreError{"it is of a later version of this program, which keeps files that this one does not know"}
	}
	return u.write(filepath.Join(p.dir, rest), r)
}

func (u *unpack) readJSON(r io.Reader, v any, check func() error) error {
	text, err := io.ReadAll(io.LimitReader(r, maxFileBytes))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return &RestoreError{"it cannot be read: " + err.Error()}
	}
	return check()
}

// begin makes the directory of a project.
func (u *unpack) begin(id string, r io.Reader) error {
	p := &unpacked{dir: filepath.Join(u.dir, "projects", id)}
	return u.readJSON(r, &p.backedUp, func() error {
		if _, ok := kv.ParseDocID(id); !ok && id != ControlID || p.ID != id || u.projects[id] != nil {
			return &RestoreError{"it does not tell which project it is of"}
		}
		u.projects[id] = p
		p.wanted = u.opt.Project == "" || u.opt.Project == p.ID || u.opt.Project == p.Name
		if !p.wanted {
			return nil
		}
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return err
		}
		backend, err := u.opt.Blobs(p.dir)
		if err != nil {
			return err
		}
		p.store = blobs.New(backend, blobs.Options{Now: u.opt.Now})
		return nil
	})
}

// write writes a file durably.
func (u *unpack) write(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(f, contextReader{u.ctx, r}, make([]byte, 1<<20))
	return errors.Join(err, f.Sync(), f.Close())
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (u *unpack) module(p *unpacked, name string, r io.Reader) error {
	dir := filepath.Join(p.dir, strings.TrimSuffix(backupModules, "/"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	hash := sha256.New()
	if err := u.write(filepath.Join(dir, name), io.TeeReader(r, hash)); err != nil {
		return err
	}
	if hex.EncodeToString(hash.Sum(nil))+".wasm" != name {
		return &RestoreError{"it has a module that is not what its name says: it was damaged before it was backed up"}
	}
	return nil
}

func (u *unpack) object(p *unpacked, name string, size int64, r io.Reader) error {
	want, err := blobs.ParseHash(name)
	if err != nil {
		return err
	}
	lease, err := p.store.Put(u.ctx, r, size)
	if err != nil {
		return err
	}
	defer lease.Release()
	if lease.Hash != want {
		return &RestoreError{"it has a file that is not what its name says"}
	}
	p.files++
	return nil
}

// verify opens what was unpacked as a node would, and looks at all of it.
func (u *unpack) verify() error {
	if u.head.Format == 0 {
		return &RestoreError{"it is not a backup of a node or a project"}
	}
	for _, p := range u.projects {
		if !p.wanted {
			continue
		}
		if p.store != nil {
			if err := p.store.Close(); err != nil {
				return err
			}
		}
		if err := p.verify(u.ctx); err != nil {
			return fmt.Errorf("project %s: %w", p.ID, err)
		}
		if p.ID != ControlID {
			u.out.Projects = append(u.out.Projects, RestoredProject{ID: p.ID, Name: p.Name, Commit: p.Commit, Files: p.files})
		}
	}
	slices.SortFunc(u.out.Projects, func(a, b RestoredProject) int { return strings.Compare(a.Name, b.Name) })
	if len(u.out.Projects) == 0 && u.opt.Project != "" {
		var names []string
		for _, p := range u.projects {
			if p.ID != ControlID {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		return &RestoreError{fmt.Sprintf("it has no project %q; it has: %s", u.opt.Project, strings.Join(names, ", "))}
	}
	if u.head.Node && u.projects[ControlID] == nil {
		return &RestoreError{"it does not hold the directory of the node's projects"}
	}
	return nil
}

func (p *unpacked) verify(ctx context.Context) error {
	db, err := kv.Open(p.dir, kv.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := db.Check(ctx)
	if err != nil {
		return err
	}
	if !report.OK() {
		return &RestoreError{fmt.Sprintf("its database is damaged, as it was when it was backed up: %s: %s", report.Problems[0].Where, report.Problems[0].What)}
	}
	snap, err := db.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	history := snap.History()
	if snap.Commit() != p.Commit || hex.EncodeToString(history[:]) != p.History {
		return &RestoreError{fmt.Sprintf("its database ends at commit %d, and should at %d", snap.Commit(), p.Commit)}
	}
	return nil
}

// place puts what was verified where a node looks for it.
func (u *unpack) place() error {
	if err := syncTree(u.dir); err != nil {
		return err
	}
	if u.head.Node && u.opt.Project == "" {
		return u.placeNode()
	}
	for _, p := range u.projects {
		if p.wanted && p.ID != ControlID {
			if err := u.placeProject(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// placeNode exchanges all projects.
func (u *unpack) placeNode() error {
	target := filepath.Join(u.opt.Dir, "projects")
	there, err := holds(target)
	if err != nil {
		return err
	}
	if there && !u.opt.Replace {
		return &RestoreError{fmt.Sprintf("%s holds projects already; --replace puts the backup in their place and keeps them beside it", u.opt.Dir)}
	}
	return u.exchange(filepath.Join(u.dir, "projects"), target, there, filepath.Join(u.opt.Dir, "projects.before-"+u.stamp()))
}

func (u *unpack) stamp() string { return u.opt.Now().UTC().Format("20060102T150405Z") }

// placeProject exchanges one project, and enters it into the node's directory of projects if it is not there.
func (u *unpack) placeProject(p *unpacked) error {
	projects := filepath.Join(u.opt.Dir, "projects")
	target := filepath.Join(projects, p.ID)
	there, err := holds(target)
	if err != nil {
		return err
	}
	if there && !u.opt.Replace {
		return &RestoreError{fmt.Sprintf("project %s is there already; --replace puts the backup in its place and keeps it beside it", p.Name)}
	}
	if err := os.MkdirAll(projects, 0o700); err != nil {
		return err
	}
	control, err := kv.Open(filepath.Join(projects, ControlID), kv.Options{})
	if err != nil {
		return err
	}
	defer control.Close()
	r := &Registry{control: control, now: u.opt.Now, rand: rand.Reader}
	if err := r.defineControl(u.ctx); err != nil {
		return err
	}
	enter, err := r.entry(u.ctx, &p.backedUp)
	if err != nil {
		return err
	}
	// The project first: what the directory of projects does not name is merely not used.
	if err := u.exchange(p.dir, target, there, filepath.Join(u.opt.Dir, p.ID+".before-"+u.stamp())); err != nil {
		return err
	}
	if enter == nil {
		return nil
	}
	_, err = control.Commit(u.ctx, enter)
	return err
}

// entry is the batch that enters a project with its keys, or nil if it is there, with the keys that it has now.
func (r *Registry) entry(ctx context.Context, p *backedUp) (*kv.Batch, error) {
	snap, err := r.control.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	projects, err := readAll[controlProject](ctx, snap, controlProjects)
	if err != nil {
		return nil, err
	}
	for _, doc := range projects {
		switch {
		case doc.ID == p.ID:
			return nil, nil
		case doc.Name == p.Name:
			return nil, &RestoreError{fmt.Sprintf("another project of this node has the name %s (id %s)", p.Name, doc.ID)}
		}
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, err
	}
	put := func(collection, id string, v any) error {
		docID, ok := kv.ParseDocID(id)
		text, err := json.Marshal(v)
		if !ok || err != nil {
			return &RestoreError{"its keys cannot be read"}
		}
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: collection, ID: docID})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: collection, ID: docID, Value: text})
		return nil
	}
	err = put(controlProjects, p.ID, controlProject{ID: p.ID, Name: p.Name, CreatedAt: p.Since})
	for _, key := range p.Keys {
		err = errors.Join(err, put(controlKeys, key.ID, key))
	}
	return b, err
}

// exchange moves from to target in one step. What is there goes to kept.
func (u *unpack) exchange(from, target string, there bool, kept string) error {
	if !there {
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
			return err
		}
		if err := os.Rename(from, target); err != nil {
			return err
		}
		return syncDirectory(filepath.Dir(target))
	}
	if err := swap(from, target); err != nil {
		return err
	}
	u.out.Kept = kept
	return errors.Join(os.Rename(from, kept), syncDirectory(filepath.Dir(target)), syncDirectory(u.opt.Dir))
}

// holds reports whether a directory is there and has something in it.
func holds(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}

// syncTree makes the entries of every directory below dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDirectory(path)
	})
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
