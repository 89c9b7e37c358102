package runtime_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestDamagedProject: a project whose file was lost answers 503 and is never replaced by an empty one; its neighbour, and
// the node, go on.
func TestDamagedProject(t *testing.T) {
	n := &node{dir: t.TempDir()}
	var lost, kept [2]string
	var lostID string
	t.Run("two projects", func(t *testing.T) {
		n.t = t
		n.open()
		a := n.apply("name: lost\ncollections: [{name: things}]")
		b := n.apply("name: kept\ncollections: [{name: things}]")
		lostID = a.ID
		lost = [2]string{a.PublishableKey.Reveal(), a.SecretKey.Reveal()}
		kept = [2]string{b.PublishableKey.Reveal(), b.SecretKey.Reveal()}
		n.send("POST", "/api/data/things", `{"a":1}`, n.as(lost[1], "")...).want(t, 201)
		n.send("POST", "/api/data/things", `{"a":1}`, n.as(kept[1], "")...).want(t, 201)
	})
	if err := os.Truncate(filepath.Join(n.dir, "projects", lostID, "data.db"), 0); err != nil {
		t.Fatal(err)
	}
	t.Run("one of them cut to nothing", func(t *testing.T) {
		n.t = t
		n.open()
		if a := n.send("GET", "/api/data/things", "", n.as(lost[0], "")...).want(t, 503); a.field("reason") != "project.unavailable" {
			t.Error(a.body)
		}
		if a := n.send("GET", "/api/data/things", "", n.as(kept[0], "")...).want(t, 200); a.field("data.total") != "1" {
			t.Error(a.body)
		}
	})
}
