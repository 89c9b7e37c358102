package runtime_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestConditionalFetch: who has the file already is not sent it again.
func TestConditionalFetch(t *testing.T) {
	n := start(t, blog)
	a := n.upload(n.as(n.sk, ""), "file:a.txt", "hello").want(t, 201)
	address := n.at(t, a.field("url"))
	first := n.send("GET", address, "").want(t, 200)
	etag, modified := first.header.Get("ETag"), first.header.Get("Last-Modified")
	if len(etag) != 66 || strings.HasPrefix(etag, "W/") {
		t.Fatalf("the entity tag %s is not a strong one of the whole hash", etag)
	}
	if c := first.header.Get("Cache-Control"); c != "public, max-age=3600" {
		t.Errorf("Cache-Control: %s", c)
	}
	at, err := http.ParseTime(modified)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		status  int
		headers []string
	}{
		{"its tag", 304, []string{"If-None-Match", etag}},
		{"its tag among others", 304, []string{"If-None-Match", `"x", W/` + etag}},
		{"any tag", 304, []string{"If-None-Match", "*"}},
		{"another tag", 200, []string{"If-None-Match", `"x"`}},
		{"its date", 304, []string{"If-Modified-Since", modified}},
		{"a later date", 304, []string{"If-Modified-Since", at.Add(time.Hour).Format(http.TimeFormat)}},
		{"an earlier date", 200, []string{"If-Modified-Since", at.Add(-time.Hour).Format(http.TimeFormat)}},
		{"no date", 200, []string{"If-Modified-Since", "yesterday"}},
		{"another tag, and its date, which then does not count", 200, []string{"If-None-Match", `"x"`, "If-Modified-Since", modified}},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			got := n.send(method, address, "", c.headers...)
			if got.status != c.status || got.status == 304 && got.body != "" || got.header.Get("ETag") != etag {
				t.Errorf("%s, %s: %d %q %v", method, c.name, got.status, got.body, got.header)
			}
		}
	}
}

// TestRanges: a part that was asked for is what comes, and nonsense gets the whole file.
func TestRanges(t *testing.T) {
	n := start(t, blog)
	for _, size := range []int{1000, 200_000} { // kept in memory, and not
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, "%d ", i)
		}
		whole := b.String()[:size]
		a := n.upload(n.as(n.sk, ""), "file:a.txt", whole).want(t, 201)
		address := n.at(t, a.field("url"))
		first := n.send("GET", address, "").want(t, 200)
		etag := first.header.Get("ETag")
		for _, c := range []struct {
			asked, condition string
			status           int
			from, to         int // of the body, exclusive
		}{
			{"bytes=0-0", "", 206, 0, 1},
			{"bytes=0-99", "", 206, 0, 100},
			{"bytes=100-199", etag, 206, 100, 200},
			{"bytes=990-", "", 206, 990, size},
			{"bytes=-5", "", 206, size - 5, size},
			{"bytes=-99999999", "", 206, 0, size},
			{"bytes=5-99999999", "", 206, 5, size},
			{"bytes=5-99999999999999999999", "", 206, 5, size},
			{"Bytes= 1-2", first.header.Get("Last-Modified"), 206, 1, 3},
			{"bytes=0-99", `"other"`, 200, 0, size},
			{"bytes=0-99", "W/" + etag, 200, 0, size},
			{"bytes=0-99", "Mon, 02 Jan 2006 15:04:05 GMT", 200, 0, size},
			{"bytes=0-1,5-6", "", 200, 0, size},
			{"bytes=9-5", "", 200, 0, size},
			{"bytes=a-b", "", 200, 0, size},
			{"bytes=-", "", 200, 0, size},
			{"bytes=+1-2", "", 200, 0, size},
			{"lines=0-1", "", 200, 0, size},
			{fmt.Sprintf("bytes=%d-", size), "", 416, 0, 0},
			{"bytes=-0", "", 416, 0, 0},
			{"bytes=99999999999999999999-", "", 416, 0, 0},
		} {
			headers := []string{"Range", c.asked}
			if c.condition != "" {
				headers = append(headers, "If-Range", c.condition)
			}
			got := n.send("GET", address, "", headers...)
			switch {
			case got.status != c.status:
				t.Errorf("%v: %d", headers, got.status)
			case c.status == 416:
				if cr := got.header.Get("Content-Range"); cr != fmt.Sprintf("bytes */%d", size) {
					t.Errorf("%v: Content-Range %q", headers, cr)
				}
			case got.body != whole[c.from:c.to]:
				t.Errorf("%v: %d bytes that are not those", headers, len(got.body))
			case c.status == 206 && got.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size):
				t.Errorf("%v: Content-Range %q", headers, got.header.Get("Content-Range"))
			}
			head := n.send("HEAD", address, "", headers...)
			if head.status != got.status || c.status != 416 && head.header.Get("Content-Length") != fmt.Sprint(c.to-c.from) {
				t.Errorf("HEAD %v: %d %v", headers, head.status, head.header)
			}
		}
	}
}

