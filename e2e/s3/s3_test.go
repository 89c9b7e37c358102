package s3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/blobtest"
	"github.com/sluice-edge/sluice/blobs/s3"
)

const part = 5 << 20 // the least there is

func (g *gateway) options(t *testing.T) s3.Options {
	return s3.Options{
		Endpoint: g.endpoint(), Region: region, Bucket: bucket, Style: s3.StylePath,
		AccessKey: accessKey, SecretKey: secretKey,
		SpoolDir: t.TempDir(), Timeout: 10 * time.Second, PartSize: part, CopySize: 2 * part,
	}
}

func open(t *testing.T, o s3.Options) *s3.Service {
	t.Helper()
	service, err := s3.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	return service
}

func project(t *testing.T, service *s3.Service) (*s3.Backend, string) {
	t.Helper()
	var random [8]byte
	rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	b, err := service.Project(name, "this node")
	if err != nil {
		t.Fatal(err)
	}
	return b, name
}

// fixture is a project of its own at the service.
func (g *gateway) fixture(t *testing.T, o s3.Options) blobtest.Fixture {
	service := open(t, o)
	backend, name := project(t, service)
	other, _ := project(t, service)
	base := strings.TrimSuffix(o.Prefix, "/")
	return blobtest.Fixture{
		Backend: backend,
		Other:   other,
		Leftovers: func(t *testing.T) (left []string) {
			for _, key := range g.files(t) {
				rest, ours := strings.CutPrefix(key, filepath.Join(base, name)+"/")
				if strings.HasPrefix(key, ".sgwtmp") {
					left = append(left, key)
				}
				if !ours {
					continue
				}
				folder, file := filepath.Split(rest)
				_, hash := blobs.ParseHash(file)
				_, id := blobs.ParseUploadID(file)
				if rest == "owner" {
					continue
				}
				if !(folder == "blobs/" && hash == nil) && !(folder == "uploads/" && id == nil) {
					left = append(left, key)
				}
			}
			spooled, err := os.ReadDir(o.SpoolDir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range spooled {
				left = append(left, file.Name())
			}
			return left
		},
		Damage: func(t *testing.T, h blobs.Hash) {
			path := filepath.Join(g.dir, "data", bucket, base, name, "blobs", h.String())
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content[len(content)/2] ^= 1
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Large: 2 * part,
	}
}

func TestS3(t *testing.T) {
	if err := flag.Set("rapid.checks", "10"); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, http.DefaultClient)
	t.Run("path style", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blobtest.Fixture { return g.fixture(t, g.options(t)) })
	})
	t.Run("host style, with a prefix", func(t *testing.T) {
		_, port, err := net.SplitHostPort(g.address)
		if err != nil {
			t.Fatal(err)
		}
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) { // as a name server would say
			return (&net.Dialer{}).DialContext(ctx, network, g.address)
		}
		transport := &http.Transport{DialContext: dial}
		t.Cleanup(transport.CloseIdleConnections)
		blobtest.Run(t, func(t *testing.T) blobtest.Fixture {
			o := g.options(t)
			o.Endpoint, o.Style, o.Prefix, o.Dial = "http://"+domain+":"+port, s3.StyleHost, "nodes/one", dial
			f := g.fixture(t, o)
			f.Client = &http.Client{Transport: transport}
			return f
		})
	})
}

// The same over TLS, with an authority that the operator names.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	authority := certificate(t, cert, key)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority}}}
	t.Cleanup(client.CloseIdleConnections)
	g := newGateway(t, client, envCert+"="+cert, envKey+"="+key)

	blobtest.Run(t, func(t *testing.T) blobtest.Fixture {
		o := g.options(t)
		o.CAFile = cert
		f := g.fixture(t, o)
		f.Client = client
		return f
	})
	if err := open(t, g.options(t)).Ping(t.Context()); !errors.Is(err, blobs.ErrUnavailable) {
		t.Errorf("without the authority: %v", err)
	}
}

// certificate writes one for this machine, signed by itself.
func certificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, content := range map[string][]byte{cert: public, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	return pool
}
