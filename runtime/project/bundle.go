package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
)

// BundleError says why a bundle was refused. Nothing of it was activated.
type BundleError struct{ Err error }

func (e *BundleError) Error() string { return e.Err.Error() }
func (e *BundleError) Unwrap() error { return e.Err }

// Deployed is what a Deploy activated.
type Deployed struct {
	Version int              `json:"version"`
	Modules []DeployedModule `json:"modules"`
}

// DeployedModule is one module of a deployed bundle.
type DeployedModule struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// keptVersions is how many deployed versions stay for a rollback, the live one among them.
const keptVersions = 20

// versionSetting is where a deployed version is kept. SettingBundle holds the live one.
func versionSetting(version int) string { return SettingBundle + "." + strconv.Itoa(version) }

// storedBundle is the shape of SettingBundle. Module bytes lie in <project>/modules under their hash.
type storedBundle struct {
	Version    int               `json:"version"`
	RollbackOf int               `json:"rollbackOf,omitempty"` // the version that this one brought back
	Manifest   hooks.Manifest    `json:"manifest"`
	Files      map[string]string `json:"files"` // module file name → SHA-256, hex
	DeployedAt string            `json:"deployedAt"`
}

// Deploy loads a bundle, stores it and makes it the project's live one by one pointer swap: requests in flight end on
// the old one. A bundle that does not load is a *BundleError and changes nothing. modules holds each module's bytes by
// its file name in the manifest.
func (r *Registry) Deploy(ctx context.Context, p *Project, m hooks.Manifest, modules map[string][]byte) (*Deployed, error) {
	return r.activate(ctx, p, m, modules, 0)
}

// Rollback deploys an earlier version again, as a new version. Errors: ErrNoVersion when it is not kept, and Deploy's.
func (r *Registry) Rollback(ctx context.Context, p *Project, version int) (*Deployed, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, err
	}
	raw, _, ok := snap.Setting(versionSetting(version))
	raw = bytes.Clone(raw)
	snap.Close()
	if !ok {
		return nil, ErrNoVersion
	}
	st, modules, err := p.readBundle(raw)
	if err != nil {
		return nil, err
	}
	return r.activate(ctx, p, st.Manifest, modules, version)
}

// ErrNoVersion is returned for a bundle version that was never deployed or is no longer kept.
var ErrNoVersion = errors.New("project: no such bundle version is kept")

// activate is Deploy; rollbackOf is the version that is brought back, 0 for a new one.
func (r *Registry) activate(ctx context.Context, p *Project, m hooks.Manifest, modules map[string][]byte, rollbackOf int) (*Deployed, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := refuseUnasked(&m, p.State().Config); err != nil {
		return nil, &BundleError{err}
	}
	bundle, err := r.host.Load(ctx, m, modules, r.loadOptions(p))
	if err != nil {
		return nil, &BundleError{err}
	}
	old := p.State()
	st := storedBundle{Version: old.BundleVersion + 1, RollbackOf: rollbackOf, Manifest: m, Files: map[string]string{}, DeployedAt: Timestamp(r.now())}
	done, b, err := p.storeBundle(r, old, &st, modules)
	if err == nil {
		err = p.change(ctx, b, func(rev uint64) *State {
			next := *old
			next.Bundle, next.BundleRev, next.BundleVersion, next.BundleErr = bundle, rev, done.Version, nil
			return &next
		})
	}
	if err != nil {
		return nil, errors.Join(err, bundle.Close(ctx))
	}
	if old.Bundle != nil {
		if err := old.Bundle.Close(ctx); err != nil { // it goes by itself when its last request ends
			r.log.WarnContext(ctx, "the replaced bundle is still in use", "project", p.ID, "error", err)
		}
	}
	if err := p.dropUnused(); err != nil {
		r.log.WarnContext(ctx, "modules of versions that are no longer kept were not removed", "project", p.ID, "error", err)
	}
	return done, nil
}

// refuseUnasked refuses a binding that the server would never ask: a policy that is silently not asked lets happen what it
// was deployed to prevent.
func refuseUnasked(m *hooks.Manifest, cfg *Config) error {
	for _, b := range m.Bindings {
		switch b.Event {
		case hooks.EventFilter, hooks.EventBeforeSignup, hooks.EventClaims:
			return fmt.Errorf("module %q is bound to the event %q, at which guests are not asked yet", b.Module, b.Event)
		}
		if slices.Contains(b.Operations, hooks.OpRead.String()) {
			return fmt.Errorf("module %q is bound to the operation %q, on which policies are not asked yet; reads are guarded by rls", b.Module, hooks.OpRead)
		}
		for _, name := range b.Collections {
			switch {
			case name == Users:
				return fmt.Errorf("module %q is bound to %q, for which guests are not asked yet: accounts have endpoints of their own", b.Module, name)
			case cfg.Collection(name) == nil:
				return fmt.Errorf("module %q is bound to the collection %q, which the project does not declare", b.Module, name)
			}
		}
	}
	if len(m.Grants.Read) > 0 {
		return errors.New("grants.read: guests cannot read documents yet")
	}
	return nil
}

