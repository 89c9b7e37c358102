package runtime

import (
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

// wireBuild is an index that is being built, in documents.
type wireBuild struct {
	Collection string `json:"collection"`
	Index      string `json:"index"`
	Done       int64  `json:"done"`
	Total      int64  `json:"total"` // when it was declared
}

// wireStore is how a project's file is doing.
type wireStore struct {
	Writable       bool                `json:"writable"`
	DiskFull       bool                `json:"diskFull"`
	Reason         string              `json:"reason,omitempty"` // why it takes no writes
	Durability     string              `json:"durability"`
	UnsyncedMillis int64               `json:"unsyncedMillis"` // age of the oldest write that was answered and is not on disk
	Commit         uint64              `json:"commit"`
	DocumentBytes  int64               `json:"documentBytes"`
	FileBytes      int64               `json:"fileBytes"`
	Queue          int                 `json:"queue"` // writes that wait
	Failures       uint64              `json:"failures"`
	Recoveries     uint64              `json:"recoveries"`
	Building       []wireBuild         `json:"building"`
	Compaction     *project.Compaction `json:"compaction,omitempty"` // the newest since the node started
}

// adminStore answers GET /admin/v1/projects/{project}/store.
func adminStore(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return project.ErrBroken
	}
	h := p.DB.Health()
	out := wireStore{Writable: !h.ReadOnly, DiskFull: h.Full, Reason: h.Reason, Durability: p.State().Config.Durability,
		UnsyncedMillis: h.Unsynced.Milliseconds(), Commit: h.Commit, DocumentBytes: h.DocumentBytes, FileBytes: h.FileBytes,
		Queue: h.Queue, Failures: h.Failures, Recoveries: h.Recoveries}
	if out.Building, err = buildsOf(p); err != nil {
		return err
	}
	if c, ok := p.Compaction(); ok {
		out.Compaction = &c
	}
	return r.answerJSON(fasthttp.StatusOK, out)
}

// buildsOf lists the indexes that are not complete yet.
func buildsOf(p *project.Project) ([]wireBuild, error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	list := []wireBuild{}
	for _, b := range snap.Building() {
		list = append(list, wireBuild(b))
	}
	return list, nil
}

// adminCompact answers POST /admin/v1/projects/{project}/compact: 202, and the compaction goes on in the background.
func adminCompact(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if err := p.Compact(r.server.now); err != nil {
		return err
	}
	r.server.log.Info("compaction begins", "request_id", string(r.id[:]), "project", p.ID)
	c, _ := p.Compaction()
	return r.answerJSON(fasthttp.StatusAccepted, c)
}
