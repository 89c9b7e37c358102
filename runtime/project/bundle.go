package project

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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

// storedBundle is the shape of SettingBundle. Module bytes lie in <project>/modules under their hash.
type storedBundle struct {
	Version    int               `json:"version"`
	Manifest   hooks.Manifest    `json:"manifest"`
	Files      map[string]string `json:"files"` // module file name → SHA-256, hex
	DeployedAt string            `json:"deployedAt"`
}

// Deploy loads a bundle, stores it and makes it the project's live one by one pointer swap: requests in flight end on
// the old one. A bundle that does not load is a *BundleError and changes nothing. modules holds each module's bytes by
// its file name in the manifest.
func (r *Registry) Deploy(ctx context.Context, p *Project, m hooks.Manifest, modules map[string][]byte) (*Deployed, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	bundle, err := r.host.Load(ctx, m, modules)
	if err != nil {
		return nil, &BundleError{err}
	}
	old := p.State()
	done, b, err := p.storeBundle(r, old, m, modules)
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
	return done, nil
}

// storeBundle writes the module files and makes them durable, and builds the batch that names them.
func (p *Project) storeBundle(r *Registry, old *State, m hooks.Manifest, modules map[string][]byte) (*Deployed, *kv.Batch, error) {
	st := storedBundle{Version: old.BundleVersion + 1, Manifest: m, Files: map[string]string{}, DeployedAt: Timestamp(r.now())}
	done := &Deployed{Version: st.Version}
	for _, mod := range m.Modules {
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
	b.Ops = []kv.Op{{Kind: kv.OpSetting, Name: SettingBundle, Value: raw}}
	return done, b, nil
}

// loadBundle loads the bundle that the setting names. The version is returned even when loading fails.
func (p *Project) loadBundle(ctx context.Context, host *hooks.Host, raw []byte) (*hooks.Bundle, int, error) {
	var st storedBundle
	if err := json.Unmarshal(raw, &st); err != nil {
		return nil, 0, fmt.Errorf("read setting %s: %w", SettingBundle, err)
	}
	modules := make(map[string][]byte, len(st.Files))
	for file, hash := range st.Files {
		code, err := readModule(filepath.Join(p.dir, "modules"), hash)
		if err != nil {
			return nil, st.Version, fmt.Errorf("module file %s: %w", file, err)
		}
		modules[file] = code
	}
	bundle, err := host.Load(ctx, st.Manifest, modules)
	return bundle, st.Version, err
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
