package runtime

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/sluice-edge/sluice/runtime/auth"
)

// Files at the top of a data directory.
const (
	lockFile       = "sluice.lock"
	adminTokenFile = "admin-token"
	adminURLFile   = "admin-url"
	nodeSecretFile = "node-secret"
)

// dirLock keeps a second process out of a data directory.
type dirLock struct{ file *flock.Flock }

// lockDir takes the directory, or says which process has it.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockFile)
	l := flock.New(path)
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if !ok {
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("the data directory %s is in use by another sluice process (pid %s); stop it first, or choose another --dir",
			dir, strings.TrimSpace(string(holder)))
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &dirLock{l}, nil
}

func (l *dirLock) Close() error { return l.file.Close() }

// loadAdminToken reads Dir/admin-token, or makes one on the first start. A token that others may read is refused, since
// whoever has it owns the node.
func loadAdminToken(dir string) (auth.Secret, error) {
	path := filepath.Join(dir, adminTokenFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAdminToken(path)
	}
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by other users (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < 32 {
		return "", fmt.Errorf("%s does not hold an admin token; remove it to have a new one made", path)
	}
	return auth.Secret(token), nil
}

func makeAdminToken(path string) (auth.Secret, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(token + "\n")
	return auth.Secret(token), errors.Join(err, f.Sync(), f.Close())
}

// loadNodeSecret reads Dir/node-secret, or makes one on the first start. From it the keys derive that hash one-time codes and
// seal mails on their way. It is no part of any project's file, so a copy of a file alone gives neither away. If it is lost, a new one
// is made: codes that were sent before are then void, and mails that wait cannot be read any more.
func loadNodeSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, nodeSecretFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeNodeSecret(dir, path)
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by other users (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(secret) != auth.NodeSecretLen {
		return nil, fmt.Errorf("%s does not hold a node's secret; remove it to have a new one made, which voids the codes that were sent", path)
	}
	return secret, nil
}

// makeNodeSecret writes a new secret whole or not at all: a crash leaves no half of one to be refused at the next start.
func makeNodeSecret(dir, path string) ([]byte, error) {
	secret := make([]byte, auth.NodeSecretLen)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, nodeSecretFile+"-*") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(hex.EncodeToString(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, err
	}
	return secret, syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeAdminURL tells the CLI on this machine where the running node listens.
func writeAdminURL(dir, url string) error {
	return os.WriteFile(filepath.Join(dir, adminURLFile), []byte(url+"\n"), 0o600)
}