// TestFilesDoNotRun holds to SEC-84, as far as headers can: whatever could be a page or a script of this node's is served as
// bytes to be saved, in a sandbox. The e2e test shows it to a browser.
func TestFilesDoNotRun(t *testing.T) {
	n := start(t, blog)
	const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	for _, c := range []struct{ name, declared, contents, kind, shown string }{
		{"page.html", "text/html", "<script>alert(1)</script>", "application/octet-stream", "attachment"},
		{"page.html", "text/plain", "<html><script>alert(1)</script>", "application/octet-stream", "attachment"},
		{"late.txt", "text/plain", strings.Repeat("a ", 100) + "<script>alert(1)</script>", "application/octet-stream", "attachment"},
		{"logo.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, "application/octet-stream", "attachment"},
		{"logo.png", "image/png", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, "application/octet-stream", "attachment"},
		{"a.xml", "application/xml", "<?xml version='1.0'?><a/>", "application/octet-stream", "attachment"},
		{"a.js", "text/javascript", "alert(1)", "application/octet-stream", "attachment"},
		{"a.pdf", "application/pdf", "%PDF-1.7 /JavaScript", "application/pdf", "attachment"},
		{"a.gif", "image/gif", "GIF89a/*<script>*/=1;alert(1)", "image/gif", "inline"},
		{"a.png", "image/png", png, "image/png", "inline"},
		{"a.png", "", png, "image/png", "inline"},
		{"a.png", "text/html", png, "application/octet-stream", "attachment"},
		{"a.jpg", "image/jpg", "\xff\xd8\xff\xe0", "image/jpeg", "inline"},
		{"a.txt", "text/plain; charset=utf-7", "+ADw-script+AD4-", "text/plain; charset=utf-8", "inline"},
		{"a.json", "application/json", `{"a":1}`, "text/plain; charset=utf-8", "inline"},
		{"a.txt", "text/plain", "\xff\xfe<\x00s\x00", "application/octet-stream", "attachment"},
		{"a.wasm", "application/wasm", "\x00asm", "application/octet-stream", "attachment"},
		{"a.mp4", "multipart/related", "MIME-Version: 1.0", "application/octet-stream", "attachment"},
	} {
		ask := n.send("POST", "/api/storage/upload-request", fmt.Sprintf(`{"filename":%q,"contentType":%q,"size":%d}`, c.name, c.declared+" ", len(c.contents)), n.as(n.sk, "")...).want(t, 200)
		n.send("PUT", n.at(t, ask.field("signedUrl")), c.contents).want(t, 200)
		a := n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":%d}`, ask.field("filePath"), len(c.contents)), n.as(n.sk, "")...).want(t, 200)
		got := n.send("GET", n.at(t, a.field("url")), "").want(t, 200)
		h := got.header
		if h.Get("Content-Type") != c.kind || !strings.HasPrefix(h.Get("Content-Disposition"), c.shown+"; ") {
			t.Errorf("%s as %q: %q, %q", c.name, c.declared, h.Get("Content-Type"), h.Get("Content-Disposition"))
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
			t.Errorf("%s: %v", c.name, h)
		}
		if got.body != c.contents {
			t.Errorf("%s: other bytes", c.name)
		}
	}
}

// TestFileNames holds to SEC-85 for the names of uploads: they are for people. 0 of them reach the disk, split a header or
// leave their project's path.
func TestFileNames(t *testing.T) {
	n := start(t, blog)
	long := strings.Repeat("ä", 100)           // 200 bytes
	for name, want := range map[string]string{ // "": refused
		"a.txt": "a.txt", "A b  c.txt": "A_b__c.txt", "tab\there": "tab_here", "\u00a0nbsp": "_nbsp", "\u2028line": "_line",
		"../../etc/passwd": "passwd", "/etc/passwd": "passwd", `..\..\windows\system.ini`: "system.ini", `C:\fakepath\me.png`: "me.png",
		"a/b\\c/d.txt": "d.txt", "..": "file", ".": "file", "/": "file", "dir/": "file", "./": "file", "../": "file", `..\`: "file",
		".htaccess": ".htaccess", "...": "...", "a..b": "a..b", "-rf": "-rf", "~": "~", "$HOME": "$HOME", "`id`": "`id`", "|cat": "|cat", "a;b&c": "a;b&c",
		"CON": "CON", "NUL.txt": "NUL.txt", "a:b": "a:b", "a*?<>": "a*?<>", "a'b": "a'b", "{}": "{}", "#frag": "#frag", "q?x=1": "q?x=1", "a+b": "a+b", "a=b": "a=b",
		"%2e%2e%2fetc": "_2e_2e_2fetc", "%00.png": "_00.png", "%252e": "_252e", "100%": "100_",
		"grüße.txt": "grüße.txt", "e\u0301.txt": "e\u0301.txt", "文件.txt": "文件.txt", "😀.png": "😀.png", "\u202egnp.exe": "_gnp.exe", "\u2066x": "_x", "\ufeffbom": "_bom", "a\u0085b": "a_b",
		"a\x00.txt": "", "a\r\nSet-Cookie: x": "", "a\nb": "", "\x1b[31m": "", "\x7f": "", "\xff\xfe": "", "a\xc0\xafb": "", "\xed\xa0\x80": "", "a\xe2\x82": "",
		long: long, long + "a": "", strings.Repeat("a", 255): "", strings.Repeat("../", 100) + "x": "x", "a\u0000": "",
		"COM1/../x": "x", "//host/share": "share", "file:///etc/passwd": "passwd",
	} {
		body := fmt.Sprintf(`{"filename":%s,"contentType":"text/plain","size":1}`, jsonText(name))
		a := n.send("POST", "/api/storage/upload-request", body, n.as(n.sk, "")...)
		if want == "" {
			if a.status != 400 {
				t.Errorf("%q: %d %s", name, a.status, a.body)
			}
			continue
		}
		if a.status != 200 {
			t.Errorf("%q: %d %s", name, a.status, a.body)
			continue
		}
		project, key, _ := strings.Cut(a.field("filePath"), "/")
		if len(project) != 24 || len(key) < 38 || key[37:] != want {
			t.Errorf("%q became %q, want %q", name, key, want)
			continue
		}
		n.send("PUT", n.at(t, a.field("signedUrl")), "x").want(t, 200)
		done := n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%s,"size":1}`, jsonText(a.field("filePath"))), n.as(n.sk, "")...)
		if done.status != 200 {
			t.Errorf("%q cannot be confirmed: %d %s", name, done.status, done.body)
			continue
		}
		got := n.send("GET", n.at(t, done.field("url")), "")
		if got.status != 200 || len(got.header.Values("Set-Cookie")) != 0 || len(got.header.Values("Content-Disposition")) != 1 {
			t.Errorf("%q cannot be fetched from %s: %d %v", name, done.field("url"), got.status, got.header)
		}
	}
}

