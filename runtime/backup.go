package runtime

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// backupPatience is how long whoever receives a backup may take for a piece of it.
const backupPatience = time.Minute

// backups is what the node knows of its backups. One is made at a time: each keeps a state of the files in use.
type backups struct {
	running atomic.Bool
	last    atomic.Int64 // when the newest one on schedule was complete, Unix seconds; 0 before
	failed  atomic.Uint64
}

// backUp writes a backup of one project, or of the node if p is nil, and refuses if another one is being made.
func (s *Server) backUp(ctx context.Context, p *project.Project, w io.Writer) error {
	if !s.backups.running.CompareAndSwap(false, true) {
		return errBackupRunning
	}
	defer s.backups.running.Store(false)
	return s.writeBackup(ctx, p, w)
}

// writeBackup is backUp for who holds the right to make one.
func (s *Server) writeBackup(ctx context.Context, p *project.Project, w io.Writer) error {
	extra := map[string][]byte{}
	if p == nil {
		secret, err := os.ReadFile(filepath.Join(s.opt.Dir, nodeSecretFile))
		if err != nil {
			return err
		}
		extra[nodeSecretFile] = secret
	}
	return s.registry.Backup(ctx, p, w, extra)
}

// adminBackupNode answers GET /admin/v1/backup: a stream that archive.Read takes.
func adminBackupNode(r *request) error { return r.streamBackup(nil, "node") }

// adminBackupProject answers GET /admin/v1/projects/{project}/backup likewise.
func adminBackupProject(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	return r.streamBackup(p, p.Name())
}

// streamBackup answers with a backup while it is made. What goes wrong after the first byte can only cut the stream short,
// which its reader notices; the log says why.
func (r *request) streamBackup(p *project.Project, name string) error {
	s, id := r.server, string(r.id[:])
	if p != nil && p.Broken() != nil {
		return errProjectDown
	}
	if !s.backups.running.CompareAndSwap(false, true) {
		return errBackupRunning
	}
	conn, begun := r.http.Conn(), r.start
	res := &r.http.Response
	res.SetStatusCode(fasthttp.StatusOK)
	res.Header.SetContentType("application/zstd")
	res.Header.Set("Content-Disposition", `attachment; filename="`+backupName(name, begun)+`"`)
	s.log.Info("backup begins", "request_id", id, "of", name)
	res.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.backups.running.Store(false)
		defer s.recovered(id)
		err := s.writeBackup(s.stopping, p, &patientWriter{w: w, conn: conn})
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			s.log.Error("backup failed", "request_id", id, "of", name, "error", err)
			return
		}
		s.log.Info("backup done", "request_id", id, "of", name, "took", s.now().Sub(begun))
	})
	return nil
}

func backupName(of string, at time.Time) string {
	return "sluice-" + of + "-" + at.UTC().Format("20060102T150405Z") + backupSuffix
}

// recovered keeps a panic from ending the process.
func (s *Server) recovered(requestID string) {
	if p := recover(); p != nil {
		s.log.Error("panic in a backup", "request_id", requestID, "panic", p)
	}
}

// patientWriter gives the connection new time for every piece: how long a backup takes depends on its size.
type patientWriter struct {
	w    io.Writer
	conn net.Conn
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(backupPatience)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// RestoreOptions and Restored are those of project.Restore.
type (
	RestoreOptions = project.RestoreOptions
	Restored       = project.Restored
)

// Restore puts a backup into a data directory that no node has in use; see project.Restore. From the backup of a whole node
// it takes that node's secret as well, unless the directory has one.
func Restore(ctx context.Context, in io.Reader, opt RestoreOptions) (*Restored, error) {
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	done, err := project.Restore(ctx, in, opt)
	if err != nil || opt.Verify || opt.Project != "" {
		return done, err
	}
	if secret := done.Extra[nodeSecretFile]; len(secret) > auth.NodeSecretLen {
		err = placeSecret(opt.Dir, secret)
	}
	return done, err
}

// placeSecret writes the secret of a restored node. Without it codes that were sent, and mails that wait, are void.
func placeSecret(dir string, secret []byte) error {
	f, err := os.OpenFile(filepath.Join(dir, nodeSecretFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(secret)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(dir))
}
