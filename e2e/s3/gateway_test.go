package s3

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const (
	accessKey = "AKIATESTONLY00000000"
	secretKey = "secret-of-the-tests-only"
	bucket    = "sluice-tests"
	region    = "us-east-1"
	domain    = "s3.localhost" // with a bucket before it, for the style that has it in the host
)

// Environment variables that make the gateway of a copy of the test binary.
const (
	envGateway = "S3_GATEWAY" // its directory
	envAddress = "S3_ADDRESS"
	envCert    = "S3_CERT" // and its key, if it is to speak TLS
	envKey     = "S3_KEY"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envGateway); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(dir string) error {
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if err := (meta.XattrMeta{}).Test(dir); err != nil { // a file system without: in files of their own
		sidecar, err := meta.NewSideCar(filepath.Join(dir, "meta"))
		if err != nil {
			return err
		}
		attributes = sidecar
	}
	be, err := posix.New(filepath.Join(dir, "data"), attributes, posix.PosixOpts{
		Concurrency:         1000,
		CopyObjectThreshold: 2 * part, // what is larger it refuses to copy in one go, as all services do at some size
	})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), be, &embedgw.Config{
		RootUserAccess: accessKey, RootUserSecret: secretKey, Region: region,
		Ports: []string{os.Getenv(envAddress)}, CertFile: os.Getenv(envCert), KeyFile: os.Getenv(envKey),
		MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10_000,
		VirtualDomain: domain, HealthPath: "/healthy", KeepAlive: true, Quiet: true, DisableACLs: true,
	})
}

// gateway is a process that serves S3.
type gateway struct {
	dir, address string
	client       *http.Client
	scheme       string
	env          []string
	process      *exec.Cmd
	said         bytes.Buffer
}

func (g *gateway) endpoint() string { return g.scheme + "://" + g.address }

// newGateway starts a service with one bucket. env are more of its environment.
func newGateway(t *testing.T, client *http.Client, env ...string) *gateway {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"data/" + bucket, "meta"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	g := &gateway{dir: dir, address: free.Addr().String(), scheme: "http", client: client, env: env}
	if len(env) > 0 {
		g.scheme = "https"
	}
	g.start(t)
	t.Cleanup(func() {
		g.kill()
		if t.Failed() {
			t.Logf("the service said: %s", g.said.String())
		}
	})
	return g
}

// start runs the process, and returns when it answers.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	g.process = exec.Command(os.Args[0])
	g.process.Env = append(append(os.Environ(), envGateway+"="+g.dir, envAddress+"="+g.address), g.env...)
	g.process.Stdout, g.process.Stderr = &g.said, &g.said
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		res, err := g.client.Get(g.endpoint() + "/healthy")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("it answers %s", res.Status)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service does not start: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends the process, stopped or not, dead or not.
func (g *gateway) kill() {
	_ = g.process.Process.Signal(syscall.SIGCONT)
	_ = g.process.Process.Kill()
	_ = g.process.Wait()
}

// files returns every key of the bucket, and every part of an unfinished upload.
func (g *gateway) files(t *testing.T) (keys []string) {
	t.Helper()
	root := filepath.Join(g.dir, "data", bucket)
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			keys = append(keys, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
