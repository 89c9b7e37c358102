package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModulesStayInTheDirectory(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "bundle")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "link.wasm")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../secret", filepath.Join(top, "secret"), "link.wasm", "x/../../secret", "."} {
		t.Run(file, func(t *testing.T) {
			manifest := "modules: [{name: m, file: " + file + "}]\nbindings: [{module: m, event: policy, collections: [posts]}]\n"
			if err := os.WriteFile(filepath.Join(dir, ManifestFile), []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if modules, err := d.Modules(); err == nil {
				t.Fatalf("read %v", modules)
			}
		})
	}
}

func TestParseManifestIsStrict(t *testing.T) {
	const good = "modules: [{name: m, file: m.wasm}]\nbindings: [{module: m, event: policy, collections: [posts]}]\n"
	if m, err := ParseManifest([]byte(good)); err != nil || m.Modules[0].File != "m.wasm" || m.Bindings[0].Collections[0] != "posts" {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, src := range map[string]string{
		"empty":           "",
		"an unknown key":  good + "policies: []\n",
		"a misspelt key":  strings.Replace(good, "event", "evnt", 1),
		"two documents":   good + "---\n" + good,
		"a key twice":     good + "modules: []\n",
		"an unknown name": strings.Replace(good, "module: m", "module: n", 1),
		"no bindings":     "modules: [{name: m, file: m.wasm}]\n",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if m, err := ParseManifest([]byte(src)); err == nil {
				t.Fatalf("%+v", m)
			}
		})
	}
}
