package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/bench/node"
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

// make fills a new directory. The documents go into the project's file as a node would write them, without one.
func (s *sized) make(ctx context.Context, binary *node.Binary) (err error) {
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
