package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeCertificate writes a new certificate for localhost that signs itself, and returns its serial number.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// trusting is a client that trusts one root, knows every name under one address, and makes a connection for each request.
func trusting(t *testing.T, root []byte, addr string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("no root certificate")
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A node speaks TLS with a certificate from files, takes the new one when it was renewed, without losing a connection, and
// keeps the old one when what is there now is no certificate. Cookies are for TLS alone then.
func TestTLSFromFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	n := startNode(t, "--demo", "--dir", filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key)
	addr, ok := strings.CutPrefix(n.URL, "https://")
	if !ok {
		t.Fatalf("the node says that it is at %s", n.URL)
	}
	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	client := trusting(t, read(t, cert), addr)
	req, err := http.NewRequest("POST", "https://localhost/api/userAuth/signup", strings.NewReader(`{"email":"ada@example.com","password":"correct horse"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", n.PublishableKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if cookie := resp.Header.Get("Set-Cookie"); resp.StatusCode != 201 || !strings.Contains(strings.ToLower(cookie), "; secure") {
		t.Errorf("sign-up: %d, cookie %q", resp.StatusCode, cookie)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was taken")
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if text, _ := io.ReadAll(conn); bytes.Contains(text, []byte("200 OK")) {
			t.Errorf("plain HTTP was answered: %s", text)
		}
		conn.Close()
	}

	hangUp := func(until string) {
		t.Helper()
		seen := strings.Count(n.log.String(), until)
		if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); strings.Count(n.log.String(), until) == seen; time.Sleep(5 * time.Millisecond) {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("the log never says %q:\n%s", until, n.log)
			}
		}
	}
	if err := os.WriteFile(cert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp("certificate not read")
	if got := serial(); got != 1 {
		t.Errorf("with no certificate in the file: number %d is served", got)
	}
	writeCertificate(t, cert, key, 2)
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); serial() != 2; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the new certificate is not served")
		}
	}

	for _, args := range [][]string{
		{"--tls-cert", cert},
		{"--tls-cert", cert, "--tls-key", cert},
		{"--tls-cert", filepath.Join(dir, "none"), "--tls-key", key},
		{"--domain", "example.com", "--tls-cert", cert, "--tls-key", key},
		{"--domain", "127.0.0.1"},
		{"--domain", "localhost"},
	} {
		if _, stderr, code := sluice(t, append([]string{"serve", "--dir", t.TempDir(), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, args...)...); code != 2 {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}

// A node gets a certificate by itself from a real ACME server (Pebble), both ways that it can prove whose the name is, keeps
// it over a restart, and renews it before it ends. A name that is not its own it asks nothing for.
func TestCertificatesByACME(t *testing.T) {
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) { testACME(t, challenge) })
	}
}

func testACME(t *testing.T, challenge string) {
	bin, dir := acmeTools(t), t.TempDir()
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	writeCertificate(t, cert, key, 1)
	ports := freePorts(t, 6)
	authority, management, dns, public, plain, nobody := ports[0], ports[1], ports[2], ports[3], ports[4], ports[5]
	// Each way is the only one that works: the other's port leads nowhere.
	tlsPort, httpPort := public, nobody
	if challenge == "http-01" {
		tlsPort, httpPort = nobody, plain
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprint("127.0.0.1:", authority), "managementListenAddress": fmt.Sprint("127.0.0.1:", management),
		"certificate": cert, "privateKey": key, "httpPort": httpPort, "tlsPort": tlsPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "short", "validityPeriod": 20}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, filepath.Join(bin, "pebble-challtestsrv"), "-defaultIPv6", "", "-dnsserver", fmt.Sprint("127.0.0.1:", dns), "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", "")
	background(t, filepath.Join(bin, "pebble"), "-config", file, "-dnsserver", fmt.Sprint("127.0.0.1:", dns))
	ca := trusting(t, read(t, cert), fmt.Sprint("127.0.0.1:", management))
	var root []byte
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		resp, err := ca.Get("https://localhost/roots/0")
		if err == nil {
			root, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode == 200 {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("the authority does not answer: %v", err)
		}
	}
	args := []string{"--dir", filepath.Join(dir, "data"), "--addr", fmt.Sprint("127.0.0.1:", public), "--domain", "api.example.test", "--http-addr", fmt.Sprint("127.0.0.1:", plain),
		"--acme-directory", fmt.Sprintf("https://localhost:%d/dir", authority), "--acme-ca", cert, "--acme-email", "ops@example.test"}
	n := startNode(t, args...)
	client := trusting(t, root, fmt.Sprint("127.0.0.1:", public))
	// Getting one is tried again after a minute, if the machine was too busy for the first time.
	serial := func() string {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			resp, err := client.Get("https://api.example.test/livez")
			if err == nil {
				resp.Body.Close()
				return resp.TLS.PeerCertificates[0].SerialNumber.String()
			}
			if time.Since(begun) > 100*time.Second {
				t.Fatal(err)
			}
		}
	}
	first := serial()
	if _, err := client.Get("https://other.example.test/livez"); err == nil {
		t.Error("a name that is not the node's has a certificate")
	}
	resp, err := trusting(t, root, fmt.Sprint("127.0.0.1:", plain)).Get("http://api.example.test/files/x?y=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || to != "https://api.example.test/files/x?y=1" {
		t.Errorf("plain HTTP is sent to %q with %d", to, resp.StatusCode)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	startNode(t, args...)
	if again := serial(); again != first {
		t.Logf("after the restart another certificate is served: it was time to renew")
		first = again
	}
	for begun := time.Now(); serial() == first; time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > 60*time.Second {
			t.Fatal("the certificate is not renewed")
		}
	}
}

// acmeTools builds Pebble.
func acmeTools(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "tool")
	build.Dir = "acme"
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Pebble: %v\n%s", err, text)
	}
	return bin
}

// background runs a program until the end of the test, and shows what it said if the test failed.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	var out syncBuffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = environment("PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), out.String())
		}
	})
}

// freePorts returns ports that nobody has, at the moment.
func freePorts(t *testing.T, count int) (ports []int) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
