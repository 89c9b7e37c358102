package runtime_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// drive is a project whose users may have files.
const drive = blog + `
files: {upload: users, maxBytes: 1000, totalBytes: 3000}
`

// form is a multipart body with one part a pair of name and contents; a name with a colon is a field and a file's name.
func form(parts ...string) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(parts); i += 2 {
		field, file, isFile := strings.Cut(parts[i], ":")
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"`, field)}}
		if isFile {
			h = textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"; filename="%s"`, field, file)}, "Content-Type": {"text/plain"}}
		}
		p, _ := w.CreatePart(h)
		_, _ = p.Write([]byte(parts[i+1]))
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// upload stores a file and returns the answer.
func (n *node) upload(headers []string, parts ...string) *answer {
	n.t.Helper()
	body, kind := form(parts...)
	return n.send("POST", "/api/storage/upload", body, append([]string{"Content-Type", kind}, headers...)...)
}

// at returns the path of a URL of this node's.
func (n *node) at(t testing.TB, url string) string {
	t.Helper()
	path, ok := strings.CutPrefix(url, n.url)
	if !ok {
		t.Fatalf("%q is no address of the node %s", url, n.url)
	}
	return path
}

// TestUploadAndFetch: what was uploaded comes back byte for byte, under the address that the upload answered, until it is
// deleted.
func TestUploadAndFetch(t *testing.T) {
	n := start(t, blog)
	secret := n.as(n.sk, "")
	for name, contents := range map[string]string{
		"a text":     "hello",
		"nothing":    "",
		"10 KB":      strings.Repeat("0123456789", 1000),
		"a megabyte": strings.Repeat("0123456789abcdef", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			a := n.upload(secret, "file:my file.txt", contents).want(t, 201)
			if a.field("message") != "File uploaded successfully" || a.field("provider") != "internal" {
				t.Errorf("not the contract's answer: %s", a.body)
			}
			path := a.field("path")
			if !strings.HasSuffix(path, "_my_file.txt") || len(path) != 24+1+36+len("_my_file.txt") {
				t.Errorf("path %q", path)
			}
			got := n.send("GET", n.at(t, a.field("url")), "").want(t, 200)
			if got.body != contents {
				t.Errorf("%d bytes came back instead of %d", len(got.body), len(contents))
			}
			head := n.send("HEAD", n.at(t, a.field("url")), "").want(t, 200)
			if head.header.Get("Content-Length") != fmt.Sprint(len(contents)) || head.header.Get("ETag") != got.header.Get("ETag") {
				t.Errorf("HEAD: %v", head.header)
			}
			for range 2 {
				d := n.send("DELETE", "/api/storage/file", `{"path":"/`+path+`"}`, secret...).want(t, 200)
				if d.field("message") != "File deleted successfully" {
					t.Errorf("delete: %s", d.body)
				}
			}
			n.send("GET", n.at(t, a.field("url")), "").want(t, 404)
		})
	}
}

