package runtime

import (
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// home answers GET /, which clients use to see that they talk to the right kind of server.
func home(r *request) error {
	return r.answerRaw(fasthttp.StatusOK, []byte(`{"status":"success","message":"Sluice is running"}`))
}

// live answers GET /livez: the process answers.
func live(r *request) error {
	return r.answerRaw(fasthttp.StatusOK, []byte(`{"status":"ok"}`))
}

// ready answers GET /readyz: the node takes requests. It stops being ready when it begins to drain, so that a balancer
// sends nobody any more.
func ready(r *request) error {
	if r.server.draining.Load() {
		return errShuttingDown
	}
	return r.answerRaw(fasthttp.StatusOK, []byte(`{"status":"ok"}`))
}

// health answers GET /api/health, which needs no key.
func health(r *request) error {
	if r.server.draining.Load() {
		return errShuttingDown
	}
	b := append(r.answer(fasthttp.StatusOK), `{"status":"ok","timestamp":`...)
	b = jsondoc.AppendString(b, project.Timestamp(r.start))
	return r.done(append(b, `,"dependencies":{"database":"connected"}}`...))
}
