package bundle

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/bundle/script"
	"github.com/sluice-edge/sluice/hooks"
)

// ManifestFile is the name of a bundle's manifest.
const ManifestFile = "sluice.hooks.yaml"

// Bounds of what is read. The node has its own, lower limit for modules; this one only keeps a wrong path from filling
// memory.
const (
	maxManifestBytes = 1 << 20
	maxModuleBytes   = 64 << 20
)

// Dir is a directory that holds a bundle.
type Dir struct {
	Path     string
	Manifest *hooks.Manifest
}

// Open reads the manifest in a directory.
func Open(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	src, err := readBounded(root, ManifestFile, maxManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := ParseManifest(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, ManifestFile), err)
	}
	return &Dir{Path: path, Manifest: m}, nil
}

// ParseManifest is strict: a misspelt key would otherwise be a policy that is silently not asked.
func ParseManifest(src []byte) (*hooks.Manifest, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	var m hooks.Manifest
	if err := dec.Decode(&m); err == io.EOF {
		return nil, fmt.Errorf("is empty")
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(new(any)); err != io.EOF {
		return nil, fmt.Errorf("holds more than one document")
	}
	return &m, m.Validate()
}

// Modules reads what is deployed of every module, by its file name in the manifest: the file, or what package script makes of it. A module's file lies in the directory or
// below it: a manifest from elsewhere must not be able to send the rest of the disk.
func (d *Dir) Modules() (map[string][]byte, error) {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	modules := make(map[string][]byte, len(d.Manifest.Modules))
	for _, m := range d.Manifest.Modules {
		if modules[m.File], err = readBounded(root, m.File, maxModuleBytes); err != nil {
			return nil, fmt.Errorf("module %s: %w", m.Name, err)
		}
		if script.Is(m.File) {
			if modules[m.File], err = script.Join(d.Path, m.File, modules[m.File]); err != nil {
				return nil, fmt.Errorf("module %s: %w", m.Name, err)
			}
		}
	}
	return modules, nil
}

func readBounded(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return raw, err
}
