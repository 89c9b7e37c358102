package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// drive starts a node with the project of testdata/files.yaml.
func drive(t *testing.T, args ...string) (*node, keys) {
	t.Helper()
	n := startNode(t, append([]string{"--dir", t.TempDir()}, args...)...)
	return n, applyFile(t, n, "testdata/files.yaml")
}

// TestOfficialClientFiles has the official npm client upload and delete files, in Node.
func TestOfficialClientFiles(t *testing.T) {
	if _, err := os.Stat("sdk/node_modules/@urbackend/sdk"); err != nil {
		t.Fatal("the npm client is not installed; run: make e2e")
	}
	n, k := drive(t)
	cmd := exec.Command("node", "--test", "--test-reporter=spec", "storage.test.mjs")
	cmd.Dir = "sdk"
	cmd.Env = environment("SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_PUBLISHABLE_KEY="+k.PublishableKey, "SLUICE_TEST_SECRET_KEY="+k.SecretKey, "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestFilesInBrowser uploads files from a page in a real Chromium, and shows that none runs there, whatever it is (SEC-84).
func TestFilesInBrowser(t *testing.T) {
	n, k := drive(t)
	runBrowser(t, "files.test.mjs", "SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_PUBLISHABLE_KEY="+k.PublishableKey, "SLUICE_TEST_SECRET_KEY="+k.SecretKey)
}

// memory returns a figure of /proc/<pid>/status in bytes.
func (n *node) memory(t *testing.T, figure string) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("this needs Linux: %v", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, figure+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no %s in /proc", figure)
	return 0
}

// TestUploadsTakeLittleMemory: 32 uploads of 10 MB that are on their way at once raise the node's memory by 64 MB at most,
// by a form or to a signed address, and so do as many downloads.
func TestUploadsTakeLittleMemory(t *testing.T) {
	const (
		clients = 32
		size    = 10 << 20
		most    = 64 << 20
	)
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	contents := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	body, kind := fileForm("a.bin", contents)
	if a := send(t, "POST", n.URL+"/api/storage/upload", body, "x-api-key", k.SecretKey, "Content-Type", kind); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before := n.memory(t, "VmRSS")

	var half, done sync.WaitGroup
	half.Add(clients)
	release := make(chan struct{})
	// slow sends the first half, waits for everybody, and then sends the rest.
	slow := func(body []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(body[:len(body)/2]), readerFunc(func([]byte) (int, error) {
			half.Done()
			<-release
			return 0, io.EOF
		}), bytes.NewReader(body[len(body)/2:]))
	}
	urls := make([]string, clients)
	failed := make([]error, clients)
	for i := range clients {
		done.Go(func() { urls[i], failed[i] = uploadSlowly(n.URL, k.SecretKey, i%2 == 0, body, kind, contents, slow) })
	}
	half.Wait()
	during := n.memory(t, "VmRSS")
	close(release)
	done.Wait()
	for _, err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range clients {
		done.Go(func() {
			a, err := trySend("GET", urls[i], nil)
			if err == nil && !bytes.Equal(a.body, contents) {
				err = fmt.Errorf("%s: %d, %d bytes that are not those", urls[i], a.status, len(a.body))
			}
			failed[i] = err
		})
	}
	done.Wait()
	for _, err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
	peak := n.memory(t, "VmHWM")
	t.Logf("RSS %d MB before, %d MB with all of them half-way, %d MB at the most", before>>20, during>>20, peak>>20)
	if peak-before > most {
		t.Errorf("RSS rose by %d MB", (peak-before)>>20)
	}
}

// readerFunc is a Read.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// uploadSlowly uploads contents by a form, or in steps, and returns where they are.
func uploadSlowly(base, key string, byForm bool, form []byte, kind string, contents []byte, slow func([]byte) io.Reader) (string, error) {
	post := func(method, url string, body io.Reader, size int, contentType string, into any) error {
		req, err := http.NewRequest(method, url, body)
		if err != nil {
			return err
		}
		req.ContentLength = int64(size)
		req.Header.Set("x-api-key", key)
		req.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode/100 != 2 {
			err = fmt.Errorf("%s %s: %d %s", method, url, resp.StatusCode, raw)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, into)
	}
	var p placed
	if byForm {
		err := post("POST", base+"/api/storage/upload", slow(form), len(form), kind, &p)
		return p.URL, err
	}
	const json = "application/json"
	var asked struct{ SignedURL, FilePath string }
	ask := fmt.Sprintf(`{"filename":"a.bin","contentType":"application/octet-stream","size":%d}`, len(contents))
	if err := post("POST", base+"/api/storage/upload-request", strings.NewReader(ask), len(ask), json, &asked); err != nil {
		return "", err
	}
	if err := post("PUT", asked.SignedURL, slow(contents), len(contents), "application/octet-stream", &p); err != nil {
		return "", err
	}
	confirm := fmt.Sprintf(`{"filePath":%q,"size":%d}`, asked.FilePath, len(contents))
	err := post("POST", base+"/api/storage/upload-confirm", strings.NewReader(confirm), len(confirm), json, &p)
	return p.URL, err
}

// TestFileCommands: an operator stores, lists, fetches and removes files by the command line, private ones too.
func TestFileCommands(t *testing.T) {
	n, _ := drive(t)
	file := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := sluice(t, append(append([]string{"file"}, args...), "--project", "drive", "--dir", n.Dir)...)
		if code != 0 {
			t.Fatalf("file %v: exit %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	source := filepath.Join(t.TempDir(), "my note.txt")
	if err := os.WriteFile(source, []byte("remember"), 0o600); err != nil {
		t.Fatal(err)
	}
	stored := strings.Fields(file("put", "--private", source))
	if len(stored) != 2 || !strings.HasSuffix(stored[0], "_my_note.txt") {
		t.Fatalf("put printed %q", stored)
	}
	if a := send(t, "GET", stored[1], nil); a.status != 403 {
		t.Errorf("a private file is answered %d", a.status)
	}
	if got := file("get", stored[0]); got != "remember" {
		t.Errorf("get printed %q", got)
	}
	if list := file("list", "my_"); !strings.Contains(list, stored[0]) || !strings.Contains(list, "private") {
		t.Errorf("list printed %q", list)
	}
	file("rm", stored[0])
	if list := file("list"); strings.Contains(list, stored[0]) {
		t.Errorf("list printed %q after rm", list)
	}
	file("sweep", "--age", "0s")
	if _, stderr, code := sluice(t, "file", "get", "drive/nothing", "--project", "drive", "--dir", n.Dir); code != 1 || !strings.Contains(stderr, "Access denied.") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
