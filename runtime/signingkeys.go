package runtime

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

var errOverlap = reason(400, "key.bad_overlap", "The overlap must be a number of seconds from 0 to 86400.")

// adminListSigningKeys answers GET /admin/v1/projects/{project}/keys/jwt: which keys the project's access tokens are signed with. Secrets
// never leave the node.
func adminListSigningKeys(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	return r.answerSigningKeys(fasthttp.StatusOK, p)
}

// adminRotateSigningKey answers POST /admin/v1/projects/{project}/keys/jwt/rotate with the body {"overlapSeconds": n}, by default the life of
// an access token, so that nobody notices.
func adminRotateSigningKey(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	wish := struct {
		Overlap *int64 `json:"overlapSeconds"`
	}{}
	if body := r.http.Request.Body(); len(body) > 0 {
		if err := decodeStrictly(body, &wish); err != nil {
			return errOverlap.because(err)
		}
	}
	overlap := auth.AccessLifetime
	if wish.Overlap != nil {
		if *wish.Overlap < 0 || *wish.Overlap > int64(project.MaxOverlap/time.Second) {
			return errOverlap
		}
		overlap = time.Duration(*wish.Overlap) * time.Second
	}
	kid, err := r.server.registry.RotateTokens(r.context(), p, overlap, project.AuditEntry{By: "operator", RequestID: string(r.id[:])})
	if err != nil {
		return err
	}
	r.server.log.Info("signing key rotated", "request_id", string(r.id[:]), "project", p.ID, "kid", kid, "overlap", overlap)
	return r.answerSigningKeys(fasthttp.StatusCreated, p)
}

func (r *request) answerSigningKeys(status int, p *project.Project) error {
	if p.Broken() != nil {
		return errProjectDown
	}
	keys, err := p.SigningKeys(r.server.now())
	if err != nil {
		return err
	}
	return r.answerJSON(status, map[string]any{"keys": keys})
}
