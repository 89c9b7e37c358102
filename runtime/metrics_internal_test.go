package runtime

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// What an operator is woken by says what kv says: a full disk is told apart from a broken one, and either from neither. (That
// kv says so, on a disk that is full, is shown in kv and in torture.)
func TestStoreMetricsSayWhatTheStoreSays(t *testing.T) {
	page := func(h kv.Health) string {
		var out bytes.Buffer
		for _, m := range storeMetrics {
			m.write(&out, m.name, &h)
		}
		return out.String()
	}
	for name, c := range map[string]struct {
		health kv.Health
		want   []string
	}{
		"well":   {kv.Health{Commit: 7, Queue: 3}, []string{"writable 1", "disk_full 0", "commits_total 7", "queued_batches 3"}},
		"full":   {kv.Health{ReadOnly: true, Full: true, Failures: 1}, []string{"writable 0", "disk_full 1", "write_failures_total 1"}},
		"broken": {kv.Health{ReadOnly: true, Failures: 2, Recoveries: 1}, []string{"writable 0", "disk_full 0", "write_failures_total 2", "recoveries_total 1"}},
		"late":   {kv.Health{Unsynced: 1500 * time.Millisecond, DocumentBytes: 5, FileBytes: 4096}, []string{"unsynced_seconds 1.5", "documents_bytes 5", "file_bytes 4096"}},
	} {
		got := page(c.health)
		for _, want := range c.want {
			if !strings.Contains(got, "sluice_store_"+want+"\n") {
				t.Errorf("%s: no line sluice_store_%s in\n%s", name, want, got)
			}
		}
	}
}
