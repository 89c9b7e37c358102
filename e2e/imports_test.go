package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-edge/sluice"

// rooms says which of our rooms each room may import, and why it stops there. A package belongs to the longest room
// that its path starts with. A new room needs a row: that is the moment to think about its arrows.
var rooms = map[string]struct {
	may []string
	why string
}{
	"kv":                {nil, "a store that knows users, policies or HTTP cannot be replaced or reasoned about alone"},
	"hooks":             {nil, "guests see events as bytes; a host that knew documents or stores could not be given to another project"},
	"blobs":             {nil, "objects are bytes with a name; who may read them is decided above"},
	"demo":              {nil, "the demo is embedded files"},
	"runtime/auth":      {nil, "rules over bytes and a clock: testable without a store or a server"},
	"runtime/journal":   {nil, "what people look at must wait for nothing and hold up nothing"},
	"runtime/letter":    {nil, "the words of a mail are made of a template and strings, and of nothing else"},
	"runtime/archive":   {nil, "a backup is a stream of files; what they mean is a project's affair"},
	"runtime/social":    {nil, "who somebody is elsewhere; what that means here is the server's business"},
	"runtime/throttle":  {nil, "counting is arithmetic over bytes and times"},
	"runtime/project":   {[]string{"runtime/archive", "runtime/auth", "runtime/throttle", "runtime/journal", "runtime/letter", "hooks", "kv", "blobs"}, "a project holds its handles; requests are the server's business"},
	"runtime/aggregate": {[]string{"kv"}, "a pipeline sees the documents that it is handed and cannot ask for more"},
	"runtime/deliver":   {[]string{"kv"}, "what leaves the door was committed; it asks nobody"},
	"runtime/dashboard": {nil, "the dashboard is embedded files"},
	"runtime":           {[]string{"runtime/aggregate", "runtime/auth", "runtime/journal", "runtime/letter", "runtime/project", "runtime/social", "runtime/throttle", "runtime/deliver", "runtime/dashboard", "hooks", "kv", "blobs"}, "the server uses rooms and is used by the binary only"},
	"bundle":            {[]string{"bundle/script", "hooks"}, "a directory of a developer's; it knows no node"},
	"bundle/script":     {nil, "sources go in and one text comes out; what runs it is another room's affair"},
	"bundle/scaffold":   {nil, "the first files of a bundle are embedded files"},
	"bundle/cases":      {[]string{"bundle", "runtime", "runtime/auth", "runtime/project", "hooks", "kv"}, "cases run on a whole node in this process; nothing builds on them but the binary"},
	"cmd":               {[]string{"bundle", "bundle/scaffold", "bundle/cases", "runtime", "runtime/archive", "runtime/auth", "runtime/deliver", "runtime/project", "hooks", "kv", "blobs", "demo"}, "the binary builds the rooms"},
	"e2e":               {[]string{"kv"}, "the journeys drive the binary from outside; kv is for looking at the files it leaves"},
}

