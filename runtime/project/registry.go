package project

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/memory"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// ControlID names the project that holds the directory of projects. It starts with an underscore, so that no other
// project can have it.
const ControlID = "_control"

// Collections of the control project.
const (
	controlProjects = "projects"
	controlKeys     = "keys"

	indexName = "name"
	indexHash = "hash"
)

// ErrNotFound is returned when no project has the given id or name; ErrBroken when it could not be opened.
var (
	ErrNotFound = errors.New("project: not found")
	ErrBroken   = errors.New("project: could not be opened; see the server's log")
)

// Options configure a Registry. The zero value works.
type Options struct {
	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now
	Rand   io.Reader        // source of keys and secrets, default crypto/rand.Reader
	KV     kv.Options       // for every project's file; Logger and Now are filled in
	Secret []byte           // the node's, of auth.NodeSecretLen bytes; default one that is forgotten at the end

	// Blobs opens where the bytes of a project's files are; default: in memory, for tests.
	Blobs func(projectID string) (blobs.Backend, error)
}

// Registry finds the projects of one data directory by key, id or name, and changes them. Finding takes no lock.
type Registry struct {
	dir  string
	host *hooks.Host
	log  *slog.Logger
	now  func() time.Time
	rand io.Reader
	kv   kv.Options

	secret []byte // the node's: what a project's file must not hold is sealed with keys derived from it
	blobs  func(projectID string) (blobs.Backend, error)

	control *kv.DB
	view    atomic.Pointer[view]
	mu      sync.Mutex // one change of the directory at a time

	stopLoops context.CancelFunc // nil before they began
	loops     sync.WaitGroup     // the sweeper, and who saves journals
}

// view is what finding needs; it is replaced whole.
type view struct {
	byKey  map[[32]byte]keyEntry
	byID   map[string]*Project
	byName map[string]*Project
}

type keyEntry struct {
	project *Project
	role    auth.Role
}

// OpenRegistry opens the control project of a data directory, creating it when the directory is new, and every project
// that it lists. host runs the projects' guests; it stays the caller's to close, after the Registry.
func OpenRegistry(ctx context.Context, dir string, host *hooks.Host, opt Options) (*Registry, error) {
	r := &Registry{dir: dir, host: host, log: opt.Logger, now: opt.Now, rand: opt.Rand, kv: opt.KV, blobs: opt.Blobs}
	if r.blobs == nil {
		r.blobs = func(string) (blobs.Backend, error) { return memory.New(r.now), nil }
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	if r.secret = opt.Secret; r.secret == nil {
		r.secret = make([]byte, auth.NodeSecretLen)
		if _, err := io.ReadFull(r.rand, r.secret); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "projects"), 0o700); err != nil {
		return nil, err
	}
	var err error
	if r.control, err = kv.Open(filepath.Join(dir, "projects", ControlID), r.kvOptions()); err != nil {
		return nil, fmt.Errorf("control project: %w", err)
	}
	if err := r.openAll(ctx); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	looping, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stopLoops = stop
	r.loops.Go(func() { r.sweepLoop(looping) })
	r.loops.Go(func() { r.sweepFilesLoop(looping) })
	r.loops.Go(func() { r.saveLoop(looping) })
	return r, nil
}

func (r *Registry) kvOptions() kv.Options {
	opt := r.kv
	opt.Logger, opt.Now = r.log, r.now
	return opt
}

// Close closes every project. Nothing may use them any more.
func (r *Registry) Close(ctx context.Context) error {
	if r.stopLoops != nil {
		r.stopLoops()
		r.loops.Wait()
	}
	var errs []error
	if v := r.view.Load(); v != nil {
		for _, p := range v.byID {
			if p.broken == nil {
				if err := r.SaveFailures(ctx, p); err != nil { // a full disk keeps no node from ending
					r.log.WarnContext(ctx, "failed logins not saved", "project", p.ID, "error", err)
				}
			}
			r.keepUsage(ctx, p)
			errs = append(errs, p.close(ctx))
		}
	}
	return errors.Join(append(errs, r.control.Close())...)
}

// ByKey returns the project that an API key opens, and as whom. key is borrowed. It does not allocate.
func (r *Registry) ByKey(key []byte) (*Project, auth.Role, bool) {
	if _, ok := auth.ParseRole(key); !ok {
		return nil, 0, false
	}
	e, ok := r.view.Load().byKey[auth.HashKey(key)]
	return e.project, e.role, ok
}

// Find returns the project with that id or name, or ErrNotFound.
func (r *Registry) Find(idOrName string) (*Project, error) {
	v := r.view.Load()
	if p := v.byID[idOrName]; p != nil {
		return p, nil
	}
	if p := v.byName[idOrName]; p != nil {
		return p, nil
	}
	return nil, ErrNotFound
}