// TestUploadTexts: what the contract says of each mistake, with the statuses that it intended.
func TestUploadTexts(t *testing.T) {
	n := start(t, drive)
	secret := n.as(n.sk, "")
	big := strings.Repeat("x", 1001)
	for _, c := range []struct {
		name   string
		answer *answer
		status int
		text   string
	}{
		{"no file", n.upload(secret), 400, "No file uploaded."},
		{"a JSON body", n.send("POST", "/api/storage/upload", `{}`, secret...), 400, "No file uploaded."},
		{"a field that is no file", n.upload(secret, "file", "text"), 400, "No file uploaded."},
		{"another name", n.upload(secret, "photo:a.txt", "x"), 400, "Unexpected field"},
		{"two files", n.upload(secret, "file:a.txt", "x", "file:b.txt", "x"), 400, "Unexpected field"},
		{"exactly the limit", n.upload(secret, "file:a.txt", big[1:]), 201, ""},
		{"one byte more", n.upload(secret, "file:a.txt", big), 413, "File too large"},
		{"a publishable key without a user", n.upload(n.as(n.pk, ""), "file:a.txt", "x"), 401, "Provide a valid user Bearer token for write operations."},
		{"no key", n.upload(nil, "file:a.txt", "x"), 401, "API key not found"},
		{"request without a size", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain"}`, secret...), 400, "filename, contentType, and size are required."},
		{"request of nothing", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":0}`, secret...), 400, "filename, contentType, and size are required."},
		{"request without a body", n.send("POST", "/api/storage/upload-request", ``, secret...), 400, "filename, contentType, and size are required."},
		{"request of a numeric text", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":"10"}`, secret...), 200, ""},
		{"request of too much", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":1001}`, secret...), 413, "File size exceeds limit."},
		{"request of a visibility that there is none of", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":1,"visibility":"secret"}`, secret...), 400, "visibility must be public or private."},
		{"request of a visibility that is no text", n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":1,"visibility":true}`, secret...), 400, "visibility must be public or private."},
		{"a form with a visibility that there is none of", n.upload(secret, "file:a.txt", "x", "visibility", "Private"), 400, "visibility must be public or private."},
		{"confirm nothing", n.send("POST", "/api/storage/upload-confirm", `{"size":3}`, secret...), 400, "filePath and size are required."},
		{"delete nothing", n.send("DELETE", "/api/storage/file", `{}`, secret...), 400, "File path is required."},
		{"delete without a body", n.send("DELETE", "/api/storage/file", ``, secret...), 400, "File path is required."},
		{"delete all as a user", n.send("DELETE", "/api/storage/all", ``, n.as(n.pk, "")...), 403, "Forbidden. This action requires a Secret Key (sk_live_...)."},
		{"malformed JSON before the key", n.send("DELETE", "/api/storage/file", `{`), 400, "Invalid JSON format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.answer.want(t, c.status)
			if c.text != "" && (c.answer.field("error") != c.text || c.answer.field("message") != c.text) {
				t.Errorf("%s", c.answer.body)
			}
		})
	}
	plain := start(t, blog)
	a := plain.upload(plain.as(plain.pk, ""), "file:a.txt", "x").want(t, 403)
	if a.field("error") != "Forbidden. This action requires a Secret Key (sk_live_...)." {
		t.Errorf("%s", a.body)
	}
}

// TestUploadInSteps is what the official client's storage.upload does: ask, PUT, confirm, each as often as it likes.
func TestUploadInSteps(t *testing.T) {
	n := start(t, drive)
	secret := n.as(n.sk, "")
	ask := n.send("POST", "/api/storage/upload-request", `{"filename":"report ü.txt","contentType":"text/plain","size":5}`, secret...).want(t, 200)
	path, put := ask.field("filePath"), n.at(t, ask.field("signedUrl"))
	if ask.field("token") == "" || !strings.HasSuffix(path, "_report_ü.txt") {
		t.Errorf("%s", ask.body)
	}
	confirm := fmt.Sprintf(`{"filePath":%q,"size":5}`, path)
	early := n.send("POST", "/api/storage/upload-confirm", confirm, secret...).want(t, 409)
	if early.field("error") != "Uploaded file is not visible yet. Please retry confirmation." {
		t.Errorf("%s", early.body)
	}
	n.send("PUT", put, "HELLO", "Content-Type", "text/plain").want(t, 200)
	n.send("PUT", put, "hello", "Content-Type", "text/plain").want(t, 200)
	address := strings.SplitN(put, "?", 2)[0]
	n.send("GET", address, "").want(t, 404) // not before it is confirmed
	var first string
	for range 3 {
		a := n.send("POST", "/api/storage/upload-confirm", confirm, secret...).want(t, 200)
		if first == "" {
			first = a.body
		}
		if a.body != first || a.field("message") != "Upload confirmed" || a.field("path") != path {
			t.Errorf("%s, first %s", a.body, first)
		}
		if got := n.send("GET", n.at(t, a.field("url")), "").want(t, 200); got.body != "hello" {
			t.Errorf("%q came back", got.body)
		}
	}
	n.send("PUT", put, "other").want(t, 403) // the address has done its work
	n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":500}`, path), secret...).want(t, 400)
	n.send("GET", address, "").want(t, 200) // and a wrong confirmation afterwards loses nothing

	ask = n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":500}`, secret...).want(t, 200)
	n.send("PUT", n.at(t, ask.field("signedUrl")), strings.Repeat("x", 565)).want(t, 413)
	n.send("PUT", n.at(t, ask.field("signedUrl")), "short").want(t, 200)
	wrong := n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":500}`, ask.field("filePath")), secret...).want(t, 400)
	if wrong.field("error") != "Declared file size does not match uploaded file size." {
		t.Errorf("%s", wrong.body)
	}
	n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":5}`, ask.field("filePath")), secret...).want(t, 409)
}

// TestFilesOfUsers: a user's files are the user's, and a secret key's nobody's but the project's.
func TestFilesOfUsers(t *testing.T) {
	n := start(t, drive)
	ada, _ := n.user("ada@example.com")
	bob, _ := n.user("bob@example.com")
	asAda, asBob, secret := n.as(n.pk, ada), n.as(n.pk, bob), n.as(n.sk, "")
	hers := n.upload(asAda, "file:a.txt", "hers", "visibility", "private").want(t, 201)
	theirs := n.upload(secret, "file:b.txt", "theirs").want(t, 201)
	address := n.at(t, hers.field("url"))

	n.send("GET", address, "").want(t, 403)
	n.send("GET", address, "", asBob...).want(t, 403)
	n.send("GET", address, "", n.as(n.pk, "")...).want(t, 403)
	if a := n.send("GET", address, "", asAda...).want(t, 200); a.body != "hers" || !strings.HasPrefix(a.header.Get("Cache-Control"), "private") {
		t.Errorf("%q %v", a.body, a.header)
	}
	n.send("GET", address, "", secret...).want(t, 200)
	n.send("GET", address, "", "x-api-key", n.pk, "Authorization", "Bearer nonsense").want(t, 401)

	body := fmt.Sprintf(`{"path":%q}`, hers.field("path"))
	n.send("DELETE", "/api/storage/file", body, asBob...).want(t, 403)
	n.send("POST", "/api/storage/signed-url", body, asBob...).want(t, 403)
	n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, theirs.field("path")), asAda...).want(t, 403)
	if list := n.send("GET", "/api/storage/files", "", asAda...).want(t, 200); list.field("data.items.0.path") != hers.field("path") || list.field("data.items.1.path") != "" {
		t.Errorf("%s", list.body)
	}
	n.send("DELETE", "/api/storage/file", body, asAda...).want(t, 200)
	n.send("GET", address, "", secret...).want(t, 404)
}

// TestSignedAddress holds to SEC-86: a signed address opens one file for one method until it ends, and nothing else.
func TestSignedAddress(t *testing.T) {
	clock := newClock()
	n := start(t, drive, func(o *runtime.Options) { o.Now = clock.now })
	secret := n.as(n.sk, "")
	mine := n.upload(secret, "file:a.txt", "mine", "visibility", "private").want(t, 201)
	other := n.upload(secret, "file:b.txt", "other", "visibility", "private").want(t, 201)
	n.send("GET", n.at(t, mine.field("url")), "").want(t, 403)

	body := fmt.Sprintf(`{"path":%q,"expiresIn":60}`, mine.field("path"))
	signed := n.at(t, n.send("POST", "/api/storage/signed-url", body, secret...).want(t, 200).field("signedUrl"))
	if a := n.send("GET", signed, "").want(t, 200); a.body != "mine" {
		t.Errorf("%q", a.body)
	}
	n.send("HEAD", signed, "").want(t, 200)
	_, query, _ := strings.Cut(signed, "?")
	for name, address := range map[string]string{
		"another file":      n.at(t, other.field("url")) + "?" + query,
		"a later end":       strings.Replace(signed, "expires=", "expires=9", 1),
		"no end":            strings.Replace(signed, "expires=", "x=", 1),
		"no signature":      strings.Replace(signed, "signature=", "x=", 1),
		"another signature": signed[:len(signed)-2] + "AA",
		"a signed end":      strings.Replace(signed, "expires=", "expires=%2B", 1),
	} {
		if a := n.send("GET", address, ""); a.status != 403 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	n.send("PUT", signed, "x").want(t, 403)
	clock.forward(60 * time.Second)
	n.send("GET", signed, "").want(t, 403)

	ask := n.send("POST", "/api/storage/upload-request", `{"filename":"a","contentType":"text/plain","size":5}`, secret...).want(t, 200)
	put := n.at(t, ask.field("signedUrl"))
	n.send("GET", put, "").want(t, 404)
	n.send("PUT", strings.Replace(put, "expires=", "expires=9", 1), "hello").want(t, 403)
	clock.forward(3600 * time.Second)
	n.send("PUT", put, "hello").want(t, 403)
}

// TestFileQuota: files.totalBytes bounds records and uploads on their way together, to the byte, and deleting gives back.
func TestFileQuota(t *testing.T) {
	clock := newClock()
	n := start(t, drive, func(o *runtime.Options) { o.Now = clock.now })
	secret := n.as(n.sk, "")
	thousand := strings.Repeat("x", 1000)
	a := n.upload(secret, "file:a", thousand).want(t, 201)
	n.upload(secret, "file:b", thousand).want(t, 201)
	n.send("POST", "/api/storage/upload-request", `{"filename":"c","contentType":"text/plain","size":900}`, secret...).want(t, 200)
	over := n.upload(secret, "file:d", thousand[:101]).want(t, 403)
	if over.field("error") != "Storage limit exceeded. Please upgrade your plan or delete some files." {
		t.Errorf("%s", over.body)
	}
	asked := n.send("POST", "/api/storage/upload-request", `{"filename":"d","contentType":"text/plain","size":101}`, secret...).want(t, 403)
	if asked.field("error") != "Internal storage limit exceeded." {
		t.Errorf("%s", asked.body)
	}
	n.upload(secret, "file:d", thousand[:100]).want(t, 201) // to the byte
	n.upload(secret, "file:e", "").want(t, 201)
	n.upload(secret, "file:f", "x").want(t, 403)
	n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, a.field("path")), secret...).want(t, 200)
	n.upload(secret, "file:f", thousand).want(t, 201)
	n.upload(secret, "file:g", "x").want(t, 403)

	// The upload that was asked for and never came gives its room back by itself.
	clock.forward(3601 * time.Second)
	p := n.server.Registry().List()[0]
	if _, err := n.server.Registry().Sweep(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	n.upload(secret, "file:g", thousand[:900]).want(t, 201)
	n.upload(secret, "file:h", "x").want(t, 403)
	if a := n.send("DELETE", "/api/storage/all", "", secret...).want(t, 200); a.field("deleted") != "5" || a.field("success") != "true" {
		t.Errorf("%s", a.body)
	}
	for range 3 {
		n.upload(secret, "file:i", thousand).want(t, 201)
	}
}

// TestListFiles walks the list by its cursors, all of it and by a prefix.
func TestListFiles(t *testing.T) {
	n := start(t, blog)
	secret := n.as(n.sk, "")
	for i := range 7 {
		n.upload(secret, fmt.Sprintf("file:report-%d.txt", i), "x").want(t, 201)
		n.upload(secret, fmt.Sprintf("file:other-%d.txt", i), "x").want(t, 201)
	}
	walk := func(query string) (names []string) {
		for cursor := ""; ; {
			a := n.send("GET", "/api/storage/files?limit=3"+query+cursor, "", secret...).want(t, 200)
			for i := range 3 {
				if name := a.field(fmt.Sprintf("data.items.%d.name", i)); name != "" {
					names = append(names, name)
				}
			}
			if a.field("data.nextCursor") == "null" {
				return names
			}
			cursor = "&cursor=" + a.field("data.nextCursor")
		}
	}
	if got := strings.Join(walk("&prefix=report-"), " "); got != "report-0.txt report-1.txt report-2.txt report-3.txt report-4.txt report-5.txt report-6.txt" {
		t.Errorf("%s", got)
	}
	if got := walk(""); len(got) != 14 || got[0] != "other-6.txt" || got[13] != "report-0.txt" {
		t.Errorf("%v", got)
	}
	a := n.send("GET", "/api/storage/files?limit=3&prefix=report-", "", secret...).want(t, 200)
	n.send("GET", "/api/storage/files?limit=3&prefix=other-&cursor="+a.field("data.nextCursor"), "", secret...).want(t, 400)
	n.send("GET", "/api/storage/files?cursor=AAAA", "", secret...).want(t, 400)
	n.send("GET", "/api/storage/files?limit=0", "", secret...).want(t, 400)
	n.send("GET", "/api/storage/files", "", n.as(n.pk, "")...).want(t, http.StatusForbidden)
}

// TestFilesOfTheOperator: the admin listener has the storage API of every project, with addresses of the public one, and a
// sweep that takes nothing that is referred to.
func TestFilesOfTheOperator(t *testing.T) {
	clock := newClock()
	n := start(t, drive, func(o *runtime.Options) { o.Now = clock.now; o.PublicURL = "https://files.example.com/" })
	const files = "/admin/v1/projects/blog/files"
	ask := n.operator("POST", files+"/upload-request", `{"filename":"a.txt","contentType":"text/plain","size":5}`).want(t, 200)
	signed, ok := strings.CutPrefix(ask.field("signedUrl"), "https://files.example.com/files/")
	if !ok {
		t.Fatalf("%s", ask.body)
	}
	n.send("PUT", "/files/"+signed, "hello").want(t, 200)
	a := n.operator("POST", files+"/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":5}`, ask.field("filePath"))).want(t, 200)
	if a.field("url") != "https://files.example.com/files/"+ask.field("filePath") {
		t.Errorf("%s", a.body)
	}
	n.operator("POST", files+"/signed-url", fmt.Sprintf(`{"path":%q}`, ask.field("filePath"))).want(t, 200)
	n.operator("POST", files+"/upload-request", `{"filename":"never.txt","contentType":"text/plain","size":7}`).want(t, 200)
	metrics := n.operator("GET", "/metrics", "").want(t, 200).body
	for _, line := range []string{`sluice_files{project=`, `sluice_files_bytes{project=`, `sluice_files_quota_bytes{project=`, `sluice_file_uploads{project=`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %s in the metrics", line)
		}
	}
	clock.forward(2 * 3600 * time.Second)
	swept := n.operator("POST", files+"/sweep?age=0", "").want(t, 200)
	if swept.field("reservations") != "1" || swept.field("objects") != "0" {
		t.Errorf("%s", swept.body)
	}
	if list := n.operator("GET", files+"?prefix=a", "").want(t, 200); list.field("data.items.0.path") != ask.field("filePath") {
		t.Errorf("%s", list.body)
	}
	n.send("GET", "/files/"+ask.field("filePath"), "").want(t, 200)
	n.operator("DELETE", files, fmt.Sprintf(`{"path":%q}`, ask.field("filePath"))).want(t, 200)
	n.send("GET", "/files/"+ask.field("filePath"), "").want(t, 404)
	n.operator("POST", files+"/sweep?age=soon", "").want(t, 400)
	n.operator("GET", "/admin/v1/projects/nobody/files", "").want(t, 404)
	n.sendTo(n.server.AdminURL(), "GET", files, "").want(t, 401)
}

// TestSlowUploads holds to SEC-21 for files: one that stops is cut off and leaves nothing, one that goes on may take longer
// than any other request.
func TestSlowUploads(t *testing.T) {
	const patience = 300 * time.Millisecond
	n := start(t, blog+"\nfiles: {totalBytes: 1 MiB}\n", func(o *runtime.Options) { o.Timeout = patience })
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
	first, rest := part+strings.Repeat("x", 32<<10), strings.Repeat("y", 100)+"\r\n--b--\r\n"
	head := fmt.Sprintf("POST /api/storage/upload HTTP/1.1\r\nHost: node\r\nConnection: close\r\nx-api-key: %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n", n.sk, len(first)+len(rest))
	for name, c := range map[string]struct {
		sent   string
		later  string // after more than the patience of the node
		status int
	}{
		"stops at once":               {head + part + "x", "", 408},
		"has sent enough for a while": {head + first, rest, 201},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, c.sent); err != nil {
			t.Fatal(err)
		}
		if c.later != "" {
			time.Sleep(2 * patience) // this is what is tested
			if _, err := io.WriteString(conn, c.later); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	p := n.server.Registry().List()[0]
	until(t, "nothing is reserved", func() bool {
		totals, err := p.FileTotals()
		return err == nil && totals.Uploads == 0 && totals.Files == 1 && totals.Bytes == 32<<10+100
	})
}
