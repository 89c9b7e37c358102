package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the path of the sluice binary that TestMain built.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "sluice-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "sluice")
		build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/sluice")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the binary:", err)
			return 1
		}
		return m.Run()
	}())
}

// environment is this process's without anything that would change what sluice does.
func environment(more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SLUICE_") {
			env = append(env, v)
		}
	}
	return append(env, more...)
}

// node is a running sluice.
type node struct {
	URL            string `json:"url"`
	AdminURL       string `json:"adminUrl"`
	Dir            string `json:"dir"`
	PublishableKey string `json:"publishableKey"`
	SecretKey      string `json:"secretKey"`

	cmd    *exec.Cmd
	log    *syncBuffer
	waited sync.Once
	exit   error
}

// startNode runs `sluice serve` on free ports and returns when it answers. It is stopped at the end of the test, and its
// log shown when the test failed.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	args = append([]string{"serve", "--json", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--access-log", "off"}, args...)
	n := &node{cmd: exec.Command(binary, args...), log: &syncBuffer{}}
	n.cmd.Env, n.cmd.Stderr = environment(), n.log
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.kill()
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.log)
		}
	})
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if err := json.Unmarshal([]byte(text), n); err != nil {
			t.Fatalf("serve printed %q: %v\n%s", text, err, n.log)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("serve is not ready after 30 s\n%s", n.log)
	}
	return n
}

// stop interrupts the node as Ctrl-C does and returns how it ended.
func (n *node) stop() error {
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return n.wait()
}

// kill is kill -9: no chance to write anything.
func (n *node) kill() error {
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	return n.wait()
}

func (n *node) wait() error {
	n.waited.Do(func() { n.exit = n.cmd.Wait() })
	return n.exit
}

// sluice runs one command to its end and returns what it printed and its exit code.
func sluice(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = environment()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// keys are what a project's creation prints.
type keys struct {
	ID             string `json:"id"`
	PublishableKey string `json:"publishableKey"`
	SecretKey      string `json:"secretKey"`
}

// applyFile creates a project from a file and returns its keys.
func applyFile(t *testing.T, n *node, file string) keys {
	t.Helper()
	stdout, stderr, code := sluice(t, "project", "apply", file, "--dir", n.Dir, "--json")
	var k keys
	if err := json.Unmarshal([]byte(stdout), &k); code != 0 || err != nil || k.ID == "" || k.PublishableKey == "" || k.SecretKey == "" {
		t.Fatalf("project apply %s: exit %d, %v\n%s%s", file, code, err, stdout, stderr)
	}
	return k
}

// answer is an HTTP answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text returns a top-level string of a JSON answer.
func (a *answer) text(t *testing.T, key string) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(a.body, &object); err != nil {
		t.Fatalf("answer %d is not a JSON object: %s", a.status, a.body)
	}
	s, _ := object[key].(string)
	return s
}

var httpClient = &http.Client{Timeout: 20 * time.Second}

// send makes a request; headers are pairs.
func send(t *testing.T, method, url string, body []byte, headers ...string) *answer {
	t.Helper()
	a, err := trySend(method, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func trySend(method, url string, body []byte, headers ...string) (*answer, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if len(body) > 0 && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, raw}, err
}

// signUp makes an account and returns its access token and user id.
func signUp(t *testing.T, url, key, email string) (token, userID string) {
	t.Helper()
	a := send(t, "POST", url+"/api/userAuth/signup", fmt.Appendf(nil, `{"email":%q,"password":"correct horse"}`, email), "x-api-key", key)
	if a.status != 201 {
		t.Fatalf("signup: %d %s", a.status, a.body)
	}
	return a.text(t, "accessToken"), a.text(t, "userId")
}

// syncBuffer collects what a process writes while the test may read it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
