package project

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/archive"
)

// Names in a backup. Under projects/<id>/ the same files lie as in a data directory, but objects, which are named by
// their hash alone whatever store they came from.
const (
	backupHead     = "sluice-backup.json" // first: BackupHead
	backupProjects = "projects/"
	backupProject  = "project.json" // of each project, first: backedUp
	backupModules  = "modules/"
	backupObjects  = "objects/"
	backupFormat   = 1
)

// BackupHead begins a backup.
type BackupHead struct {
	Format    int    `json:"format"`
	CreatedAt string `json:"createdAt"`
	Node      bool   `json:"node"`  // a whole node rather than one project
	Bytes     int64  `json:"bytes"` // about how many follow, for who shows progress
}

// backedUp says what follows of a project.
type backedUp struct {
	ID      string       `json:"id"`
	Name    string       `json:"name,omitempty"` // not of the control project
	Commit  uint64       `json:"commit"`         // the newest one that is in it
	History string       `json:"history"`        // hash over all commits up to that one, hex
	Since   string       `json:"since,omitempty"`
	Keys    []controlKey `json:"keys,omitempty"` // hashes only
}

// Backup writes a backup of one project, or of the whole node if p is nil, while both are in use. Of each project it has one
// state: everything that was acknowledged when that project's turn came, and nothing later; of the files those that the state
// has. extra are further files of the node, by name. Projects that could not be opened are an error: a backup that leaves
// some out would not be noticed before it is needed.
func (r *Registry) Backup(ctx context.Context, p *Project, w io.Writer, extra map[string][]byte) (err error) {
	projects := []*Project{p}
	if p == nil {
		// The list first: every project in it is older than its copy.
		projects = r.List()
	}
	head := BackupHead{Format: backupFormat, CreatedAt: Timestamp(r.now()), Node: p == nil}
	for _, p := range projects {
		if p.broken != nil {
			return fmt.Errorf("project %s: %w", p.ID, ErrBroken)
		}
		head.Bytes += p.DB.Health().FileBytes
	}
	out, err := archive.NewWriter(w, r.now())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			out.Abandon()
		}
	}()
	b := &backup{ctx: ctx, r: r, out: out}
	if err := b.json(backupHead, head); err != nil {
		return err
	}
	for name, text := range extra {
		if err := b.bytes(name, text); err != nil {
			return err
		}
	}
	about, err := b.control(p == nil)
	if err != nil {
		return err
	}
	for _, p := range projects {
		if err := b.project(p, about[p.ID]); err != nil {
			return fmt.Errorf("project %s: %w", p.ID, err)
		}
	}
	return out.Close()
}

type backup struct {
	ctx context.Context
	r   *Registry
	out *archive.Writer
}

func (b *backup) bytes(name string, text []byte) error {
	return b.out.Add(name, int64(len(text)), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

func (b *backup) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.bytes(name, append(text, '\n'))
}

// control reads what the control project says of each project, and copies it if the whole node is.
func (b *backup) control(write bool) (map[string]backedUp, error) {
	state, err := b.r.control.Backup()
	if err != nil {
		return nil, err
	}
	defer state.Close()
	projects, err := readAll[controlProject](b.ctx, state.Snapshot(), controlProjects)
	if err != nil {
		return nil, err
	}
	keys, err := readAll[controlKey](b.ctx, state.Snapshot(), controlKeys)
	if err != nil {
		return nil, err
	}
	about := map[string]backedUp{}
	for _, doc := range projects {
		about[doc.ID] = backedUp{ID: doc.ID, Name: doc.Name, Since: doc.CreatedAt}
	}
	for _, key := range keys {
		p := about[key.Project]
		p.Keys = append(p.Keys, key)
		about[key.Project] = p
	}
	if !write {
		return about, nil
	}
	return about, b.state(backupProjects+ControlID+"/", backedUp{ID: ControlID}, state)
}

// state writes a project's file, after what is told of it.
func (b *backup) state(at string, about backedUp, state *kv.Backup) error {
	history := state.Snapshot().History()
	about.Commit, about.History = state.Snapshot().Commit(), hex.EncodeToString(history[:])
	if err := b.json(at+backupProject, about); err != nil {
		return err
	}
	for _, file := range state.Files() {
		if err := b.out.Add(at+file.Name, file.Size, func(w io.Writer) error { return file.Write(b.ctx, w) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) project(p *Project, about backedUp) error {
	if about.ID == "" {
		return ErrNotFound // it was removed meanwhile
	}
	// Bytes of files that are removed while their records are copied stay until the end.
	release := p.Blobs.Hold()
	defer release()
	state, modules, err := p.hold()
	if err != nil {
		return err
	}
	defer state.Close()
	defer closeAll(modules)
	at := backupProjects + p.ID + "/"
	if err := b.state(at, about, state); err != nil {
		return err
	}
	for _, f := range modules {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if err := b.out.Add(at+backupModules+filepath.Base(f.Name()), info.Size(), func(w io.Writer) error {
			_, err := io.Copy(w, f)
			return err
		}); err != nil {
			return err
		}
	}
	return p.Blobs.Walk(b.ctx, func(o blobs.Info) error { return b.object(at, p, o) })
}

func (b *backup) object(at string, p *Project, o blobs.Info) error {
	c, err := p.Blobs.Open(b.ctx, o.Hash)
	if err != nil {
		return err
	}
	defer c.Close()
	return b.out.Add(at+backupObjects+o.Hash.String(), o.Size, func(w io.Writer) error {
		got, err := blobs.Copy(b.ctx, w, c, o.Size)
		if err == nil && got.Hash != o.Hash {
			return &blobs.DamageError{Want: o.Hash, Found: got}
		}
		return err
	})
}

// hold takes one state of the project's file, and opens the modules that its bundles refer to, which may be removed
// as soon as the next bundle comes.
func (p *Project) hold() (state *kv.Backup, modules []*os.File, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir := filepath.Join(p.dir, strings.TrimSuffix(backupModules, "/"))
	names, err := fs.Glob(os.DirFS(p.dir), backupModules+"*.wasm")
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			closeAll(modules)
			return nil, nil, err
		}
		modules = append(modules, f)
	}
	if state, err = p.DB.Backup(); err != nil {
		closeAll(modules)
		return nil, nil, err
	}
	return state, modules, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
