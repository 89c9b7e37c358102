package runtime

import (
	"errors"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// adminDisableUser answers POST /admin/v1/projects/{project}/users/{id}/disable: nobody logs in as this user, and none of its tokens is good from
// now on. Nothing of the account is lost.
func adminDisableUser(r *request) error { return r.setDisabled(true, project.AuditDisabled) }

// adminEnableUser answers POST /admin/v1/projects/{project}/users/{id}/enable: the user may log in again. What was ended stays so.
func adminEnableUser(r *request) error { return r.setDisabled(false, project.AuditEnabled) }

func (r *request) setDisabled(disabled bool, kind project.AuditKind) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return errProjectDown
	}
	id, ok := kv.ParseDocID(r.param("id"))
	if !ok {
		return errUserNotFound
	}
	r.project, r.state = p, p.State()
	var ended int
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		doc, err := r.load(id)
		if errors.Is(err, kv.ErrNotFound) {
			return nil, errUserNotFound
		}
		if err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: id, Rev: doc.Rev})
		if ended, err = r.endAccount(b, id, "", func(a *project.Account) { a.Disabled = disabled }); err != nil {
			return nil, err
		}
		r.audit(b, kind, id.String())
		return b, nil
	})
	if err != nil {
		return err
	}
	return r.answerJSON(fasthttp.StatusOK, map[string]any{"id": id.String(), "disabled": disabled, "sessionsEnded": ended})
}
