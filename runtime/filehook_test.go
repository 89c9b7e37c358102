package runtime_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// uploadHook takes small pictures of members, and text from nobody in particular.
const uploadHook = `import { allow, deny, find } from "sluice";
export function beforeUpload({ caller, after }) {
  if (after.name === "loop.txt") for (;;);
  if (after.contentType === "text/plain" && after.visibility === "public") return allow();
  if (!after.contentType.startsWith("image/")) return deny("no_picture", "Upload a picture, " + after.name + " is none.");
  if (after.size > 500) return deny("too_large", "Make the picture smaller.", { status: 413 });
  return find("members", { where: { userId: caller.userId ?? "" } }).length > 0;
}
`

// TestUploadHook: with upload: hook a project's own code says who may store what, before a byte comes, for every key and in
// every way of uploading; without that code nobody but a secret key may.
func TestUploadHook(t *testing.T) {
	n := start(t, `
name: club
auth: {enabled: true}
files: {upload: hook, maxBytes: 1000}
collections:
  - {name: users, fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]}
  - {name: members, fields: [{key: userId, type: String}]}
`)
	secret, nobody := n.as(n.sk, ""), n.as(n.pk, "")
	ask := func(headers []string, name, kind string, size int) *answer {
		return n.send("POST", "/api/storage/upload-request", fmt.Sprintf(`{"filename":%q,"contentType":%q,"size":%d}`, name, kind, size), headers...)
	}
	if a := ask(nobody, "a.txt", "text/plain", 1).want(t, 403); a.field("reason") != "upload.no_hook" {
		t.Errorf("%s", a.body)
	}
	ask(secret, "a.txt", "text/plain", 1).want(t, 200)

	p := n.server.Registry().List()[0]
	manifest := hooks.Manifest{
		Modules:  []hooks.Module{{Name: "uploads", File: "uploads.js"}},
		Bindings: []hooks.Binding{{Module: "uploads", Event: hooks.EventBeforeUpload}},
		Grants:   hooks.Grants{Read: []string{"members"}},
	}
	if _, err := n.server.Registry().Deploy(t.Context(), p, manifest, map[string][]byte{"uploads.js": []byte(uploadHook)}); err != nil {
		t.Fatal(err)
	}
	ada, id := n.user("ada@example.com")
	member := n.as(n.pk, ada)
	ask(member, "a.png", "image/png", 100).want(t, 422) // not one yet
	n.send("POST", "/api/data/members", fmt.Sprintf(`{"userId":%q}`, id), secret...).want(t, 201)
	for _, c := range []struct {
		name    string
		headers []string
		file    string
		kind    string
		size    int
		status  int
		reason  string
	}{
		{"a member's picture", member, "a.png", "image/png", 100, 200, ""},
		{"a member's large picture", member, "a.png", "image/png", 501, 413, "upload.too_large"},
		{"a member's program", member, "a.exe", "application/x-msdownload", 1, 422, "upload.no_picture"},
		{"a stranger's picture", nobody, "a.png", "image/png", 100, 422, "upload.rejected"},
		{"a stranger's text", nobody, "a.txt", "text/plain", 100, 200, ""},
		{"a secret key is asked too", secret, "a.exe", "application/x-msdownload", 1, 422, "upload.no_picture"},
		{"a guest that breaks is a no", secret, "loop.txt", "text/plain", 1, 422, "upload.error"},
	} {
		if a := ask(c.headers, c.file, c.kind, c.size); a.status != c.status || c.reason != "" && a.field("reason") != c.reason {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	if a := ask(member, "a.exe", "application/x-msdownload", 1); a.field("message") != "Upload a picture, a.exe is none." {
		t.Errorf("not the guest's words: %s", a.body)
	}

	// By a form, where the form says what the request said above, and in steps, to the end.
	text := n.upload(nobody, "file:note.txt", "hello").want(t, 201)
	n.send("GET", n.at(t, text.field("url")), "").want(t, 200)
	n.upload(nobody, "visibility", "private", "file:note.txt", "hello").want(t, 422)
	n.upload(nobody, "file:note.txt", "hello", "visibility", "private").want(t, 400)
	steps := ask(nobody, "b.txt", "text/plain", 5)
	n.send("PUT", n.at(t, steps.field("signedUrl")), "hello").want(t, 200)
	confirm := fmt.Sprintf(`{"filePath":%q,"size":5}`, steps.field("filePath"))
	n.send("POST", "/api/storage/upload-confirm", confirm, member...).want(t, 403) // it is not the member's
	n.send("POST", "/api/storage/upload-confirm", confirm, nobody...).want(t, 200)
	n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, steps.field("filePath")), nobody...).want(t, 401)
	n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, steps.field("filePath")), member...).want(t, 403)

	// Without a quota nothing is reserved for ever: what was refused has left nothing.
	totals, err := p.FileTotals()
	if err != nil || totals.Files != 2 {
		t.Errorf("%+v, %v", totals, err)
	}
	last := n.operator("GET", "/admin/v1/projects/club/decisions?limit=1000", "").want(t, 200)
	if !strings.Contains(last.body, `"upload.no_picture"`) || !strings.Contains(last.body, `"uploads"`) {
		t.Errorf("the developer is not told: %s", last.body)
	}
}