// List returns every project, ordered by name.
func (r *Registry) List() []*Project {
	v := r.view.Load()
	list := make([]*Project, 0, len(v.byID))
	for _, p := range v.byID {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Project) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// OriginAllowed reports whether any project allows the origin. A preflight names no key, so this is all it can be
// asked; the request that follows is held to its own project's list.
func (r *Registry) OriginAllowed(o Origin) bool {
	for _, p := range r.view.Load().byID {
		if p.State().Domains.Allows(o) {
			return true
		}
	}
	return false
}

// controlProject and controlKey are the documents of the control project.
type controlProject struct {
	ID        string `json:"_id"`
	Name      string `json:"name"`
	CreatedAt string `json:"createdAt"`
}

type controlKey struct {
	ID        string `json:"_id"`
	Project   string `json:"project"`
	Role      string `json:"role"`
	Hash      string `json:"hash"` // SHA-256 of the key, hex
	CreatedAt string `json:"createdAt"`
}

// openAll makes sure that the control project has its collections, then opens what it lists.
func (r *Registry) openAll(ctx context.Context) error {
	if err := r.defineControl(ctx); err != nil {
		return err
	}
	snap, err := r.control.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	projects, err := readAll[controlProject](ctx, snap, controlProjects)
	if err != nil {
		return err
	}
	keys, err := readAll[controlKey](ctx, snap, controlKeys)
	if err != nil {
		return err
	}
	v := &view{byKey: map[[32]byte]keyEntry{}, byID: map[string]*Project{}, byName: map[string]*Project{}}
	r.view.Store(v)
	for _, doc := range projects {
		p, err := r.openProject(ctx, doc.ID)
		if err != nil {
			r.log.ErrorContext(ctx, "project not opened; the others go on without it", "project", doc.ID, "name", doc.Name, "error", err)
			p = brokenProject(doc.ID, doc.Name, err)
		}
		v.byID[p.ID], v.byName[p.Name()] = p, p
	}
	for _, doc := range keys {
		p := v.byID[doc.Project]
		role, ok := roleNamed(doc.Role)
		hash, err := hex.DecodeString(doc.Hash)
		if p == nil || !ok || err != nil || len(hash) != 32 {
			return fmt.Errorf("control project: key %s is damaged", doc.ID)
		}
		v.byKey[[32]byte(hash)] = keyEntry{p, role}
	}
	return nil
}

func (r *Registry) defineControl(ctx context.Context) error {
	snap, err := r.control.Snapshot()
	if err != nil {
		return err
	}
	_, ok := snap.Collection(controlKeys)
	snap.Close()
	if ok {
		return nil
	}
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	b.Ops = []kv.Op{
		{Kind: kv.OpCollection, Name: controlProjects, Value: indexDefinition(uniqueIndex(indexName))},
		{Kind: kv.OpCollection, Name: controlKeys, Value: indexDefinition(uniqueIndex(indexHash))},
	}
	_, err = r.control.Commit(ctx, b)
	return err
}

// readAll reads a whole collection of the control project, oldest first.
func readAll[T any](ctx context.Context, snap *kv.Snapshot, name string) ([]T, error) {
	c, ok := snap.Collection(name)
	if !ok {
		return nil, fmt.Errorf("control project: no collection %s", name)
	}
	page, err := snap.Find(ctx, c, &kv.Query{Limit: maxControl, Budget: maxControl})
	if err != nil {
		return nil, err
	}
	if len(page.Docs) == maxControl {
		return nil, fmt.Errorf("control project: more than %d %s", maxControl-1, name)
	}
	all := make([]T, len(page.Docs))
	for i, d := range page.Docs {
		if err := json.Unmarshal(d.JSON, &all[len(all)-1-i]); err != nil {
			return nil, fmt.Errorf("control project: %s %s: %w", name, d.ID, err)
		}
	}
	return all, nil
}

// maxControl bounds what is read of one control collection, so that a damaged file cannot ask for unbounded memory.
const maxControl = 1 << 20

// newBatch starts a batch with a fresh id and the present time.
func (r *Registry) newBatch() (*kv.Batch, error) {
	b := &kv.Batch{Time: r.now().UnixMilli()}
	if _, err := io.ReadFull(r.rand, b.ID[:]); err != nil {
		return nil, err
	}
	return b, nil
}

func roleNamed(s string) (auth.Role, bool) {
	for _, role := range []auth.Role{auth.RolePublishable, auth.RoleSecret} {
		if role.String() == s {
			return role, true
		}
	}
	return 0, false
}
