package s3

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

// nodes runs the real binary with its files at a service.
type nodes struct {
	binary, dir string
	flags       []string // of the service
	env         []string

	URL string `json:"url"`
	cmd *exec.Cmd
	log bytes.Buffer
}

func build(t *testing.T, g *gateway) *nodes {
	t.Helper()
	n := &nodes{binary: filepath.Join(t.TempDir(), "sluice"), dir: filepath.Join(t.TempDir(), "data")}
	make := exec.Command("go", "build", "-o", n.binary, "./cmd/sluice")
	make.Dir = "../.."
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	n.flags = []string{"--s3-endpoint", g.endpoint(), "--s3-bucket", bucket, "--s3-region", region, "--s3-prefix", "node"}
	n.env = append(os.Environ(), "SLUICE_S3_ACCESS_KEY="+accessKey, "SLUICE_S3_SECRET_KEY="+secretKey)
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("log of the node:\n%s", &n.log)
		}
	})
	return n
}

func (n *nodes) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// serve starts the node, and returns what it says if it does not start.
func (n *nodes) serve(t *testing.T, args ...string) string {
	t.Helper()
	n.cmd = exec.Command(n.binary, append([]string{"serve", "--json", "--dir", n.dir, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--access-log", "off"}, args...)...)
	n.log.Reset()
	n.cmd.Env, n.cmd.Stderr = n.env, &n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if json.Unmarshal([]byte(line), n) == nil {
		return ""
	}
	_ = n.cmd.Wait()
	n.cmd = nil
	return n.log.String()
}

func (n *nodes) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(n.binary, append(args, "--dir", n.dir)...)
	cmd.Env = n.env
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func (n *nodes) ask(t *testing.T, method, address, key, kind string, body io.Reader) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, got
}

// stored is what the API says of a file.
type stored struct{ URL, Path, Provider, SignedURL, FilePath string }

func (n *nodes) upload(t *testing.T, key, name string, content []byte) (stored, int, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write(content)
	_ = form.Close()
	status, _, got := n.ask(t, "POST", n.URL+"/api/storage/upload", key, form.FormDataContentType(), &body)
	var s stored
	_ = json.Unmarshal(got, &s)
	return s, status, string(got)
}

// TestNode: a node whose files are at an S3 service. Files come in through the node and past it, go out whole and in
// part, stay over a restart and a kill, are checked, deleted, and moved to the disk and back.
func TestNode(t *testing.T) {
	g := newGateway(t, http.DefaultClient)
	n := build(t, g)
	at := append([]string{"--blobs", "s3"}, n.flags...)
	if said := n.serve(t, at...); said != "" {
		t.Fatal(said)
	}
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte("name: blog\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := n.run(t, "project", "apply", file, "--json")
	var keys struct{ ID, SecretKey string }
	if err := json.Unmarshal([]byte(out), &keys); code != 0 || err != nil {
		t.Fatalf("exit %d: %s", code, out)
	}
	objects := func() (n int) {
		for _, key := range g.files(t) {
			if _, err := blobs.ParseHash(filepath.Base(key)); err == nil && strings.HasPrefix(key, "node/"+keys.ID+"/blobs/") {
				n++
			} else if err != nil && !strings.HasSuffix(key, "/owner") {
				t.Errorf("at the service there is %s", key)
			}
		}
		return n
	}

	// Through the node.
	large, small := bytes.Repeat([]byte("0123456789abcdef"), 400_000), []byte("a small text")
	first, status, said := n.upload(t, keys.SecretKey, "large.bin", large)
	if status != 201 || first.Provider != "external" {
		t.Fatalf("%d %s", status, said)
	}
	second, status, said := n.upload(t, keys.SecretKey, "small.txt", small)
	if status != 201 {
		t.Fatalf("%d %s", status, said)
	}
	if _, status, said := n.upload(t, keys.SecretKey, "again.bin", large); status != 201 {
		t.Fatalf("%d %s", status, said)
	}
	if got := objects(); got != 2 {
		t.Errorf("two contents are %d objects", got)
	}

	// Past the node.
	direct := bytes.Repeat([]byte("direct."), 100_000)
	ask := fmt.Sprintf(`{"filename":"direct.txt","contentType":"text/plain","size":%d}`, len(direct))
	status, _, body := n.ask(t, "POST", n.URL+"/api/storage/upload-request", keys.SecretKey, "application/json", strings.NewReader(ask))
	var third stored
	if err := json.Unmarshal(body, &third); status != 200 || err != nil || !strings.HasPrefix(third.SignedURL, g.endpoint()) || strings.Contains(string(body), "checksum") || strings.Contains(string(body), `"token"`) {
		t.Fatalf("%d %s", status, body)
	}
	confirm := fmt.Sprintf(`{"filePath":%q,"size":%d}`, third.FilePath, len(direct))
	if status, _, body := n.ask(t, "POST", n.URL+"/api/storage/upload-confirm", keys.SecretKey, "application/json", strings.NewReader(confirm)); status != 409 {
		t.Errorf("confirmed before the bytes were there: %d %s", status, body)
	}
	if status, _, body := n.ask(t, "PUT", third.SignedURL, "", "text/plain", bytes.NewReader(direct[1:])); status/100 == 2 {
		t.Errorf("the service took another size: %d %s", status, body)
	}
	if status, _, body := n.ask(t, "PUT", third.SignedURL, "", "text/plain", bytes.NewReader(direct)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for range 2 {
		status, _, body = n.ask(t, "POST", n.URL+"/api/storage/upload-confirm", keys.SecretKey, "application/json", strings.NewReader(confirm))
		if err := json.Unmarshal(body, &third); status != 200 || err != nil || third.Provider != "external" {
			t.Fatalf("%d %s", status, body)
		}
	}
	if status, _, _ := n.ask(t, "PUT", third.SignedURL, "", "text/plain", bytes.NewReader(bytes.Repeat([]byte("X"), len(direct)))); status != 200 {
		t.Logf("an address that was used is answered %d", status)
	}

	// Out again.
	sent := map[string][]byte{first.Path: large, second.Path: small, third.Path: direct}
	whole := func(when string) {
		t.Helper()
		for path, want := range sent {
			status, header, got := n.ask(t, "GET", n.URL+"/files/"+path, "", "", nil)
			if status != 200 || !bytes.Equal(got, want) || header.Get("Etag") == "" {
				t.Errorf("%s: %s is answered %d with %d bytes", when, path, status, len(got))
			}
			req, _ := http.NewRequestWithContext(t.Context(), "GET", n.URL+"/files/"+path, nil)
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(want)-5))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err = io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != 206 || !bytes.Equal(got, want[len(want)-5:]) {
				t.Errorf("%s: the end of %s is answered %d with %q", when, path, res.StatusCode, got)
			}
		}
	}
	whole("at first")
	n.kill()
	if said := n.serve(t, at...); said != "" {
		t.Fatal(said)
	}
	whole("after a kill")

	// A service that is away: said, and over when it is back.
	g.kill()
	if _, status, said := n.upload(t, keys.SecretKey, "x.txt", []byte("x")); status != 503 || !strings.Contains(said, "code") {
		t.Errorf("an upload without the service is answered %d %s", status, said)
	}
	g.start(t)
	whole("after the service was away")

	// Deleted.
	if status, _, body := n.ask(t, "DELETE", n.URL+"/api/storage/file", keys.SecretKey, "application/json", strings.NewReader(fmt.Sprintf(`{"path":%q}`, second.Path))); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	delete(sent, second.Path)
	whole("after one was deleted")
	if status, _, _ := n.ask(t, "GET", n.URL+"/files/"+second.Path, "", "", nil); status != 404 {
		t.Errorf("what was deleted is answered %d", status)
	}
	n.kill()

	// Without the service's flags it does not start: every file would be missing.
	if said := n.serve(t); !strings.Contains(said, "move-files") {
		t.Fatalf("with files elsewhere it said %q", said)
	}
	if out, code := n.run(t, "check"); code != 2 || !strings.Contains(out, "move-files") {
		t.Errorf("check without the service: exit %d: %s", code, out)
	}
	wrong := append([]string{"--blobs", "s3", "--s3-secret-key", "wrong"}, n.flags...)
	if said := n.serve(t, wrong...); !strings.Contains(said, "refuses") || strings.Contains(said, secretKey) {
		t.Fatalf("with another secret it said %q", said)
	}
	if out, code := n.run(t, append([]string{"check"}, at...)...); code != 0 || !strings.Contains(out, "3 files") {
		t.Errorf("check: exit %d: %s", code, out)
	}

	// To the disk, and back.
	if out, code := n.run(t, append([]string{"move-files", "--to", "disk"}, n.flags...)...); code != 0 || !strings.Contains(out, "2 files copied") {
		t.Fatalf("move to disk: exit %d: %s", code, out)
	}
	g.kill()
	if said := n.serve(t); said != "" {
		t.Fatal(said)
	}
	whole("from the disk")
	more, status, said := n.upload(t, keys.SecretKey, "more.txt", []byte("more text"))
	if status != 201 || more.Provider != "internal" {
		t.Fatalf("%d %s", status, said)
	}
	sent[more.Path] = []byte("more text")
	if out, code := n.run(t, append([]string{"move-files", "--to", "s3"}, n.flags...)...); code != 1 {
		t.Errorf("move beside a running node: exit %d: %s", code, out)
	}
	n.kill()
	g.start(t)
	if out, code := n.run(t, append([]string{"move-files", "--to", "s3"}, n.flags...)...); code != 0 || !strings.Contains(out, "1 files copied") || !strings.Contains(out, "2 were there") {
		t.Fatalf("move to the service: exit %d: %s", code, out)
	}
	if said := n.serve(t, at...); said != "" {
		t.Fatal(said)
	}
	whole("from the service again")
}
