package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// initialised makes the project that `bundle init` begins with.
func initialised(t *testing.T, language string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "posts")
	if stdout, stderr, code := sluice(t, "bundle", "init", "--lang", language, dir); code != 0 || !strings.Contains(stdout, "sluice bundle test "+dir) {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	return dir
}

// replaceIn changes the first old in a file.
func replaceIn(t *testing.T, file, old, new string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(raw), old) {
		t.Fatalf("%s does not hold %q: %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(raw), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEveryLanguageBeginsWithCasesThatHold goes the first steps of the help text: what init writes builds, and its cases hold.
func TestEveryLanguageBeginsWithCasesThatHold(t *testing.T) {
	help, _, _ := sluice(t, "bundle", "init", "--help")
	list := regexp.MustCompile(`language: ([a-z, ]+[a-z])`).FindStringSubmatch(help)
	if list == nil {
		t.Fatalf("the help names no languages:\n%s", help)
	}
	fuel := map[string]uint64{}
	for language := range strings.SplitSeq(list[1], ", ") {
		t.Run(language, func(t *testing.T) {
			dir := initialised(t, language)
			if language == "assemblyscript" { // where npm install would put its compiler, the repository has it already
				bin, err := filepath.Abs(filepath.Join("..", "sdk", "assemblyscript", "node_modules", ".bin"))
				if err != nil {
					t.Fatal(err)
				}
				t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			}
			stdout, stderr, code := sluice(t, "bundle", "build", dir, "--json")
			var built struct {
				Modules []struct {
					Language string
					Bytes    int
				}
			}
			if err := json.Unmarshal([]byte(stdout), &built); code != 0 || err != nil || len(built.Modules) != 1 || built.Modules[0].Language != language || built.Modules[0].Bytes == 0 {
				t.Fatalf("exit %d: %s%s", code, stdout, stderr)
			}
			stdout, stderr, code = sluice(t, "bundle", "test", dir, "--json")
			var report struct {
				Passed, Failed int
				Fuel           uint64
			}
			if err := json.Unmarshal([]byte(stdout), &report); code != 0 || err != nil || report.Passed < 7 || report.Failed > 0 || report.Fuel == 0 {
				t.Fatalf("exit %d: %s%s", code, stdout, stderr)
			}
			if strings.Contains(stderr, "built") {
				t.Errorf("what was just built is built again: %s", stderr)
			}
			fuel[language] = report.Fuel
		})
	}
	t.Logf("fuel of the same cases: %v", fuel)
}

func TestBundleInitReplacesNothing(t *testing.T) {
	dir := initialised(t, "go")
	main := filepath.Join(dir, "main.go")
	replaceIn(t, main, "maxPrice = 100", "maxPrice = 7")
	stdout, stderr, code := sluice(t, "bundle", "init", "--lang", "go", dir)
	if code != 1 || !strings.Contains(stderr, "main.go") || stdout != "" {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	if raw, err := os.ReadFile(main); err != nil || !strings.Contains(string(raw), "maxPrice = 7") {
		t.Fatalf("%v\n%s", err, raw)
	}
	if _, stderr, code := sluice(t, "bundle", "init", "--lang", "cobol", t.TempDir()); code != 1 || !strings.Contains(stderr, "cobol") {
		t.Fatalf("exit %d: %s", code, stderr)
	}
}

func TestBundleTest(t *testing.T) {
	dir := initialised(t, "go")
	table := filepath.Join(dir, "sluice.test.yaml")
	original, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	test := func(t *testing.T, want int, args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, code := sluice(t, append([]string{"bundle", "test", dir}, args...)...)
		if code != want {
			t.Fatalf("exit %d, want %d:\n%s%s", code, want, stdout, stderr)
		}
		if strings.Contains(stdout+stderr, "\x1b") {
			t.Error("colours where nobody sees them")
		}
		return stdout, stderr
	}
	t.Run("what is older than its sources is built first", func(t *testing.T) {
		stdout, stderr := test(t, 0)
		if !strings.Contains(stderr, "built posts from go: posts.wasm") || !strings.Contains(stdout, "7 passed") || !regexp.MustCompile(`ok +a post gets a slug from its title +[0-9,]+ fuel`).MatchString(stdout) {
			t.Fatal(stdout + stderr)
		}
	})
	t.Run("a policy that was changed fails its cases, by line, expected and got", func(t *testing.T) {
		replaceIn(t, filepath.Join(dir, "main.go"), "maxPrice = 100", "maxPrice = 1000")
		stdout, _ := test(t, 1)
		for _, want := range []string{"FAIL  a price above 100 is refused", table + ":25: verdict", "- deny", "+ allow", "5 passed, 2 failed"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("does not say %q:\n%s", want, stdout)
			}
		}
	})
	t.Run("one case can be run alone, and told to a program", func(t *testing.T) {
		stdout, _ := test(t, 1, "--run", "above 100 is refused", "--json")
		var report struct {
			Passed, Failed, Skipped int
			Files                   []struct {
				Cases []struct {
					Name     string
					Line     int
					OK       bool
					Fuel     uint64
					Problems []struct {
						Path, Want, Got string
						Line            int
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Failed != 1 || report.Skipped != 6 {
			t.Fatalf("%v: %s", err, stdout)
		}
		c := report.Files[0].Cases[0]
		if c.OK || c.Line != 20 || c.Fuel == 0 || len(c.Problems) != 3 || c.Problems[0].Path != "verdict" || c.Problems[0].Line != 25 || c.Problems[0].Want != "deny" || c.Problems[0].Got != "allow" {
			t.Fatalf("%+v", c)
		}
	})
	t.Run("an update rewrites what was expected, and only that", func(t *testing.T) {
		if stdout, _ := test(t, 0, "--update"); !strings.Contains(stdout, "2 rewritten") {
			t.Fatal(stdout)
		}
		test(t, 0)
		raw, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(string(original), `      verdict: deny
      code: policy.posts.price_too_high
      message: Set a price of 100 or less.
`, `      verdict: allow
      document: {title: Gold plated, price: 500, userId: $ada, slug: gold-plated}
`, 1)
		want = strings.Replace(want, `      verdict: deny
      code: policy.posts.price_too_high
`, `      verdict: allow
      document: {title: Open, slug: open, price: 101, userId: $ada}
`, 1)
		if string(raw) != want {
			t.Fatalf("%s", raw)
		}
	})
	t.Run("the data can be kept", func(t *testing.T) {
		stdout, _ := test(t, 0, "--keep", "--run", "slug")
		data := regexp.MustCompile(`data: (\S+)`).FindStringSubmatch(stdout)
		if data == nil {
			t.Fatal(stdout)
		}
		defer func() { _ = os.RemoveAll(filepath.Dir(data[1])) }()
		if out, stderr, code := sluice(t, "check", "--dir", data[1]); code != 0 {
			t.Fatalf("exit %d: %s%s", code, out, stderr)
		}
	})
	t.Run("what cannot be run is told apart from what does not hold", func(t *testing.T) {
		for _, c := range []struct {
			name, file, old, new string
			args                 []string
			says                 string
		}{
			{"no case of that name", "", "", "", []string{"--run", "nothing like it"}, "no case has a name"},
			{"a bad expression", "", "", "", []string{"--run", "("}, "--run"},
			{"a mistake in the table", "sluice.test.yaml", "verdict: allow", "verdict: perhaps", nil, table + ":17: verdict is allow, deny or error"},
			{"a document that does not fit", "sluice.test.yaml", "{title: Open, slug: open,", "{slug: open,", nil, table + ":9: open does not fit the collection posts"},
			{"a mistake in the project", "sluice.yaml", "mode: public-read", "mode: open", nil, "sluice.yaml:18"},
			{"a mistake in the source", "main.go", "func policy(", "func policy(x int, ", nil, "main.go"},
			{"a module that is no module", "sluice.hooks.yaml", "posts.wasm", "sluice.yaml", []string{"--no-build"}, "not a WebAssembly module"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if c.file != "" {
					file := filepath.Join(dir, c.file)
					raw, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					defer func() {
						if err := os.WriteFile(file, raw, 0o600); err != nil {
							t.Fatal(err)
						}
					}()
					replaceIn(t, file, c.old, c.new)
				}
				if stdout, stderr := test(t, 2, c.args...); !strings.Contains(stderr, c.says) {
					t.Errorf("does not say %q:\n%s%s", c.says, stdout, stderr)
				}
			})
		}
	})
	t.Run("a bundle without cases says where they go", func(t *testing.T) {
		if err := os.Remove(table); err != nil {
			t.Fatal(err)
		}
		if _, stderr := test(t, 2); !strings.Contains(stderr, "sluice.test.yaml") {
			t.Fatal(stderr)
		}
	})
}