// jsonText writes a JSON string byte for byte, also what is no UTF-8.
func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// TestFilePaths holds to SEC-85 for what names a stored file: one spelling reaches it, whatever else is denied.
func TestFilePaths(t *testing.T) {
	n := start(t, blog)
	other := n.apply("name: other\n")
	secret := n.as(n.sk, "")
	a := n.upload(secret, "file:grüße.txt", "x").want(t, 201)
	path := a.field("path")
	id, key, _ := strings.Cut(path, "/")
	for spelled, status := range map[string]int{
		"": 400, "/": 403, "//": 403, id: 403, id + "/": 403, "/" + id + "/": 403, key: 403, "/" + key: 403,
		other.ID + "/" + key: 403, id + "/../" + other.ID + "/" + key: 403, id + "/./" + key: 403, id + "//" + key: 403, "//" + path: 403, "./" + path: 403, "../" + path: 403,
		id + "/..": 403, id + "/.": 403, id + `\` + key: 403, id + "%2f" + key: 409, id + "%5c" + key: 403, id + "/%2e%2e/" + key: 403, id + "/%252e%252e%252f" + key: 403,
		path + "%00": 403, path + "\x00": 403, path + "/": 403, path + "/x": 403, path + "%": 403, path + "%zz": 403, path + "%ff": 403, path + "\r\n": 403,
		strings.ToUpper(id) + "/" + key: 403, id + "/" + strings.Repeat("a", 300): 403, id + "/x_" + key: 403, "blog/" + key: 403, "_control/" + key: 403,
		"file:///" + path: 403, n.url + "/files/" + path: 403, "\ufeff" + path: 403, " " + path: 403,
	} {
		if status == 409 { // an escaped slash is a slash: it is the same path, and that is a file
			status = 200
		}
		c := n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%s,"size":1}`, jsonText(spelled)), secret...)
		if c.status != status && !(c.status == 400 && strings.ContainsAny(spelled, "\x00")) {
			t.Errorf("confirm %q: %d %s, want %d", spelled, c.status, c.body, status)
		}
		if status == 200 {
			continue
		}
		d := n.send("DELETE", "/api/storage/file", `{"path":`+jsonText(spelled)+`}`, secret...)
		if d.status != status && !(d.status == 400 && strings.ContainsAny(spelled, "\x00")) {
			t.Errorf("delete %q: %d %s, want %d", spelled, d.status, d.body, status)
		}
	}
	address := n.at(t, a.field("url"))
	n.send("GET", address, "").want(t, 200) // nothing of the above has touched it
	for spelled, status := range map[string]int{
		"/files/" + id + "/" + strings.ReplaceAll(key, "ü", "%c3%bc"): 200,
		"/FILES" + address[len("/files"):]:                            200,
		"/files/blog/" + key:                                          404,
		"/files/" + other.ID + "/" + key:                              404,
		"/files/_control/" + key:                                      404,
		"/files/" + id + "/../" + id + "/" + key:                      400,
		"/files/" + id + "/%2e%2e/data.db":                            400,
		"/files/" + id + "/..%2fdata.db":                              400,
		"/files/" + id + "/%5c..":                                     400,
		"/files/" + id + "/" + key + "%00":                            400,
		"/files/" + id + "//" + key:                                   400,
		"/files/" + id + "/" + key + "/x":                             404,
		"/files/" + id:                                                404,
		"/files/" + id + "/" + strings.Repeat("a", 300):               400,
		"/files/" + id + "/%ff" + key:                                 400,
		"/files/" + id + "/data.db":                                   404,
	} {
		if got := n.send("GET", spelled, ""); got.status != status {
			t.Errorf("%s: %d %s, want %d", spelled, got.status, got.body, status)
		}
	}
	n.send("POST", "/files/"+path, "x").want(t, 405)
}

