package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/disk"
	"github.com/sluice-edge/sluice/blobs/s3"
)

// Where the bytes of apps' files are.
const (
	onDisk = "disk"
	onS3   = "s3"
)

// blobFlags are those of the verbs that reach the bytes of files.
func blobFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "blobs", Value: onDisk, Usage: "where the bytes of apps' files are: disk, which is below --dir, or s3", Sources: cli.EnvVars("SLUICE_BLOBS")},
	}, s3Flags()...)
}

func s3Flags() []cli.Flag {
	flag := func(name, usage string) *cli.StringFlag {
		return &cli.StringFlag{Name: name, Usage: usage, Sources: cli.EnvVars("SLUICE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))), Category: "files in an S3 service"}
	}
	return []cli.Flag{
		flag("s3-endpoint", "the service, such as https://s3.eu-central-1.amazonaws.com or http://127.0.0.1:9000"),
		flag("s3-public-endpoint", "the same, as apps reach it, if that is another address"),
		flag("s3-region", "region of the bucket (default: the service is asked)"),
		flag("s3-bucket", "bucket, which has to be there"),
		flag("s3-prefix", "beginning of every key, such as node1: each node needs a bucket or a prefix of its own"),
		flag("s3-style", "how the bucket is addressed: auto, path (https://service/bucket) or host (https://bucket.service)"),
		flag("s3-access-key", "access key; better given by its variable than on a command line"),
		flag("s3-secret-key", "its secret; better given by its variable than on a command line"),
		flag("s3-session-token", "of keys that expire"),
		flag("s3-credentials", "file of keys like ~/.aws/credentials, readable by its owner alone; instead of the keys"),
		flag("s3-profile", "of that file (default: default)"),
		flag("s3-ca", "file of certificate authorities (PEM), beside the system's"),
	}
}

// blobPlace is where the bytes of all projects of a node are.
type blobPlace struct {
	dir     string      // of the node
	service *s3.Service // nil: on disk
	name    string      // how the place is noted in the directory
}

// openBlobs reads --blobs, or what stands in its place.
func openBlobs(c *cli.Command, kind string) (*blobPlace, error) {
	p := &blobPlace{dir: c.String("dir"), name: onDisk}
	switch kind {
	case onDisk:
		return p, nil
	case onS3:
	default:
		return nil, fmt.Errorf("%q is neither %s nor %s", kind, onDisk, onS3)
	}
	o := s3.Options{
		Endpoint: strings.TrimRight(c.String("s3-endpoint"), "/"), Public: c.String("s3-public-endpoint"), Region: c.String("s3-region"),
		Bucket: c.String("s3-bucket"), Prefix: c.String("s3-prefix"), Style: c.String("s3-style"),
		AccessKey: s3.Secret(c.String("s3-access-key")), SecretKey: s3.Secret(c.String("s3-secret-key")), SessionToken: s3.Secret(c.String("s3-session-token")),
		CredentialsFile: c.String("s3-credentials"), Profile: c.String("s3-profile"), CAFile: c.String("s3-ca"),
	}
	service, err := s3.Open(o)
	if err != nil {
		return nil, err
	}
	p.service = service
	p.name = fmt.Sprintf("%s %s %s/%s", onS3, o.Endpoint, o.Bucket, o.Prefix)
	return p, nil
}

func (p *blobPlace) close() {
	if p.service != nil {
		p.service.Close()
	}
}

// provider is what the API calls the place.
func (p *blobPlace) provider() string {
	if p.service == nil {
		return "internal"
	}
	return "external"
}

// ping asks a service whether it takes what it will be sent. One that does not answer may do so later: that is logged.
func (p *blobPlace) ping(ctx context.Context, log *slog.Logger) error {
	if p.service == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := p.service.Ping(ctx)
	if errors.Is(err, s3.ErrRefused) {
		return err
	}
	if err != nil {
		log.Warn("the service of files does not answer: they cannot be stored or read until it does", "error", err)
	}
	return nil
}

// backend opens the bytes of one project, whose directory is there.
func (p *blobPlace) backend(projectID string) (blobs.Backend, error) {
	project := filepath.Join(p.dir, "projects", projectID)
	if p.service == nil {
		return disk.Open(filepath.Join(project, "blobs"), disk.Options{})
	}
	identity, err := os.ReadFile(filepath.Join(project, "identity")) // what no other project has, on no node
	if err != nil {
		return nil, err
	}
	return p.service.Project(projectID, strings.TrimSpace(string(identity)))
}

// reader opens the bytes of one project for reading.
func (p *blobPlace) reader(projectID string) (blobs.Backend, error) {
	if p.service == nil {
		return disk.Open(filepath.Join(p.dir, "projects", projectID, "blobs"), disk.Options{ReadOnly: true})
	}
	return p.service.Project(projectID, "")
}

// noted returns where a directory's bytes are, by the note in it: on disk if there is none.
func noted(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "blobs"))
	if errors.Is(err, fs.ErrNotExist) {
		return onDisk, nil
	}
	return strings.TrimSpace(string(text)), err
}

// agrees refuses a directory whose bytes are elsewhere: every file of it would be missing. A new directory agrees.
func (p *blobPlace) agrees() error {
	if _, err := os.Stat(filepath.Join(p.dir, "projects")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	is, err := noted(p.dir)
	if err != nil || is == p.name {
		return err
	}
	if is == onDisk && !p.anyOnDisk() {
		return nil
	}
	return usagef("the files of %s are at %q, and not at %q: move them with \"sluice move-files\", or, if they are there already, write the latter into %s",
		p.dir, is, p.name, filepath.Join(p.dir, "blobs"))
}

// anyOnDisk reports whether a project has a directory of files.
func (p *blobPlace) anyOnDisk() bool {
	found, err := filepath.Glob(filepath.Join(p.dir, "projects", "*", "blobs"))
	return err != nil || len(found) > 0
}

// note writes down where the bytes are.
func (p *blobPlace) note() error {
	path := filepath.Join(p.dir, "blobs")
	if is, err := noted(p.dir); err != nil || is == p.name {
		return err
	}
	if p.name == onDisk {
		return os.Remove(path)
	}
	return writeWhole(path, p.name+"\n")
}

// writeWhole writes a small file that is there whole or not at all, whatever happens.
func writeWhole(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
