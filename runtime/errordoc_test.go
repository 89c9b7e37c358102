package runtime

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the documents that tests keep equal to the code")

// docs/errors.md lists every reason a client can meet; a program that matches on one must find it there.
func TestErrorsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Errors\n\n" +
		"Every answer with a status of 400 or more has this body, on every route:\n\n" +
		"```json\n" + `{"success":false,"error":"Document not found.","message":"Document not found.","code":404,"reason":"document.not_found"}` + "\n```\n\n" +
		"`error` and `message` are the same text, for people. `reason` is for programs: it is stable, and this page lists them all.\n" +
		"A request with `Accept: application/problem+json` gets the same as RFC 9457 problem details; the admin API always\n" +
		"answers in that form. `x-request-id` names the request in the server's log, which holds the cause where there is one.\n" +
		"A guest's own code follows its room: a policy that denies with `posts.price_too_high` is answered with the reason\n" +
		"`policy.posts.price_too_high`, a hook's with `hook.…`; text and status (4xx) are the guest's too.\n\n" +
		"This page is made from the table in `runtime/error.go` by `go test ./runtime -run ErrorsDocument -update`.\n\n" +
		"| Reason | Status | Text |\n| --- | --- | --- |\n")
	seen := map[string]bool{}
	for _, e := range errorTable {
		if seen[e.Reason] {
			t.Errorf("the reason %s stands in the table twice", e.Reason)
		}
		seen[e.Reason] = true
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", e.Reason, e.Status, strings.ReplaceAll(e.Message, "|", `\|`))
	}
	path := filepath.Join("..", "docs", "errors.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := os.ReadFile(path); err != nil || string(page) != b.String() {
		t.Errorf("docs/errors.md differs from the code (%v); run: go test ./runtime -run ErrorsDocument -update", err)
	}
}
