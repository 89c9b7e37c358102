package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// halfRequest opens a connection and sends a request whose body lacks its last byte; finish sends that byte.
func halfRequest(t *testing.T, n *node, key string) (conn net.Conn, finish func() (*http.Response, error)) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	const body = `{"unit":"slow","left":"1","right":"1"}`
	_, err = fmt.Fprintf(conn, "POST /api/data/units HTTP/1.1\r\nHost: a\r\nx-api-key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body[:len(body)-1])
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the node has it, and waits for the rest
	return conn, func() (*http.Response, error) {
		if _, err := io.WriteString(conn, body[len(body)-1:]); err != nil {
			return nil, err
		}
		return http.ReadResponse(bufio.NewReader(conn), nil)
	}
}

func TestInterruptDrains(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	k := applyFile(t, n, "testdata/units.yaml")
	_, finish := halfRequest(t, n, k.SecretKey)
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(n.URL, "http://"), time.Second); err == nil {
		_ = conn.Close()
		t.Error("still accepts connections while it drains")
	}
	resp, err := finish()
	if err != nil {
		t.Fatalf("the request in flight was cut off: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 201 {
		raw, _ := io.ReadAll(resp.Body)
		t.Fatalf("the request in flight got %d %s", resp.StatusCode, raw)
	}
	begin := time.Now()
	if err := n.wait(); err != nil {
		t.Fatalf("%v\n%s", err, n.log)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended %s after its last request", took)
	}
	if left, err := os.Stat(filepath.Join(dir, "admin-url")); err == nil {
		t.Errorf("%s is left: the command line would look for a node that is gone", left.Name())
	}
	again := startNode(t, "--dir", dir)
	if a := send(t, "GET", again.URL+"/api/data/units?unit=slow", nil, "x-api-key", k.SecretKey); !strings.Contains(string(a.body), `"total":1`) {
		t.Fatalf("what was acknowledged while draining is lost: %s", a.body)
	}
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/units.yaml")
	halfRequest(t, n, k.SecretKey) // never finished
	for range 2 {
		if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	begin := time.Now()
	var exit *exec.ExitError
	if err := n.wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Fatalf("ended with %v, want exit code 130", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("ended after %s", took)
	}
}

func TestDrainTimeIsBounded(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir(), "--drain-time", "300ms")
	k := applyFile(t, n, "testdata/units.yaml")
	halfRequest(t, n, k.SecretKey) // never finished
	begin := time.Now()
	err := n.stop()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ended after %s", took)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(n.log.String(), "still running") {
		t.Fatalf("ended with %v\n%s", err, n.log)
	}
}
