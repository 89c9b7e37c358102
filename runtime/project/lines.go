package project

import (
	"context"
	"log/slog"

	"github.com/sluice-edge/sluice/runtime/journal"
)

// lines takes what a project's guests write. It goes to the project's journal, which is bounded, and to the server's log for
// those who debug the node: a guest must not be able to fill that.
type lines struct {
	journal *journal.Journal
	server  slog.Handler
}

func (lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) Handle(ctx context.Context, r slog.Record) error {
	line := journal.Line{Time: r.Time, Level: levelNames[min(max(r.Level/4+1, 0), 3)]}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "module":
			line.Module = a.Value.String()
		case "request_id":
			line.RequestID = a.Value.String()
		case "line":
			line.Text = a.Value.String()
		}
		return true
	})
	l.journal.Write(line)
	if l.server.Enabled(ctx, slog.LevelDebug) {
		r.Level = slog.LevelDebug
		return l.server.Handle(ctx, r)
	}
	return nil
}

var levelNames = [...]string{"debug", "info", "warn", "error"}

// WithAttrs and WithGroup are for loggers derived from this one, of which there are none.
func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l lines) WithGroup(string) slog.Handler      { return l }