// libraries says in which rooms alone a library may be imported.
var libraries = map[string]struct {
	only []string
	why  string
}{
	"github.com/VictoriaMetrics/metrics": {[]string{"runtime"}, "a figure is told where it is asked for; the rooms below count, and know no format"},
	"github.com/valyala/fasthttp":        {[]string{"runtime"}, "fasthttp lends its memory; below the server nobody must know about that"},
	"github.com/fasthttp/router":         {[]string{"runtime"}, "routes are one table in the server"},
	"github.com/golang-jwt/jwt":          {[]string{"runtime/auth"}, "the algorithm is pinned in one place"},
	"golang.org/x/oauth2":                {[]string{"runtime/social"}, "one room speaks to providers, within its bounds"},
	"github.com/coreos/go-oidc":          {[]string{"runtime/social"}, "one room judges what providers say"},
	"github.com/wneessen/go-mail":        {[]string{"runtime/deliver"}, "mail leaves by one door, and nobody else composes it"},
	"golang.org/x/crypto/argon2":         {[]string{"runtime/auth"}, "one room chooses how secrets are treated"},
	"golang.org/x/crypto/bcrypt":         {[]string{"runtime/auth"}, "one room chooses how secrets are treated"},
	"golang.org/x/crypto/acme":           {[]string{"cmd"}, "certificates are the binary's affair"},
	"github.com/tetratelabs/wazero":      {[]string{"hooks"}, "the engine behind one door can be replaced there"},
	"github.com/minio/minio-go":          {[]string{"blobs"}, "what an S3 service is asked is decided in one room"},
	"go.etcd.io/bbolt":                   {[]string{"kv"}, "one room writes a project's file, by one function"},
	"github.com/evanw/esbuild":           {[]string{"bundle/script"}, "the developer's side alone turns sources into what is deployed; a node never runs a compiler of JavaScript in its own process"},
	"github.com/urfave/cli":              {[]string{"cmd"}, "flags and environment are read by the binary only"},
	"github.com/sluice-edge/sluice/e2e":  {nil, "nothing builds on the journeys"},
}

// never says what must not even be reached through others.
var never = map[string]map[string]string{
	"runtime/auth":    {"net/http": "auth does not do HTTP", "github.com/valyala/fasthttp": "auth does not do HTTP", "go.etcd.io/bbolt": "auth does not read a store"},
	"runtime/project": {"github.com/valyala/fasthttp": "a project does not know requests", "net/http": "a project does not know requests"},
	"kv":              {"net/http": "the store does not do HTTP", "github.com/valyala/fasthttp": "the store does not do HTTP", "github.com/tetratelabs/wazero": "the store does not run guests", "github.com/golang-jwt/jwt": "the store does not know users"},
	"blobs":           {"github.com/valyala/fasthttp": "the store serves nobody", "go.etcd.io/bbolt": "bytes are not documents", "github.com/tetratelabs/wazero": "the store does not run guests", "github.com/golang-jwt/jwt": "the store does not know users"},
	"hooks":           {"net/http": "guests reach no network", "github.com/valyala/fasthttp": "guests reach no network", "go.etcd.io/bbolt": "guests reach no file", "github.com/golang-jwt/jwt": "guests know no secrets"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Imports    []string
	Deps       []string
}

func list(t *testing.T, dir string, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// within reports whether path is parent or lies below it.
func within(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// room returns the room of one of our packages, "" if none claims it.
func room(path string) string {
	path = strings.TrimPrefix(path, module+"/")
	best := ""
	for name := range rooms {
		if within(path, name) && len(name) > len(best) {
			best = name
		}
	}
	return best
}

func TestImportArrows(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	packages := list(t, root, "./...")
	if len(packages) < 8 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		from := room(p.ImportPath)
		if from == "" {
			t.Errorf("%s belongs to no room: add a row to rooms, and say what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			if within(imported, module) {
				to := room(imported)
				if to != from && !slices.Contains(rooms[from].may, to) {
					t.Errorf("%s imports %s: %s", name, strings.TrimPrefix(imported, module+"/"), rooms[from].why)
				}
			}
			for library, rule := range libraries {
				if within(imported, library) && !slices.Contains(rule.only, from) {
					t.Errorf("%s imports %s, which only %v may: %s", name, imported, rule.only, rule.why)
				}
			}
		}
		for forbidden, why := range never[from] {
			for _, dep := range p.Deps {
				if within(dep, forbidden) {
					t.Errorf("%s reaches %s: %s", name, dep, why)
				}
			}
		}
	}
}

func TestSDKImportsNothingOfOurs(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "sdk", "go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list(t, root, "-deps", "./...") {
		if p.Standard || within(p.ImportPath, module+"/sdk/go") {
			continue
		}
		t.Errorf("sdk/go reaches %s: who writes a hook must not carry the server's dependencies, nor any other", p.ImportPath)
	}
}
