package runtime

import (
	"bytes"
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// storeMetrics are what is told of each project's file that could be opened, in the order of the page.
var storeMetrics = []struct {
	name  string
	write func(w io.Writer, name string, h *kv.Health)
}{
	{"sluice_store_writable", func(w io.Writer, name string, h *kv.Health) { metrics.WriteGaugeUint64(w, name, oneIf(!h.ReadOnly)) }},
	{"sluice_store_disk_full", func(w io.Writer, name string, h *kv.Health) { metrics.WriteGaugeUint64(w, name, oneIf(h.Full)) }},
	{"sluice_store_queued_batches", func(w io.Writer, name string, h *kv.Health) { metrics.WriteGaugeUint64(w, name, uint64(h.Queue)) }},
	{"sluice_store_unsynced_seconds", func(w io.Writer, name string, h *kv.Health) { metrics.WriteGaugeFloat64(w, name, h.Unsynced.Seconds()) }},
	{"sluice_store_documents_bytes", func(w io.Writer, name string, h *kv.Health) {
		metrics.WriteGaugeUint64(w, name, uint64(h.DocumentBytes))
	}},
	{"sluice_store_file_bytes", func(w io.Writer, name string, h *kv.Health) { metrics.WriteGaugeUint64(w, name, uint64(h.FileBytes)) }},
	{"sluice_store_commits_total", func(w io.Writer, name string, h *kv.Health) { metrics.WriteCounterUint64(w, name, h.Commit) }},
	{"sluice_store_write_failures_total", func(w io.Writer, name string, h *kv.Health) { metrics.WriteCounterUint64(w, name, h.Failures) }},
	{"sluice_store_recoveries_total", func(w io.Writer, name string, h *kv.Health) { metrics.WriteCounterUint64(w, name, h.Recoveries) }},
}

// refusalNames are the limits that turn requests away, as the metrics name them.
var refusalNames = [project.RefusalKinds]string{
	project.RefusedByAddress: "address",
	project.RefusedByMinute:  "project_minute",
	project.RefusedByDay:     "project_day",
	project.RefusedByLogin:   "login",
	project.RefusedByRefresh: "refresh",
}

// fileMetrics are what is told of each project's files.
var fileMetrics = []struct {
	name  string
	value func(t *project.FileTotals) int64
}{
	{"sluice_files", func(t *project.FileTotals) int64 { return t.Files }},
	{"sluice_files_bytes", func(t *project.FileTotals) int64 { return t.Bytes }},
	{"sluice_files_quota_bytes", func(t *project.FileTotals) int64 { return t.Quota }},
	{"sluice_file_uploads", func(t *project.FileTotals) int64 { return t.Uploads }},
}

// metricsPage answers GET /metrics in the Prometheus text format: the process, and each project's file. Names have base
// units; a project is labelled with its id and name.
func metricsPage(r *request) error {
	type row struct {
		labels string
		health *kv.Health // nil: the project could not be opened
		files  project.FileTotals
	}
	var rows []row
	for _, p := range r.server.registry.List() {
		it := row{labels: fmt.Sprintf("{project=%q,name=%q}", p.ID, p.Name())}
		if p.Broken() == nil {
			h := p.DB.Health()
			it.health = &h
			var err error
			if it.files, err = p.FileTotals(); err != nil {
				return err
			}
		}
		rows = append(rows, it)
	}
	var page bytes.Buffer
	metrics.WriteProcessMetrics(&page)
	metrics.WriteGaugeUint64(&page, "sluice_projects", uint64(len(rows)))
	long := r.server.host.LongCalls()
	metrics.WriteGaugeUint64(&page, "sluice_guest_long_running", uint64(long.Running))
	metrics.WriteGaugeUint64(&page, "sluice_guest_long_waiting", uint64(long.Waiting))
	metrics.WriteCounterUint64(&page, "sluice_guest_long_turns_total", long.Turns)
	metrics.WriteCounterUint64(&page, "sluice_guest_long_refused_total", long.GaveUp)
	for _, it := range rows {
		metrics.WriteGaugeUint64(&page, "sluice_project_up"+it.labels, oneIf(it.health != nil))
	}
	for _, m := range fileMetrics {
		for _, it := range rows {
			if it.health != nil {
				metrics.WriteGaugeUint64(&page, m.name+it.labels, uint64(m.value(&it.files)))
			}
		}
	}
	for _, m := range storeMetrics {
		for _, it := range rows {
			if it.health != nil {
				m.write(&page, m.name+it.labels, it.health)
			}
		}
	}
	for _, p := range r.server.registry.List() {
		for kind, name := range refusalNames {
			metrics.WriteCounterUint64(&page, fmt.Sprintf("sluice_requests_limited_total{project=%q,name=%q,limit=%q}", p.ID, p.Name(), name), p.Usage.Refused[kind].Load())
		}
	}
	if r.server.opt.Backups.Dir != "" {
		metrics.WriteGaugeUint64(&page, "sluice_backup_last_success_timestamp_seconds", uint64(r.server.backups.last.Load()))
		metrics.WriteCounterUint64(&page, "sluice_backup_failures_total", r.server.backups.failed.Load())
	}
	r.appendMailMetrics(&page)
	r.http.Response.SetStatusCode(fasthttp.StatusOK)
	r.http.Response.Header.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	r.http.Response.SetBody(page.Bytes())
	return nil
}

func oneIf(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}
