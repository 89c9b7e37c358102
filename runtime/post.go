package runtime

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"time"

	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/project"
)

// outboxDir is where mails lie as files when no server carries them.
const outboxDir = "outbox"

// closePostWithin is how long a mail that is on its way is waited for when the node stops.
const closePostWithin = 5 * time.Second

// startPost begins to carry what waits in the outboxes of all projects, what a node that died had begun included.
func (s *Server) startPost(ctx context.Context) error {
	carrier := s.opt.Carrier
	if s.opt.HoldMail {
		s.log.Warn("mails are held back: they wait in their outboxes (--hold-mail)")
	} else if carrier == nil {
		files, err := deliver.NewFiles(filepath.Join(s.opt.Dir, outboxDir), s.log)
		if err != nil {
			return err
		}
		carrier = files
	}
	var err error
	if s.post, err = deliver.NewPost(carrier, deliver.PostOptions{Logger: s.log, Now: s.now, Random: rand.Reader, Hold: s.opt.HoldMail}); err != nil {
		return err
	}
	if s.opt.HoldMail {
		return nil
	}
	for _, p := range s.registry.List() {
		if p.Broken() != nil {
			continue
		}
		outbox := s.outbox(p)
		if err := s.post.Release(ctx, outbox); err != nil { // the leases end by themselves, too
			s.log.Warn("mails that the node before had begun wait for their leases to end", "project", p.ID, "error", err)
		}
		s.post.Wake(outbox)
	}
	return nil
}

func (s *Server) closePost(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closePostWithin)
	defer cancel()
	s.post.Close(ctx)
}

// outbox is a project's outbox as the post knows it.
func (s *Server) outbox(p *project.Project) deliver.Outbox {
	return deliver.Outbox{Project: p.ID, Collection: project.Outbox, Sealer: p.Box, DB: p.DB, Write: p.Write}
}
