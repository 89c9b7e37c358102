package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
)

// BundleError says why a bundle was refused. Nothing of it was activated.
type BundleError struct{ Err error }

func (e *BundleError) Error() string { return e.Err.Error() }
func (e *BundleError) Unwrap() error { return e.Err }

// Deployed is what a Deploy activated, or with DryRun would activate.
type Deployed struct {
	Version int              `json:"version"`
	DryRun  bool             `json:"dryRun,omitempty"`
	Modules []DeployedModule `json:"modules"`
	Changes []Change         `json:"changes"`    // in what guests may do and are asked; see DiffBundles
	Millis  float64          `json:"durationMs"` // from the bundle's arrival until it was live, most of it for compiling what is new
}

// DeployedModule is one module of a deployed bundle.
type DeployedModule struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Bytes    int    `json:"bytes"`
	SHA256   string `json:"sha256"`
	InitFuel uint64 `json:"initFuel,omitempty"` // what its self-test spent
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
	return r.activate(ctx, p, m, modules, activation{})
}

// TryDeploy does everything that Deploy does but store and activate the bundle: one that would be refused is refused.
func (r *Registry) TryDeploy(ctx context.Context, p *Project, m hooks.Manifest, modules map[string][]byte) (*Deployed, error) {
	return r.activate(ctx, p, m, modules, activation{dryRun: true})
}

// Rollback deploys an earlier version again, as a new version. Errors: ErrNoVersion when it is not kept, and Deploy's.
func (r *Registry) Rollback(ctx context.Context, p *Project, version int) (*Deployed, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	st, modules, err := p.readVersion(version)
	if err != nil {
		return nil, err
	}
	return r.activate(ctx, p, st.Manifest, modules, activation{rollbackOf: version})
}

// ErrNoVersion is returned for a bundle version that was never deployed or is no longer kept.
var ErrNoVersion = errors.New("project: no such bundle version is kept")

// activation says how a bundle becomes the live one.
type activation struct {
	rollbackOf int  // the version that is brought back, 0 for a new one
	dryRun     bool // it does not, in the end
}

// activate is Deploy, Rollback and TryDeploy.
func (r *Registry) activate(ctx context.Context, p *Project, m hooks.Manifest, modules map[string][]byte, how activation) (*Deployed, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := time.Now()
	if err := refuseUnasked(&m, p.State().Config); err != nil {
		return nil, &BundleError{err}
	}
	bundle, err := r.host.Load(ctx, m, modules, r.loadOptions(p))
	if err != nil {
		return nil, &BundleError{err}
	}
	old := p.State()
	st := storedBundle{Version: old.BundleVersion + 1, RollbackOf: how.rollbackOf, Manifest: m, Files: map[string]string{}, DeployedAt: Timestamp(r.now())}
	done, err := p.describe(old, &st, bundle, modules)
	if how.dryRun {
		if done != nil {
			done.DryRun, done.Millis = true, millis(begun)
		}
		return done, errors.Join(err, bundle.Close(ctx))
	}
	var b *kv.Batch
	if err == nil {
		b, err = p.storeBundle(r, old, &st, modules)
	}
	if err == nil {
		err = p.change(ctx, b, func(rev uint64) *State {
			next := *old
			next.Bundle, next.BundleRev, next.BundleVersion, next.BundleErr, next.asked = bundle, rev, done.Version, nil, newAsked(&m)
			return &next
		})
	}
	if err != nil {
		return nil, errors.Join(err, bundle.Close(ctx))
	}
	done.Millis = millis(begun)
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

// millis is how long something has taken.
func millis(begun time.Time) float64 { return float64(time.Since(begun).Microseconds()) / 1000 }

// describe says what is deployed and how it differs from what is live.
func (p *Project) describe(old *State, st *storedBundle, bundle *hooks.Bundle, modules map[string][]byte) (*Deployed, error) {
	done := &Deployed{Version: st.Version}
	reports := bundle.Modules()
	for i, mod := range st.Manifest.Modules {
		sum := sha256.Sum256(modules[mod.File])
		hash := hex.EncodeToString(sum[:])
		st.Files[mod.File] = hash
		done.Modules = append(done.Modules, DeployedModule{Name: mod.Name, File: mod.File, Bytes: len(modules[mod.File]), SHA256: hash, InitFuel: reports[i].InitFuel})
	}
	live, err := p.liveManifest()
	if err != nil {
		return nil, err
	}
	var liveReports []hooks.ModuleReport
	if old.Bundle != nil {
		liveReports = old.Bundle.Modules()
	}
	if done.Changes = DiffBundles(live, liveReports, &st.Manifest, reports); done.Changes == nil {
		done.Changes = []Change{}
	}
	return done, nil
}

// liveManifest reads the manifest of the live bundle; nil if there is none.
func (p *Project) liveManifest() (*hooks.Manifest, error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	raw, _, ok := snap.Setting(SettingBundle)
	if !ok {
		return nil, snap.Err()
	}
	var st storedBundle
	if err := json.Unmarshal(raw, &st); err != nil {
		return nil, fmt.Errorf("read setting %s: %w", SettingBundle, err)
	}
	return &st.Manifest, nil
}

// storeBundle writes the module files and makes them durable, and builds the batch that names them and forgets the oldest
// version.
func (p *Project) storeBundle(r *Registry, old *State, st *storedBundle, modules map[string][]byte) (*kv.Batch, error) {
	for _, mod := range st.Manifest.Modules {
		if err := writeModule(filepath.Join(p.dir, "modules"), st.Files[mod.File], modules[mod.File]); err != nil {
			return nil, fmt.Errorf("store module %s: %w", mod.Name, err)
		}
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, err
	}
	b.Needs = []kv.Need{{Kind: kv.NeedSetting, Name: SettingBundle, Rev: old.BundleRev}}
	b.Ops = []kv.Op{
		{Kind: kv.OpSetting, Name: SettingBundle, Value: raw},
		{Kind: kv.OpSetting, Name: versionSetting(st.Version), Value: raw},
	}
	if oldest := st.Version - keptVersions; oldest > 0 {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: versionSetting(oldest)})
	}
	return b, nil
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
	for i := range kept {
		list[i] = kept[i].version(p.State().BundleVersion)
	}
	return list, err
}

