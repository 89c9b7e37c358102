package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
	"github.com/sluice-edge/sluice/kv"
)

const (
	perShelf = 50  // documents that have one value of the field shelf
	share    = 100 // a hundredth of all have one price
	group    = 5000
)

// sized is a directory with so many documents.
type sized struct {
	documents int
	dir       string
	project   *node.Project
}

func (s *sized) shelves() int { return s.documents / perShelf }

// keptFile is beside a project that was filled to its end.
const keptFile = "bench-project.json"

// find reports whether the directory was filled by an earlier run.
func (s *sized) find() (bool, error) {
	if _, err := os.Lstat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s is not of this command, or was not filled to its end; remove it or name another -dir", s.dir)
	}
	if err != nil {
		return false, err
	}
	s.project = &node.Project{}
	return true, json.Unmarshal(raw, s.project)
}

// touch reads the file, and has the node map every page of it.
func (s *sized) touch(server *process.Server) error {
	file, err := os.Open(filepath.Join(s.dir, "projects", s.project.ID, "data.db"))
	if err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{io.Discard}, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	const step = 64 // documents: a fault maps the pages around it as well, 64 KiB together
	var next atomic.Int64
	_, err = load.Run{
		Addr: server.Addr, Connections: 8, Duration: load.MaxDuration, Count: int64(s.documents / step), Status: 200,
		Requests: func(int) load.Requests {
			return func(dst []byte) []byte { return s.project.Get(dst, int(next.Add(1)-1)*step) }
		},
	}.Do()
	return err
}

// make fills a new directory. The documents go into the project's file as a node would write them, without one.
func (s *sized) make(ctx context.Context, binary *node.Binary) error {
	if err := s.fill(ctx, binary); err != nil {
		return err
	}
	raw, err := json.Marshal(s.project)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, keptFile), raw, 0o600)
}

func (s *sized) fill(ctx context.Context, binary *node.Binary) (err error) {
	if s.project, err = binary.Create(ctx, s.dir, "{key: shelf, type: Number, index: true}"); err != nil {
		return err
	}
	db, err := kv.Open(filepath.Join(s.dir, "projects", s.project.ID), kv.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if closing := db.Close(); err == nil {
			err = closing
		}
	}()
	for i := 0; i < s.documents; i += group {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b := &kv.Batch{Time: time.Now().UnixMilli()}
		copy(b.ID[:], fmt.Sprintf("growth%010d", i))
		for k := i; k < min(i+group, s.documents); k++ {
			id, ok := kv.ParseDocID(node.AppendID(nil, k))
			if !ok {
				return fmt.Errorf("%s is no id", node.AppendID(nil, k))
			}
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: "posts", ID: id, Value: s.document(k)})
		}
		if _, err := db.Commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (s *sized) document(i int) []byte {
	b := node.AppendDocument(nil, i, s.project.UserID)
	b = append(b[:len(b)-1], `,"shelf":`...)
	return append(strconv.AppendInt(b, int64(i%s.shelves()), 10), '}')
}

// copy makes a directory of the same content, which the caller removes.
func (s *sized) copy() (*sized, error) {
	c := &sized{documents: s.documents, dir: s.dir + ".copy", project: s.project}
	return c, node.Copy(c.dir, s.dir)
}

func (s *sized) remove() { _ = os.RemoveAll(s.dir) }
