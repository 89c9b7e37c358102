package project

import (
	"context"
	"time"
)

// saveEvery is how old a refusal may become before it is on disk.
const saveEvery = 10 * time.Second

// saveLoop writes the projects' journals, and the failed logins of their audit logs, now and then, until the registry is closed. One that cannot be written, on a full
// disk perhaps, is tried again; that nothing else hangs on it is why it is only a warning.
func (r *Registry) saveLoop(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, p := range r.List() {
				if p.broken != nil {
					continue
				}
				if err := p.Journal.Save(); err != nil {
					r.log.WarnContext(ctx, "decisions not saved", "project", p.ID, "error", err)
				}
				if err := r.SaveFailures(ctx, p); err != nil && ctx.Err() == nil {
					r.log.WarnContext(ctx, "failed logins not saved", "project", p.ID, "error", err)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}