// version describes a kept version.
func (st *storedBundle) version(live int) BundleVersion {
	v := BundleVersion{Version: st.Version, Live: st.Version == live, RollbackOf: st.RollbackOf, DeployedAt: st.DeployedAt}
	for _, m := range st.Manifest.Modules {
		v.Modules = append(v.Modules, m.Name)
	}
	return v
}

// Inspect returns what a version that is kept consists of; 0 means the live one. A version that is not live is loaded for it,
// and let go. Errors: ErrNoVersion, and a *BundleError for one that cannot be loaded any more.
func (r *Registry) Inspect(ctx context.Context, p *Project, version int) (*BundleDetails, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	state := p.State()
	if version == 0 {
		version = state.BundleVersion
	}
	st, modules, err := p.readVersion(version)
	if err != nil {
		return nil, err
	}
	d := &BundleDetails{BundleVersion: st.version(state.BundleVersion), Manifest: st.Manifest}
	bundle := state.Bundle
	if d.Live && bundle != nil {
		d.Reports = bundle.Modules()
	} else {
		if bundle, err = r.host.Load(ctx, st.Manifest, modules, r.loadOptions(p)); err != nil {
			return nil, &BundleError{err}
		}
		d.Reports = bundle.Modules()
		if err := bundle.Close(ctx); err != nil {
			return nil, err
		}
	}
	for i, mod := range st.Manifest.Modules {
		d.Files = append(d.Files, DeployedModule{Name: mod.Name, File: mod.File, Bytes: len(modules[mod.File]), SHA256: st.Files[mod.File], InitFuel: d.Reports[i].InitFuel})
	}
	return d, nil
}

// readVersion reads a version that is kept, or ErrNoVersion.
func (p *Project) readVersion(version int) (st storedBundle, modules map[string][]byte, err error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return st, nil, err
	}
	raw, _, ok := snap.Setting(versionSetting(version))
	raw = bytes.Clone(raw)
	snap.Close()
	if !ok {
		return st, nil, ErrNoVersion
	}
	return p.readBundle(raw)
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

// loadBundle loads the bundle that the setting names into the state. What it asks and its version are known even when loading
// fails.
func (r *Registry) loadBundle(ctx context.Context, p *Project, raw []byte, into *State) {
	st, modules, err := p.readBundle(raw)
	into.BundleVersion, into.asked = st.Version, newAsked(&st.Manifest)
	into.asked.everything = len(st.Manifest.Modules) == 0
	if err == nil {
		into.Bundle, err = r.host.Load(ctx, st.Manifest, modules, r.loadOptions(p))
	}
	into.BundleErr = err
}

// loadOptions make the lines of a project's guests its own.
func (r *Registry) loadOptions(p *Project) hooks.LoadOptions {
	return hooks.LoadOptions{Logger: slog.New(lines{p.Journal, r.log.With("project", p.ID).Handler()})}
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
	return syncDirectory(dir)
}
