package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// How a bucket is addressed.
const (
	StyleAuto = "auto" // as the service's name suggests: Amazon's and a few others host, the rest path
	StylePath = "path" // https://service/bucket/key
	StyleHost = "host" // https://bucket.service/key
)

// Options is how a service is reached. Endpoint, Bucket and credentials are needed; of the rest the zero value works.
type Options struct {
	Endpoint string // https://s3.eu-central-1.amazonaws.com, http://127.0.0.1:9000: scheme, host and port
	Public   string // as Endpoint, where clients reach the service under another address; Endpoint if empty
	Region   string // asked of the service if empty
	Bucket   string // that is there
	Prefix   string // of every key, such as "node1/"; none if empty
	Style    string // StyleAuto if empty

	// Either keys, or a file of them in the format of ~/.aws/credentials, which only its owner may read.
	AccessKey       Secret
	SecretKey       Secret
	SessionToken    Secret // only with keys that expire
	CredentialsFile string
	Profile         string // of the file; "default" if empty

	CAFile   string        // more certificate authorities, PEM
	SpoolDir string        // where what arrives is kept until it is sent; the system's if empty
	Timeout  time.Duration // with nothing moving on a connection; 30 s if 0
	Attempts int           // of a request; 3 if 0
	PartSize int64         // bytes; what is larger is sent in parts of so many; 32 MiB if 0, at least 5 MiB
	CopySize int64         // bytes; what is larger the service copies in parts of so many; 5 GiB if 0, at least 10 MiB

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // the system's if nil
}

// Secret is a text that prints as [redacted].
type Secret string

func (Secret) String() string       { return "[redacted]" }
func (Secret) GoString() string     { return "[redacted]" }
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

const (
	minPart  = 5 << 20 // what services ask of every part but the last
	maxParts = 10_000
	maxCopy  = 5 << 30 // what a service copies, or takes, in one request
)

// withDefaults fills in what was left out, and says everything that is wrong with the rest.
func (o Options) withDefaults() (Options, error) {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	if o.Public == "" {
		o.Public = o.Endpoint
	}
	for _, address := range []struct{ what, is string }{{"endpoint", o.Endpoint}, {"public endpoint", o.Public}} {
		u, err := url.Parse(address.is)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
			say("the %s %q has to be http:// or https://, a host, and perhaps a port", address.what, address.is)
		}
	}
	if o.Bucket == "" {
		say("a bucket is needed")
	}
	if strings.HasPrefix(o.Prefix, "/") || strings.Contains(o.Prefix, "//") || strings.ContainsFunc(o.Prefix, unusual) {
		say("the prefix %q may hold letters, digits, and - _ . with single slashes between, and does not begin with one", o.Prefix)
	}
	if o.Prefix != "" && !strings.HasSuffix(o.Prefix, "/") {
		o.Prefix += "/"
	}
	switch o.Style {
	case "":
		o.Style = StyleAuto
	case StyleAuto, StylePath, StyleHost:
	default:
		say("the style %q is none of %s, %s and %s", o.Style, StyleAuto, StylePath, StyleHost)
	}
	keys := o.AccessKey != "" && o.SecretKey != ""
	if !keys && (o.AccessKey != "" || o.SecretKey != "" || o.SessionToken != "") {
		say("an access key and a secret key belong together")
	}
	if keys == (o.CredentialsFile != "") {
		say("either an access key with its secret or a file of credentials is needed")
	}
	o.Timeout = or(o.Timeout, 30*time.Second)
	o.Attempts = or(o.Attempts, 3)
	o.PartSize = or(o.PartSize, 32<<20)
	o.CopySize = or(o.CopySize, maxCopy)
	if o.Timeout < 0 || o.Attempts < 0 {
		say("the timeout and the number of attempts cannot be negative")
	}
	if o.PartSize < minPart || o.PartSize > maxCopy {
		say("parts are of %d to %d bytes", minPart, int64(maxCopy))
	}
	if o.CopySize < 2*minPart || o.CopySize > maxCopy { // its parts are up to half of that
		say("copies are of %d to %d bytes", 2*minPart, int64(maxCopy))
	}
	if err := errors.Join(wrong...); err != nil {
		return o, fmt.Errorf("blobs: S3: %w", err)
	}
	return o, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// unusual reports a character that some service or proxy would treat in its own way.
func unusual(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_./", c)
}

// credentials returns the keys, or those of the file, which is read once.
func (o Options) credentials() (*credentials.Credentials, error) {
	if o.CredentialsFile == "" {
		return credentials.NewStaticV4(string(o.AccessKey), string(o.SecretKey), string(o.SessionToken)), nil
	}
	info, err := os.Stat(o.CredentialsFile)
	if err != nil {
		return nil, fmt.Errorf("blobs: S3: the file of credentials: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("blobs: S3: %s can be read by others than its owner: chmod 600 it", o.CredentialsFile)
	}
	profile := or(o.Profile, "default")
	c := credentials.NewFileAWSCredentials(o.CredentialsFile, profile)
	v, err := c.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("blobs: S3: %s: %w", o.CredentialsFile, err)
	}
	if v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return nil, fmt.Errorf("blobs: S3: %s has no aws_access_key_id and aws_secret_access_key in [%s]", o.CredentialsFile, profile)
	}
	return c, nil
}

func (o Options) lookup() minio.BucketLookupType {
	switch o.Style {
	case StylePath:
		return minio.BucketLookupPath
	case StyleHost:
		return minio.BucketLookupDNS
	}
	return minio.BucketLookupAuto
}
