package runtime

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/auth"
)

// The operator's routes to a project's files are those of the storage API, asked as by a secret key. Bytes do not pass the
// admin listener: it answers signed addresses of the public one.

// actAsProject lets the operator ask what a secret key of the project could.
func actAsProject(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return errProjectDown
	}
	r.project, r.state, r.role = p, p.State(), auth.RoleSecret
	return nil
}

// adminSweepFiles answers POST /admin/v1/projects/{project}/files/sweep?age=: what nothing refers to, and is older than so
// many seconds (a day), is removed.
func adminSweepFiles(r *request) error {
	age := 24 * time.Hour
	if text := r.http.QueryArgs().Peek("age"); len(text) > 0 {
		n, err := strconv.ParseUint(string(text), 10, 31)
		if err != nil {
			return badParameter("age", "a whole number of seconds")
		}
		age = time.Duration(n) * time.Second
	}
	ctx, cancel := r.during(deployTime)
	defer cancel()
	swept, err := r.server.registry.SweepFiles(ctx, r.project, age)
	if err != nil {
		return err
	}
	return r.answerJSON(fasthttp.StatusOK, swept)
}
