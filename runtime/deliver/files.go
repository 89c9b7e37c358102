package deliver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
)

// Files is the carrier of a node without a mail server: each mail becomes a file <time>-<id>.eml in a directory, mode 0600, that any mail
// program opens.
type Files struct {
	dir string
	log *slog.Logger
}

// NewFiles makes the directory, if it is not there, and says once in the log where mails will lie.
func NewFiles(dir string, log *slog.Logger) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	log.Info("no mail server is configured (--smtp-host): mails are kept as files", "dir", dir)
	return &Files{dir, log}, nil
}

// Carry writes the mail and has it on disk before it returns. One that comes again takes the place of its file.
func (f *Files) Carry(_ context.Context, p *Parcel) error {
	m, err := compose(p)
	if err != nil {
		return &Rejection{err.Error()}
	}
	path := filepath.Join(f.dir, p.Created.UTC().Format("20060102T150405Z")+"-"+p.ID+".eml")
	file, err := os.CreateTemp(f.dir, ".mail-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = m.WriteTo(file)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return err
	}
	f.log.Info("mail kept as a file", "file", path)
	return nil
}