// TestUploadBodies: forms that are damaged, or made to be expensive, end in one answer, and the connection in order.
func TestUploadBodies(t *testing.T) {
	n := start(t, drive)
	const head = "POST /api/storage/upload HTTP/1.1\r\nHost: node\r\nContent-Type: multipart/form-data; boundary=b\r\n"
	key := "x-api-key: " + n.sk + "\r\n"
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
	chunked := func(body string) string {
		return "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"in chunks":                   {head + key + chunked(part+"hello\r\n--b--\r\n"), 201},
		"sized":                       {head + key + sized(part+"hello\r\n--b--\r\n"), 201},
		"too much, in chunks":         {head + key + chunked(part+strings.Repeat("x", 1001)+"\r\n--b--\r\n"), 413},
		"far too much, in chunks":     {head + key + chunked(part+strings.Repeat("x", 1<<20)), 413},
		"far too much, announced":     {head + key + sized(part+strings.Repeat("x", 1<<20)), 413},
		"only announced":              {head + key + "Content-Length: 99999999999\r\n\r\n" + part, 413},
		"no end":                      {head + key + sized(part+"hello"), 400},
		"no boundary in it":           {head + key + sized(strings.Repeat("x", 500)), 400},
		"a preamble without an end":   {head + key + sized(strings.Repeat("x", 17<<10)), 413},
		"a preamble, in chunks":       {head + key + chunked(strings.Repeat("x", 17<<10)), 400},
		"headers without an end":      {head + key + chunked("--b\r\nX: "+strings.Repeat("x", 17<<10)), 400},
		"many headers":                {head + key + chunked("--b\r\n"+strings.Repeat("X: y\r\n", 5000)+"\r\n"), 400},
		"many parts":                  {head + key + chunked(strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n", 1000)+"--b--"), 400},
		"a bad chunk":                 {head + key + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"a bad chunk behind the part": {head + key + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\nzz\r\n", len(part), part), 400},
		"no key":                      {head + sized(part+strings.Repeat("x", 500<<10)+"\r\n--b--\r\n"), 401},
		"length and chunks":           {head + key + "Content-Length: 5\r\n" + chunked(part), 400},
	} {
		t.Run(name, func(t *testing.T) {
			n := *n
			n.t = t
			answers, _ := n.raw(strings.Replace(c.request, "Host: node\r\n", "Host: node\r\nConnection: close\r\n", 1))
			if len(answers) != 1 || answers[0].StatusCode != c.status {
				for _, a := range answers {
					body, _ := io.ReadAll(a.Body)
					t.Errorf("%d %s", a.StatusCode, body)
				}
				t.Fatalf("%d answers, want one of %d", len(answers), c.status)
			}
		})
	}
	if a := n.send("GET", "/api/storage/files", "", n.as(n.sk, "")...).want(t, 200); a.field("data.items.1.size") != "5" || a.field("data.items.2") != "" {
		t.Errorf("what failed has left something: %s", a.body)
	}
	// Room is given back by whatever fails: 2 files of 5 bytes leave 2,990.
	for range 2 {
		n.upload(n.as(n.sk, ""), "file:a", strings.Repeat("x", 1000)).want(t, 201)
	}
	n.upload(n.as(n.sk, ""), "file:a", strings.Repeat("x", 990)).want(t, 201)
	n.upload(n.as(n.sk, ""), "file:a", "x").want(t, 403)
}