// storeBundle writes the module files and makes them durable, and builds the batch that names them and forgets the oldest
// version.
func (p *Project) storeBundle(r *Registry, old *State, st *storedBundle, modules map[string][]byte) (*Deployed, *kv.Batch, error) {
	done := &Deployed{Version: st.Version}
	for _, mod := range st.Manifest.Modules {
		code := modules[mod.File]
		sum := sha256.Sum256(code)
		hash := hex.EncodeToString(sum[:])
		if err := writeModule(filepath.Join(p.dir, "modules"), hash, code); err != nil {
			return nil, nil, fmt.Errorf("store module %s: %w", mod.Name, err)
		}
		st.Files[mod.File] = hash
		done.Modules = append(done.Modules, DeployedModule{Name: mod.Name, File: mod.File, Bytes: len(code), SHA256: hash})
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return nil, nil, err
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, nil, err
	}
	b.Needs = []kv.Need{{Kind: kv.NeedSetting, Name: SettingBundle, Rev: old.BundleRev}}
	b.Ops = []kv.Op{
		{Kind: kv.OpSetting, Name: SettingBundle, Value: raw},
		{Kind: kv.OpSetting, Name: versionSetting(st.Version), Value: raw},
	}
	if oldest := st.Version - keptVersions; oldest > 0 {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: versionSetting(oldest)})
	}
	return done, b, nil
}

// BundleVersion is one deployed version that is still kept.
type BundleVersion struct {
	Version    int      `json:"version"`
	Live       bool     `json:"live"`
	RollbackOf int      `json:"rollbackOf,omitempty"`
	DeployedAt string   `json:"deployedAt"`
	Modules    []string `json:"modules"` // names, in the manifest's order
}

// Versions lists the versions that are kept, newest first.
func (p *Project) Versions() ([]BundleVersion, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	kept, err := p.keptBundles()
	list := make([]BundleVersion, len(kept))
	for i, st := range kept {
		list[i] = BundleVersion{Version: st.Version, Live: st.Version == p.State().BundleVersion, RollbackOf: st.RollbackOf, DeployedAt: st.DeployedAt}
		for _, m := range st.Manifest.Modules {
			list[i].Modules = append(list[i].Modules, m.Name)
		}
	}
	return list, err
}

// keptBundles reads the versions that are kept, newest first.
func (p *Project) keptBundles() ([]storedBundle, error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var kept []storedBundle
	newest := p.State().BundleVersion
	for v := newest; v > max(0, newest-keptVersions); v-- {
		raw, _, ok := snap.Setting(versionSetting(v))
		if !ok {
			continue
		}
		var st storedBundle
		if err := json.Unmarshal(raw, &st); err != nil {
			return nil, fmt.Errorf("read setting %s: %w", versionSetting(v), err)
		}
		kept = append(kept, st)
	}
	return kept, snap.Err()
}

// dropUnused removes module files that no kept version names.
func (p *Project) dropUnused() error {
	kept, err := p.keptBundles()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, st := range kept {
		for _, hash := range st.Files {
			used[hash+".wasm"] = true
		}
	}
	dir := filepath.Join(p.dir, "modules")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !used[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// loadBundle loads the bundle that the setting names. The version is returned even when loading fails.
func (r *Registry) loadBundle(ctx context.Context, p *Project, raw []byte) (*hooks.Bundle, int, error) {
	st, modules, err := p.readBundle(raw)
	if err != nil {
		return nil, st.Version, err
	}
	bundle, err := r.host.Load(ctx, st.Manifest, modules, r.loadOptions(p))
	return bundle, st.Version, err
}

// loadOptions make the lines of a project's guests its own.
func (r *Registry) loadOptions(p *Project) hooks.LoadOptions {
	return hooks.LoadOptions{Logger: r.log.With("project", p.ID)}
}

// readBundle reads a stored bundle and the bytes of its modules.
func (p *Project) readBundle(raw []byte) (st storedBundle, modules map[string][]byte, err error) {
	if err := json.Unmarshal(raw, &st); err != nil {
		return st, nil, fmt.Errorf("read setting %s: %w", SettingBundle, err)
	}
	modules = make(map[string][]byte, len(st.Files))
	for file, hash := range st.Files {
		if modules[file], err = readModule(filepath.Join(p.dir, "modules"), hash); err != nil {
			return st, nil, fmt.Errorf("module file %s: %w", file, err)
		}
	}
	return st, modules, nil
}

// errModuleDamaged is returned for a stored module whose bytes no longer have the hash that names them.
var errModuleDamaged = errors.New("damaged on disk: its bytes do not match its hash")

func readModule(dir, hash string) ([]byte, error) {
	code, err := os.ReadFile(filepath.Join(dir, hash+".wasm"))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != hash {
		return nil, errModuleDamaged
	}
	return code, nil
}

// writeModule stores code under its hash: a temporary file, synced, renamed, and the directory synced, so that a crash
// leaves the whole module or none.
func writeModule(dir, hash string, code []byte) error {
	if _, err := readModule(dir, hash); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "upload-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails, as it should, once the file has its name
	_, err = tmp.Write(code)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, hash+".wasm")); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
