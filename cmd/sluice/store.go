package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-edge/sluice/runtime/project"
)

// indexBuild is an index that is being built, in documents.
type indexBuild struct {
	Collection string `json:"collection"`
	Index      string `json:"index"`
	Done       int64  `json:"done"`
	Total      int64  `json:"total"`
}

// storeState is what a node says of a project's file.
type storeState struct {
	Building   []indexBuild        `json:"building"`
	Compaction *project.Compaction `json:"compaction"`
}

func (c *client) store(ctx context.Context, name string) (*storeState, error) {
	var answer storeState
	err := c.do(ctx, http.MethodGet, "/admin/v1/projects/"+url.PathEscape(name)+"/store", "", nil, &answer)
	return &answer, err
}

// compact has the node begin to compact a project's file.
func (c *client) compact(ctx context.Context, name string) (*project.Compaction, error) {
	var answer project.Compaction
	err := c.do(ctx, http.MethodPost, "/admin/v1/projects/"+url.PathEscape(name)+"/compact", "", nil, &answer)
	return &answer, err
}

// watchIndexes shows a person how far the indexes are that an apply began, until they are complete. A program is told
// that they are not.
func watchIndexes(ctx context.Context, node *client, r *applied, term *terminal) error {
	building := r.Building
	for i := 0; len(building) > 0; i++ {
		b := building[0]
		title := fmt.Sprintf("building index [%s] of %s", b.Index, b.Collection)
		progress, done := term.progress(title)
		if progress == nil {
			fmt.Fprintf(term.out, "The node is building %d indexes in the background; queries use each one when it is complete.\n", len(building))
			return nil
		}
		for len(building) > 0 && building[0].Collection == b.Collection && building[0].Index == b.Index {
			progress(min(building[0].Done, building[0].Total), building[0].Total)
			select {
			case <-ctx.Done():
				done()
				return ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
			store, err := node.store(ctx, r.ID)
			if err != nil {
				done()
				return err
			}
			building = store.Building
		}
		done()
		fmt.Fprintf(term.out, "Built index [%s] of %s.\n", b.Index, b.Collection)
	}
	return nil
}
