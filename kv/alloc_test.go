//go:build !race

package kv_test

import (
	"context"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

func TestHotPathsDoNotAllocate(t *testing.T) {
	_, s, c := filled(t, 3000)
	ctx := context.Background()
	id := kvtest.ID(1234)
	where := []kv.Predicate{{Path: "price", Op: kv.Gte, Values: []kv.Value{number("50")}}, {Path: "tags", Op: kv.Ne, Values: []kv.Value{kv.String("z")}}}
	for _, tt := range []struct {
		name string
		most float64
		do   func() error
	}{
		// bbolt's Bucket.Get makes a cursor and its stack.
		{"get", 3, func() error { _, err := s.Get(c, id); return err }},
		{"a count that examines 3000 documents", 16, func() error {
			_, err := s.Count(ctx, c, &kv.Query{Where: where})
			return err
		}},
		{"the newest 20", 14, func() error { _, err := s.Find(ctx, c, &kv.Query{Limit: 20}); return err }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := testing.AllocsPerRun(100, func() {
				if err := tt.do(); err != nil {
					t.Fatal(err)
				}
			})
			if got > tt.most {
				t.Errorf("%v allocations, at most %v", got, tt.most)
			}
		})
	}
}
