package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// storedFile is the journal's entry of one file, kept outside of the process that is killed.
type storedFile struct {
	path, url string
	sum       [32]byte
	deleting  bool // a delete was sent
	deleted   bool // and acknowledged
}

// fileClient uploads and deletes until the node stops answering.
type fileClient struct {
	url, key string
	rand     *rand.Rand
	files    []*storedFile // acknowledged
	refused  string        // an answer that nobody should get
}

// contents makes a file. Some are the same again and again, so that deletes meet uploads of the same bytes.
func (c *fileClient) contents() []byte {
	if c.rand.IntN(3) == 0 {
		return bytes.Repeat([]byte{byte(c.rand.IntN(4))}, 70_000)
	}
	b := make([]byte, 1+c.rand.IntN(200_000))
	for i := range b {
		b[i] = byte(c.rand.Uint32())
	}
	return b
}

// run returns when the node is gone.
func (c *fileClient) run() {
	for {
		var err error
		switch n := c.rand.IntN(6); {
		case n == 0 && len(c.files) > 0:
			err = c.delete(c.files[c.rand.IntN(len(c.files))])
		case n < 4:
			err = c.upload(c.contents())
		default:
			err = c.uploadInSteps(c.contents())
		}
		if err != nil {
			return
		}
	}
}

// answered reads an answer: an error when the node is gone, or the outcome is not known.
func (c *fileClient) answered(a *answer, err error, what string, into any) error {
	switch {
	case err != nil:
		return err
	case a.status == 503:
		return io.ErrUnexpectedEOF
	case a.status/100 != 2 || json.Unmarshal(a.body, into) != nil:
		c.refused = fmt.Sprintf("%s: %d %s", what, a.status, a.body)
		return io.ErrUnexpectedEOF
	}
	return nil
}

type placed struct{ Path, URL string }

func (c *fileClient) acknowledged(p placed, contents []byte) {
	c.files = append(c.files, &storedFile{path: p.Path, url: p.URL[strings.Index(p.URL, "/files/"):], sum: sha256.Sum256(contents)})
}

func (c *fileClient) upload(contents []byte) error {
	body, kind := fileForm("a.bin", contents)
	a, err := trySend("POST", c.url+"/api/storage/upload", body, "x-api-key", c.key, "Content-Type", kind)
	var p placed
	if err := c.answered(a, err, "upload", &p); err != nil {
		return err
	}
	c.acknowledged(p, contents)
	return nil
}

// fileForm is the form of an upload.
func fileForm(name string, contents []byte) (body []byte, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, _ := w.CreateFormFile("file", name)
	_, _ = part.Write(contents)
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

func (c *fileClient) uploadInSteps(contents []byte) error {
	ask := fmt.Appendf(nil, `{"filename":"b.bin","contentType":"application/octet-stream","size":%d}`, len(contents))
	a, err := trySend("POST", c.url+"/api/storage/upload-request", ask, "x-api-key", c.key)
	var asked struct{ SignedURL, FilePath string }
	if err := c.answered(a, err, "upload-request", &asked); err != nil {
		return err
	}
	a, err = trySend("PUT", asked.SignedURL, contents, "Content-Type", "application/octet-stream")
	if err := c.answered(a, err, "PUT", &struct{}{}); err != nil {
		return err
	}
	confirm := fmt.Appendf(nil, `{"filePath":%q,"size":%d}`, asked.FilePath, len(contents))
	a, err = trySend("POST", c.url+"/api/storage/upload-confirm", confirm, "x-api-key", c.key)
	var p placed
	if err := c.answered(a, err, "upload-confirm", &p); err != nil {
		return err
	}
	c.acknowledged(p, contents)
	return nil
}

func (c *fileClient) delete(f *storedFile) error {
	f.deleting = true
	a, err := trySend("DELETE", c.url+"/api/storage/file", fmt.Appendf(nil, `{"path":%q}`, f.path), "x-api-key", c.key)
	if err := c.answered(a, err, "delete", &struct{}{}); err != nil {
		return err
	}
	f.deleted = true
	return nil
}

// settle asks the restarted node for a file and says what is wrong with the answer.
func (f *storedFile) settle(base string) error {
	a, err := trySend("GET", base+f.url, nil)
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusNotFound && f.deleting:
		f.deleted = true
	case a.status != http.StatusOK:
		return fmt.Errorf("%s, which was acknowledged, is lost: %d %s", f.path, a.status, a.body)
	case f.deleted:
		return fmt.Errorf("%s is back, after its deletion was acknowledged", f.path)
	case sha256.Sum256(a.body) != f.sum:
		return fmt.Errorf("%s has other bytes", f.path)
	}
	return nil
}

// adminPost asks the admin API of a node.
func adminPost(t *testing.T, n *node, path string) *answer {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.Dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return send(t, "POST", n.AdminURL+path, nil, "Authorization", "Bearer "+strings.TrimSpace(string(token)))
}

