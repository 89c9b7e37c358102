package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// BackupSchedule says where a node puts backups of itself, how often, and how many stay. The zero value makes none.
type BackupSchedule struct {
	Dir   string
	Every time.Duration
	Keep  int
}

const (
	backupSuffix = ".tar.zst"
	backupPart   = ".part" // behind the name of one that is being made
	// backupRetry is when one that failed is tried again, if the next is not due before.
	backupRetry = 10 * time.Minute
)

// backUpOnSchedule makes a backup whenever the newest one is old enough, until ctx ends. That the newest is looked up on the
// disk makes a node that is restarted every hour keep to a day.
func (s *Server) backUpOnSchedule(ctx context.Context) {
	b := s.opt.Backups
	for {
		wait, err := s.nextBackup()
		if err == nil && wait <= 0 {
			err = s.backUpToDisk(ctx)
			if err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.backups.failed.Add(1)
			s.log.ErrorContext(ctx, "backup failed; it is tried again", "dir", b.Dir, "in", min(backupRetry, b.Every), "error", err)
			wait = min(backupRetry, b.Every)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// nextBackup says how long it is until the next one, and removes those that are too many.
func (s *Server) nextBackup() (time.Duration, error) {
	made, err := s.madeBackups()
	if err != nil || len(made) == 0 {
		return 0, err
	}
	for len(made) > s.opt.Backups.Keep {
		if err := os.Remove(filepath.Join(s.opt.Backups.Dir, made[0].Name())); err != nil {
			return 0, err
		}
		made = made[1:]
	}
	newest, err := made[len(made)-1].Info()
	if err != nil {
		return 0, err
	}
	s.backups.last.Store(newest.ModTime().Unix())
	return newest.ModTime().Add(s.opt.Backups.Every).Sub(s.now()), nil
}

// madeBackups lists the complete backups, oldest first, and removes what a crash left of others. Files of other names are
// not its business.
func (s *Server) madeBackups() (made []fs.DirEntry, err error) {
	dir := s.opt.Backups.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // by name, which holds the time
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case !strings.HasPrefix(name, "sluice-node-"):
		case strings.HasSuffix(name, backupSuffix):
			made = append(made, e)
		case strings.HasSuffix(name, backupSuffix+backupPart):
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	return slices.Clip(made), nil
}

// backUpToDisk makes one backup, which has its name only when it is whole and durable.
func (s *Server) backUpToDisk(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	begun := s.now()
	path := filepath.Join(s.opt.Backups.Dir, backupName("node", begun))
	f, err := os.OpenFile(path+backupPart, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = s.backUp(ctx, nil, w)
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+backupPart, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+backupPart))
	}
	if err := syncDir(s.opt.Backups.Dir); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the backup is gone: %w", err)
	}
	s.log.InfoContext(ctx, "backup made", "file", path, "bytes", info.Size(), "took", s.now().Sub(begun))
	return nil
}
