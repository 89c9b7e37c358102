package runtime

import (
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of a page of the audit log.
const (
	usualAudit = 100
	maxAudit   = 1000
)

// adminAudit answers GET /admin/v1/projects/{project}/audit: what has happened to accounts, oldest first. Without before and after it
// is the newest entries; before goes back from an entry, after goes on from one. What is still being counted is stored first.
func adminAudit(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return errProjectDown
	}
	args := r.http.QueryArgs()
	q := project.AuditQuery{Limit: usualAudit, UserID: string(args.Peek("user")), Kind: project.AuditKind(args.Peek("kind"))}
	if text := args.Peek("limit"); text != nil {
		if q.Limit, err = strconv.Atoi(string(text)); err != nil || q.Limit < 1 || q.Limit > maxAudit {
			return badParameter("limit", "a whole number from 1 to "+strconv.Itoa(maxAudit))
		}
	}
	for _, end := range []struct {
		name string
		into *string
	}{{"before", &q.Before}, {"after", &q.After}} {
		text := args.Peek(end.name)
		if len(text) == 0 {
			continue
		}
		id, ok := kv.ParseDocID(text)
		if !ok {
			return badParameter(end.name, "the _id of an entry")
		}
		*end.into = id.String()
	}
	if err := r.server.registry.SaveFailures(r.context(), p); err != nil {
		r.server.log.Warn("failed logins not saved", "request_id", string(r.id[:]), "project", p.ID, "error", err) // what is there can be read all the same
	}
	entries, more, err := p.AuditPage(r.context(), q)
	if err != nil {
		return err
	}
	list := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		list[i] = e
	}
	return r.answerJSON(fasthttp.StatusOK, map[string]any{"entries": list, "more": more})
}
