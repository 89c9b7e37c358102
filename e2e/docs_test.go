package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link       = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	fence      = regexp.MustCompile("(?s)```[a-z]*\n.*?```")
	routeRow   = regexp.MustCompile(`(?m)^\s*\{"([A-Z]+)", "([^"]+)", `)
	yamlSample = regexp.MustCompile("(?s)```yaml\n(name: .*?)```")
)

// documents returns every page that is ours to keep right.
func documents(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../docs/decisions/*.md", "../sdk/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("only %d documents", len(pages))
	}
	return pages
}

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	for _, page := range documents(t) {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(raw), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// TestAPIDocumentNamesEveryRoute keeps docs/api.md complete: each row of the table of routes is in it.
func TestAPIDocumentNamesEveryRoute(t *testing.T) {
	source, err := os.ReadFile("../runtime/routes.go")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ToLower(string(raw))
	rows := routeRow.FindAllStringSubmatch(string(source), -1)
	if len(rows) < 20 {
		t.Fatalf("only %d routes were found: has the table moved?", len(rows))
	}
	names := regexp.MustCompile(`\{[^}]*\}`)
	page = names.ReplaceAllString(page, "{}")
	for _, row := range rows {
		method, path := strings.ToLower(row[1]), names.ReplaceAllString(strings.ToLower(row[2]), "{}")
		if path == "/" {
			continue
		}
		i := strings.Index(page, path)
		if i < 0 || !regexp.MustCompile("`[^`\n]*"+method+"`?[^\n]*"+regexp.QuoteMeta(path)).MatchString(page) {
			t.Errorf("docs/api.md does not have %s %s", row[1], row[2])
		}
	}
}

// TestReadmeProjectCanBeApplied takes the project file from the README as a newcomer does.
func TestReadmeProjectCanBeApplied(t *testing.T) {
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	sample := yamlSample.FindStringSubmatch(string(raw))
	if sample == nil {
		t.Fatal("the README shows no project")
	}
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(sample[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, file)
	token, _ := signUp(t, n.URL, k.PublishableKey, "ada@example.com")
	if a := send(t, "POST", n.URL+"/api/data/posts", []byte(`{"title":"Hello","tags":["first"]}`), "x-api-key", k.PublishableKey, "Authorization", "Bearer "+token); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// TestAdviceIsAboutErrorsThatExist keeps docs/troubleshooting.md from speaking of reasons that are gone.
func TestAdviceIsAboutErrorsThatExist(t *testing.T) {
	all, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_]+\\.[a-z0-9_.]+)`").FindAllStringSubmatch(cells[1], -1) {
			reasons++
			if !strings.Contains(string(all), "| `"+m[1]+"` |") {
				t.Errorf("docs/troubleshooting.md gives advice about %s, which docs/errors.md does not have", m[1])
			}
		}
	}
	if reasons < 20 {
		t.Fatalf("only %d reasons were found", reasons)
	}
}
