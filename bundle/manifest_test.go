package bundle_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/hooks"
)

// The manifest that docs/abi.md shows is one, and comes through JSON, as which it travels and is kept, as it was.
func TestTheDocumentedManifestIsOne(t *testing.T) {
	text, err := os.ReadFile("../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("```yaml\n"))
	text, _, _ = bytes.Cut(text, []byte("```"))
	m, err := bundle.ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Config) != `{"maxPrice":100}` || m.Limits.PolicyFuel != 50_000_000 || len(m.Grants.Read) != 2 || len(m.Bindings) != 6 {
		t.Errorf("%+v", m)
	}
	wire, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var again hooks.Manifest
	if err := json.Unmarshal(wire, &again); err != nil || !reflect.DeepEqual(&again, m) {
		t.Errorf("%v\n got %+v\nwant %+v", err, again, m)
	}
	plain, _, _ := bytes.Cut(text, []byte("grants:"))
	if _, err := bundle.ParseManifest(plain); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"config: 7", "config: [a]", "config: {a: .nan}", "limits: {policyfuel: 1}", "grants: {write: [a]}"} {
		if _, err := bundle.ParseManifest(append(plain[:len(plain):len(plain)], bad...)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
