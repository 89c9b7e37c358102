package runtime

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/journal"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of following a log.
const (
	maxFollowed  = 1000 // entries of one answer
	usualFollow  = 100
	maxWaitingIn = 30 // seconds
)

// adminDecisions answers GET /admin/v1/projects/{project}/decisions: why requests were refused.
func adminDecisions(r *request) error {
	return follow(r, "decisions", func(p *project.Project) *journal.Log[journal.Refusal] { return p.Journal.Refusals })
}

// adminLogs answers GET /admin/v1/projects/{project}/logs: what the project's guests wrote.
func adminLogs(r *request) error {
	return follow(r, "lines", func(p *project.Project) *journal.Log[journal.Line] { return p.Journal.Lines })
}

// follow answers with entries of a log, oldest first: the newest ones, or with `after` those behind a number. `wait` lets an
// answer that would be empty wait for the first entry, so that a client can follow.
func follow[T any](r *request, name string, log func(*project.Project) *journal.Log[T]) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return errProjectDown
	}
	args := r.http.QueryArgs()
	number := func(name string, usual, most uint64) uint64 {
		text := args.Peek(name)
		if text == nil {
			return usual
		}
		n, bad := strconv.ParseUint(string(text), 10, 64)
		if bad != nil || n > most {
			err = badParameter(name, "a whole number up to "+strconv.FormatUint(most, 10))
		}
		return n
	}
	after, limit, wait := number("after", 0, 1<<53), int(number("limit", usualFollow, maxFollowed)), number("wait", 0, maxWaitingIn)
	if err != nil {
		return err
	}
	var page journal.Page[T]
	switch {
	case !args.Has("after") && wait == 0:
		page = log(p).Newest(limit)
	case wait == 0:
		page = log(p).After(after, limit)
	default:
		if !args.Has("after") {
			after = log(p).Newest(0).Next
		}
		ctx, cancel := context.WithTimeout(r.server.stopping, time.Duration(wait)*time.Second)
		page = log(p).Wait(ctx, after, limit)
		cancel()
	}
	return r.answerFollowed(name, page.Next, page.Missed, page.Dropped, numbered(&page))
}

// numbered writes each entry with its number as first member.
func numbered[T any](page *journal.Page[T]) []json.RawMessage {
	list := make([]json.RawMessage, len(page.Entries))
	for i, entry := range page.Entries {
		raw, err := json.Marshal(entry)
		if err != nil { // strings, numbers and times always marshal, but for a year beyond 9999
			continue
		}
		b := strconv.AppendUint([]byte(`{"seq":`), page.First+uint64(i), 10)
		list[i] = append(append(b, ','), raw[1:]...)
	}
	return list
}

func (r *request) answerFollowed(name string, next, missed, dropped uint64, entries []json.RawMessage) error {
	return r.answerJSON(fasthttp.StatusOK, map[string]any{name: entries, "next": next, "missed": missed, "dropped": dropped})
}
