package hooktest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

// An event's verdict and fuel depend on the module and the event alone: not on what was asked before, on the instance, on the host
// or on who else asks at the same time. The guest's own heap, its collector and its maps are part of this.
func sameVerdictSameFuel(t *testing.T, bundles []*hooks.Bundle) {
	type outcome struct {
		hooks.Decision
		err string
	}
	ask := func(bundle *hooks.Bundle, e *hooks.Event, hook bool) outcome {
		f := bundle.Policy
		if hook && e.Op != hooks.OpRead {
			f = bundle.Hook
		}
		d, err := f(context.Background(), e)
		return outcome{d, fmt.Sprint(err)}
	}
	rapid.Check(t, func(t *rapid.T) {
		document := rapid.Custom(func(t *rapid.T) []byte {
			return fmt.Appendf(nil, `{"title":%q,"price":%d,"public":%v,"userId":"u%d","tags":[%s1]}`,
				rapid.StringMatching(`[a-z A-Z]{0,20}`).Draw(t, "title"), rapid.IntRange(0, 200).Draw(t, "price"), rapid.Bool().Draw(t, "public"),
				rapid.IntRange(1, 2).Draw(t, "user"), strings.Repeat("1,", rapid.SampledFrom([]int{0, 10, 1000, 10_000}).Draw(t, "length")))
		})
		event := rapid.Custom(func(t *rapid.T) *hooks.Event {
			e := &hooks.Event{Op: hooks.Op(rapid.IntRange(1, 4).Draw(t, "op")), Collection: hooktest.Collection, UserID: "u1",
				Now: rapid.Int64Range(0, 1<<41).Draw(t, "now"), RequestID: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "request")}
			switch e.Op {
			case hooks.OpRead:
				e.Documents = rapid.SliceOfN(document, 0, 5).Draw(t, "documents")
			case hooks.OpDelete:
				e.Before = document.Draw(t, "before")
			default:
				e.After = document.Draw(t, "after")
			}
			return e
		})
		events := rapid.SliceOfN(event, 1, 6).Draw(t, "events")
		hook := rapid.Bool().Draw(t, "hook")
		want := make([]outcome, len(events))
		for i, e := range events {
			want[i] = ask(bundles[0], e, hook)
		}
		check := func(bundle *hooks.Bundle, i int) error {
			if got := ask(bundle, events[i], hook); !reflect.DeepEqual(got, want[i]) {
				return fmt.Errorf("event %d: got %+v, want %+v", i, got, want[i])
			}
			return nil
		}
		for _, bundle := range bundles {
			order := rapid.Permutation(indexes(len(events))).Draw(t, "order")
			for _, i := range order {
				if err := check(bundle, i); err != nil {
					t.Fatal(err)
				}
			}
		}
		var group sync.WaitGroup
		errs := make([]error, len(events))
		for i := range events {
			group.Go(func() { errs[i] = check(bundles[0], i) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
