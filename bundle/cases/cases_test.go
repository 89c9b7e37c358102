package cases_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/bundle/cases"
	"github.com/sluice-edge/sluice/demo"
	"github.com/sluice-edge/sluice/runtime/project"
)

// compiled is where the demo's module is kept once it is compiled, for all nodes of the tests.
var compiled string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "sluice-cases-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		compiled = dir
		return m.Run()
	}())
}

// open starts a node with the demo's project and bundle, which has a policy on prices and a hook that makes slugs.
func open(t *testing.T) *cases.Node { return openWith(t, demo.ProjectFile) }

func openWith(t *testing.T, file []byte) *cases.Node {
	t.Helper()
	cfg, err := project.ParseFile("sluice.yaml", file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bundle.ParseManifest(demo.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	n, err := cases.Open(context.Background(), cases.Setup{Dir: t.TempDir(), CacheDir: compiled, Config: cfg, Manifest: m, Modules: map[string][]byte{demo.ModuleFile: demo.Module}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func parse(t *testing.T, src string) *cases.File {
	t.Helper()
	f, err := cases.Parse("sluice.test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func runAll(t *testing.T, n *cases.Node, f *cases.File) []*cases.Result {
	t.Helper()
	var results []*cases.Result
	for _, c := range f.Cases {
		res, err := n.Run(context.Background(), f, c)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		results = append(results, res)
	}
	return results
}

func TestCasesHold(t *testing.T) {
	src, err := os.ReadFile("testdata/holds.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := open(t)
	f := parse(t, string(src))
	results := runAll(t, n, f)
	for _, res := range results {
		for _, m := range res.Mismatches {
			t.Errorf("%s: line %d: %s: want %s, got %s", res.Case.Name, m.Line, m.Path, m.Want, m.Got)
		}
	}
	t.Run("what holds is not rewritten", func(t *testing.T) {
		out, updated, err := f.Update(results)
		if err != nil || updated != 0 || string(out) != string(src) {
			t.Fatalf("%d updated, %v", updated, err)
		}
	})
	t.Run("a second run of the same cases gives the same", func(t *testing.T) {
		for i, res := range runAll(t, n, f) {
			if len(res.Mismatches) > 0 {
				t.Errorf("%s: %+v", f.Cases[i].Name, res.Mismatches)
			}
		}
	})
}

// TestSuite runs a bundle as its developer has it.
func TestSuite(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	put("sluice.hooks.yaml", demo.Manifest)
	put(demo.ModuleFile, demo.Module)
	suite := func(run string) *cases.Suite {
		t.Helper()
		d, err := bundle.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return &cases.Suite{Bundle: d, DataDir: t.TempDir(), CacheDir: compiled, Run: regexp.MustCompile(run)}
	}
	if _, err := suite("").Files(); !errors.Is(err, cases.ErrNoCases) {
		t.Fatal(err)
	}
	src, err := os.ReadFile("testdata/holds.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	put("a.test.yaml", src)
	path := filepath.Join(dir, "a.test.yaml")
	t.Run("a project is needed", func(t *testing.T) {
		if _, err := suite("").File(context.Background(), path); err == nil || !strings.Contains(err.Error(), "there is no project file") {
			t.Fatal(err)
		}
	})
	put("sluice.yaml", demo.ProjectFile)
	t.Run("cases are chosen by name, and fuel is the same each time", func(t *testing.T) {
		spent := map[string]uint64{}
		for range 2 {
			s := suite("^guest: ")
			files, err := s.Files()
			if err != nil || len(files) != 1 || files[0] != path {
				t.Fatalf("%v, %v", files, err)
			}
			rep, err := s.File(context.Background(), path)
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Results) != 4 || rep.Skipped != len(rep.File.Cases)-4 {
				t.Fatalf("%d cases ran, %d did not", len(rep.Results), rep.Skipped)
			}
			for _, res := range rep.Results {
				if was, again := spent[res.Case.Name]; len(res.Mismatches) > 0 || res.Fuel == 0 || again && was != res.Fuel {
					t.Errorf("%s: %d fuel, before %d; %+v", res.Case.Name, res.Fuel, was, res.Mismatches)
				}
				spent[res.Case.Name] = res.Fuel
			}
			if _, err := os.Stat(filepath.Join(rep.DataDir, "projects")); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("too much fuel is a mismatch, and an update allows it", func(t *testing.T) {
		put("a.test.yaml", bytes.Replace(src, []byte("maxFuel: 1000000"), []byte("maxFuel: 10 # tight"), 1))
		rep, err := suite("500|above 100").File(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if m := rep.Results[0].Mismatches; len(m) != 1 || m[0].Path != "maxFuel" || m[0].Line != 34 {
			t.Fatalf("%+v", m)
		}
		if updated, err := rep.Update(); err != nil || updated != 1 {
			t.Fatalf("%d, %v", updated, err)
		}
		want := bytes.Replace(src, []byte("maxFuel: 1000000"), fmt.Appendf(nil, "maxFuel: %d # tight", rep.Results[0].Fuel), 1)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v\n%s", err, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Fatalf("%v, %v", info, err)
		}
	})
}

// TestMismatches names each kind of difference, and where the file has it.
func TestMismatches(t *testing.T) {
	const head = `users: {ada: {}, bob: {}}
documents:
  posts:
    first: {title: First, price: 5, userId: $ada}
    second: {title: Second, price: 7, userId: $bob}
cases:
  - name: it
    as: ada
`
	n := open(t)
	for _, c := range []struct {
		name, src string
		want      []string // path:line: want | got
	}{
		{"a wrong verdict shows the reason that came", "    insert: posts\n    body: {title: T, price: 500}\n    expect: {verdict: allow}\n",
			[]string{"verdict:11: allow | deny", `code:11: nothing | policy.posts.price_too_high "The price of a post can be at most 100. Lower it and try again."`}},
		{"a wrong code and message", "    insert: posts\n    body: {title: T, price: 500}\n    expect:\n      verdict: deny\n      code: policy.other\n      message: Other.\n",
			[]string{"code:13: policy.other | policy.posts.price_too_high", "message:14: Other. | The price of a post can be at most 100. Lower it and try again."}},
		{"a wrong status", "    insert: posts\n    body: {title: T}\n    expect: {verdict: allow, status: 200}\n", []string{"status:11: 200 | 201"}},
		{"members of the document", "    insert: posts\n    body: {title: My T, price: 1.50}\n    expect:\n      verdict: allow\n      document: {title: Other, price: 1.5, userId: $ada, extra: 1, tags: []}\n",
			[]string{`document.title:13: "Other" | "My T"`, `document.extra:13: 1 | nothing`, `document.slug:13: nothing | "my-t"`}},
		{"an owner is shown by name", "    get: posts/first\n    expect:\n      verdict: allow\n      document: {title: First, price: 5, userId: $bob, tags: []}\n", []string{`document.userId:12: "$bob" | "$ada"`}},
		{"any value is not no value", "    insert: posts\n    body: {title: T}\n    expect:\n      verdict: allow\n      document: {title: T, slug: $any, price: $any, userId: $any, tags: [], _id: $any}\n", []string{"document.price:13: any value | nothing"}},
		{"a list that shows others", "    list: posts\n    query: {price_gt: 6}\n    expect:\n      verdict: allow\n      visible: [first]\n", []string{"visible:13: [first] | [second]"}},
		{"an order that was asked for", "    list: posts\n    query: {sort: -price}\n    expect:\n      verdict: allow\n      visible: [first, second]\n", []string{"visible:13: [first, second] | [second, first]"}},
		{"items and depth of an answer", "    request: {method: GET, path: \"/api/data/posts?sort=price\"}\n    expect:\n      status: 200\n      answer: {success: true, data: {total: 3, items: [{title: First}]}}\n",
			[]string{"answer.data.total:12: 3 | 2", `answer.data.items:12: 1 items: [{title: "First"}] | 2: …`}},
		{"nothing is expected yet", "    delete: posts/first\n", []string{"expect:7: nothing is written yet | allow"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := runAll(t, n, parse(t, head+c.src))[0]
			var got []string
			for i, m := range res.Mismatches {
				text := m.Path + ":" + strconv.Itoa(m.Line) + ": " + m.Want + " | " + m.Got
				if i < len(c.want) && strings.HasSuffix(c.want[i], "…") && strings.HasPrefix(text, strings.TrimSuffix(c.want[i], "…")) {
					text = c.want[i]
				}
				got = append(got, text)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			t.Run("and after an update it holds", func(t *testing.T) {
				f := parse(t, head+c.src)
				out, updated, err := f.Update(runAll(t, n, f))
				if err != nil || updated != 1 || !strings.HasPrefix(string(out), head) {
					t.Fatalf("%d, %v\n%s", updated, err, out)
				}
				res := runAll(t, n, parse(t, string(out)))[0]
				if len(res.Mismatches) > 0 {
					t.Fatalf("%+v\n%s", res.Mismatches, out)
				}
			})
		})
	}
}

// TestUpdateLeavesTheRestAlone rewrites a file full of comments, blank lines and odd spacing.
func TestUpdateLeavesTheRestAlone(t *testing.T) {
	before, err := os.ReadFile("testdata/update.before.yaml")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("testdata/update.after.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := open(t)
	f := parse(t, string(before))
	out, updated, err := f.Update(runAll(t, n, f))
	if err != nil {
		t.Fatal(err)
	}
	if updated != 5 || string(out) != string(after) {
		t.Fatalf("%d updated:\n%s", updated, out)
	}
	f = parse(t, string(out))
	if again, updated, err := f.Update(runAll(t, n, f)); err != nil || updated != 0 || string(again) != string(after) {
		t.Fatalf("an update of what was updated: %d, %v\n%s", updated, err, again)
	}
	t.Run("a case within braces is refused", func(t *testing.T) {
		f := parse(t, "cases:\n  - {name: it, as: secret, insert: posts, body: {title: T}, expect: {verdict: deny}}\n")
		if _, _, err := f.Update(runAll(t, n, f)); err == nil || !strings.Contains(err.Error(), "sluice.test.yaml:2:") {
			t.Fatal(err)
		}
	})
}

func TestMistakesInAFile(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"nothing", "", []string{"f:1: the file is empty"}},
		{"no mapping", "- a\n", []string{"f:1: the file must be a mapping"}},
		{"no YAML", "cases: [\n", []string{"not YAML"}},
		{"two documents", "cases: []\n---\ncases: []\n", []string{"second document"}},
		{"no cases", "users: {ada: {}}\n", []string{"f:1: there are no cases"}},
		{"an unknown member", "case: []\ncases:\n  - {name: a, as: secret, list: posts, expect: {verdict: allow}}\n", []string{`f:1: the file has no member "case"; it knows project, now, users, documents, cases`}},
		{"everything at once", `now: tomorrow
users: {secret: {}, 1st: {}}
documents: {posts: {a: {title: 1}, a: {title: 2}}}
cases:
  - as: nobody
    list: posts
    expect: {verdict: maybe}
  - name: b
    as: anonymous
    list: posts/a
    get: posts/a
`, []string{"f:1: now must be a time", `f:2: "secret" is not a user`, `f:2: "1st" cannot be a name`, `f:3: "a" is given twice`, `f:5: as: there is no user "nobody"`, "f:5: a case needs a name", `f:7: verdict is allow, deny or error, not "maybe"`,
			"f:10: list needs a collection alone", "f:11: a case asks for one thing: list or get"}},
		{"what a verb needs", `documents: {posts: {a: {}}}
cases:
  - {name: a, as: secret, insert: posts, expect: {verdict: allow}}
  - {name: b, as: secret, get: posts, expect: {verdict: allow}}
  - {name: c, as: secret, get: posts/zzz, expect: {verdict: allow}}
  - {name: d, as: secret, get: posts/a, body: {}, query: {a: b}, expect: {verdict: allow, visible: [q]}}
  - {name: e, as: secret, request: {method: get}, expect: {document: {}}}
  - {name: e, as: secret, insert: posts, body: {a: $nobody}}
`, []string{"f:3: insert needs a body", "f:4: get needs a collection and the label", `f:5: there is no document "zzz"`, "f:6: query goes with list", "f:6: a get has no body", "f:6: visible goes with list", `f:6: there is no document "q"`,
			"f:7: a request needs a method and a path", "f:7: expect needs a verdict", "f:7: a request answers no document", "f:8: nothing is called $nobody", `f:8: another case is called "e", on line 7`}},
		{"aliases, tags, numbers", "cases:\n  - &x {name: a, as: secret, insert: posts, body: {a: !!str 1, b: 0x10}, expect: {verdict: allow}}\n  - *x\n", []string{"f:2: the tag !!str is not allowed", "f:2: write the number 0x10 in plain decimal", "f:3: aliases are not allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := cases.Parse("f", []byte(c.src))
			if err == nil {
				t.Fatal("it was taken")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Errorf("%d problems, want %d", len(lines), len(c.want))
			}
			for i := range min(len(lines), len(c.want)) {
				if !strings.Contains(lines[i], c.want[i]) {
					t.Errorf("problem %d is\n%s\nwant\n%s", i, lines[i], c.want[i])
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
}

// TestMistakesOnTheNode are those that need the project to be seen.
func TestMistakesOnTheNode(t *testing.T) {
	n := open(t)
	for _, c := range []struct{ name, src, want string }{
		{"a collection that is not declared", "documents:\n  nope:\n    a: {}\n", `f:3: the project has no collection "nope"`},
		{"a document that does not fit", "documents:\n  posts:\n    a: {price: 5}\n", "f:3: a does not fit the collection posts"},
		{"two accounts with one address", "users:\n  ada: {email: a@example.com}\n  bob: {email: a@example.com}\n", "has the same email as another document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := cases.Parse("f", []byte(c.src+"cases:\n  - {name: a, as: secret, list: posts, expect: {verdict: allow}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Run(context.Background(), f, f.Cases[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatal(err)
			}
		})
	}
}

// TestUsersOfAProjectWithoutAccounts: they need no account to be somebody.
func TestUsersOfAProjectWithoutAccounts(t *testing.T) {
	n := openWith(t, []byte("name: p\ncollections:\n  - name: posts\n    fields: []\n    rls: {enabled: true}\n"))
	f := parse(t, "users: {ada: {}, bob: {username: bob}}\ncases:\n  - {name: a, as: ada, insert: posts, body: {title: T}, expect: {verdict: allow, document: {title: T, slug: t, userId: $ada}}}\n")
	if _, err := n.Run(context.Background(), f, f.Cases[0]); err == nil || !strings.Contains(err.Error(), "sluice.test.yaml:1: bob has the members of an account") {
		t.Fatal(err)
	}
	f = parse(t, "users: {ada: {}}\ncases:\n  - {name: a, as: ada, insert: posts, body: {title: T}, expect: {verdict: allow, document: {title: T, slug: t, userId: $ada}}}\n")
	if res := runAll(t, n, f)[0]; len(res.Mismatches) > 0 {
		t.Fatalf("%+v", res.Mismatches)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/holds.test.yaml", "testdata/update.before.yaml"} {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := cases.Parse("f", src)
		if (err == nil) == (file == nil) {
			t.Fatalf("%v, %v", file, err)
		}
	})
}
