package runtime_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/kvtest"
)

// A full disk is said to be one, costs nothing that was acknowledged, and ends by itself.
func TestFullDisk(t *testing.T) {
	n := start(t, blog)
	insert := func() *answer { return n.send("POST", "/api/data/open", `{"a":1}`, n.as(n.sk, "")...) }
	// Enough of them that the file has room for one more: the device that stands in for a full disk has no size, and a file that has to
	// grow is measured first.
	const before = 40
	for range before {
		if out := insert(); out.status != 201 {
			t.Fatalf("%d %s", out.status, out.body)
		}
	}
	id := n.operate("GET", "/admin/v1/projects").field("projects.0.id")
	repair := kvtest.BreakDisk(t, filepath.Join(n.dir, "projects", id), "/dev/full")
	out := insert()
	if out.status != 503 || out.field("reason") != "store.full" || out.header.Get("Retry-After") == "" || !strings.Contains(out.field("message"), "Nothing was written") {
		t.Errorf("a write: %d %s", out.status, out.body)
	}
	if out := n.send("GET", "/api/data/open?count=true", "", n.as(n.sk, "")...); out.field("data.count") != strconv.Itoa(before) {
		t.Errorf("a read: %d %s", out.status, out.body)
	}
	// Whether it is full is looked at twice a second, on a disk that this test cannot fill; that it takes no writes stays.
	if out := n.operate("GET", "/metrics"); !strings.Contains(out.body, "sluice_store_writable{project=\""+id+`",name="blog"} 0`) {
		t.Errorf("metrics:\n%s", out.body)
	}
	repair()
	until(t, "writable", func() bool { return n.operate("GET", "/admin/v1/projects/blog/store").field("writable") == "true" })
	if out := insert(); out.status != 201 {
		t.Errorf("a write afterwards: %d %s", out.status, out.body)
	}
	if out := n.send("GET", "/api/data/open?count=true", "", n.as(n.sk, "")...); out.field("data.count") != strconv.Itoa(before+1) {
		t.Errorf("afterwards: %d %s", out.status, out.body)
	}
}