// TestKillDuringUploads kills the real binary with SIGKILL while clients upload and delete: what was acknowledged is there,
// what was deleted is gone, a sweep leaves no bytes without a record, and the quota counts what there is. SLUICE_TEST_KILLS
// says how often (10).
func TestKillDuringUploads(t *testing.T) {
	rounds := 10
	if text := os.Getenv("SLUICE_TEST_KILLS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	file := filepath.Join(t.TempDir(), "files.yaml")
	if err := os.WriteFile(file, []byte("name: drive\nfiles: {totalBytes: 100 GiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := applyFile(t, n, file)
	var journal []*storedFile
	left := func() (there int) {
		for _, f := range journal {
			if !f.deleted {
				there++
			}
		}
		return there
	}
	for round := range rounds {
		clients := make([]*fileClient, 4)
		var running sync.WaitGroup
		for i := range clients {
			clients[i] = &fileClient{url: n.URL, key: k.SecretKey, rand: rand.New(rand.NewPCG(seed, uint64(2+round*len(clients)+i)))}
			running.Go(clients[i].run)
		}
		time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
		_ = n.kill()
		running.Wait()
		n = startNode(t, "--dir", dir)
		for _, c := range clients {
			if c.refused != "" {
				t.Fatalf("round %d: %s", round, c.refused)
			}
			journal = append(journal, c.files...)
			for _, f := range c.files {
				if err := f.settle(n.URL); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
		}
		if round%10 != 9 && round != rounds-1 {
			continue
		}
		if a := adminPost(t, n, "/admin/v1/projects/drive/files/sweep?age=0"); a.status != 200 {
			t.Fatalf("sweep: %d %s", a.status, a.body)
		}
		for _, f := range journal {
			if err := f.settle(n.URL); err != nil {
				t.Fatalf("round %d, after the sweep: %v", round, err)
			}
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		checkFiles(t, dir, k.ID, left())
		n = startNode(t, "--dir", dir)
	}
	t.Logf("%d kills, %d files acknowledged, %d of them there", rounds, len(journal), left())
	if len(journal) < rounds {
		t.Errorf("only %d files in %d rounds: this was no load", len(journal), rounds)
	}
}

// checkFiles has `sluice check` look at a stopped node: it must find at least so many files, all whole, no bytes that none
// of them has, and a quota that counts just them. More files than that were stored without being acknowledged.
func checkFiles(t *testing.T, dir, projectID string, atLeast int) {
	t.Helper()
	stdout, stderr, code := sluice(t, "check", "--dir", dir, "--json")
	var out struct {
		Projects []struct {
			ID             string
			Files, Orphans int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &out); code != 0 || err != nil {
		t.Fatalf("check: exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for _, p := range out.Projects {
		if p.ID == projectID && (p.Files < atLeast || p.Orphans != 0) {
			t.Fatalf("%d files, at least %d were acknowledged; %d orphans", p.Files, atLeast, p.Orphans)
		}
	}
}

// TestCheckFindsDamagedFiles: `sluice check` says which stored file is damaged, shortened or gone, and takes bytes that a crash
// left for no damage.
func TestCheckFindsDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	k := applyFile(t, n, "testdata/files.yaml")
	sums := make([]string, 3)
	for i := range sums {
		contents := bytes.Repeat([]byte{byte(i)}, 10_000)
		body, kind := fileForm(fmt.Sprintf("file-%d", i), contents)
		if a := send(t, "POST", n.URL+"/api/storage/upload", body, "x-api-key", k.SecretKey, "Content-Type", kind); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		sums[i] = fmt.Sprintf("%x", sha256.Sum256(contents))
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	object := func(sum string) string { return filepath.Join(dir, "projects", k.ID, "blobs", sum[:2], sum) }
	checkFiles(t, dir, k.ID, 3)

	stray := []byte("left by a crash")
	sum := fmt.Sprintf("%x", sha256.Sum256(stray))
	if err := os.MkdirAll(filepath.Dir(object(sum)), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, contents := range map[string][]byte{
		object(sum):     stray,
		object(sums[0]): bytes.Repeat([]byte{9}, 10_000),
		object(sums[1]): bytes.Repeat([]byte{1}, 9_999),
	} {
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(object(sums[2])); err != nil {
		t.Fatal(err)
	}
	stdout, _, code := sluice(t, "check", "--dir", dir)
	for _, says := range []string{"object " + sums[0], "it has 9999 bytes, and its record says 10000", "file-2: its bytes are missing"} {
		if code != 1 || !strings.Contains(stdout, says) {
			t.Errorf("exit %d, and it does not say %q:\n%s", code, says, stdout)
		}
	}
	if strings.Contains(stdout, sum) {
		t.Errorf("what a crash left is called damage:\n%s", stdout)
	}
}
