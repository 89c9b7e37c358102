package runtime_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/project"
)

// operate sends a request to the admin listener.
func (n *node) operate(method, path string, token ...string) *answer {
	n.t.Helper()
	req, err := http.NewRequest(method, n.server.AdminURL()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if token == nil {
		token = []string{n.server.AdminToken().Reveal()}
	}
	req.Header.Set("Authorization", "Bearer "+token[0])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return &answer{resp.StatusCode, resp.Header, string(body)}
}

// seed inserts documents with a secret key, in bulk.
func (n *node) seed(collection string, count int, document func(i int) string) {
	n.t.Helper()
	for from := 0; from < count; from += 100 {
		var list []string
		for i := from; i < min(from+100, count); i++ {
			list = append(list, document(i))
		}
		if out := n.send("POST", "/api/data/"+collection+"/bulk", "["+strings.Join(list, ",")+"]", n.as(n.sk, "")...); out.status != 201 {
			n.t.Fatalf("seed: %d %s", out.status, out.body)
		}
	}
}

// until asks again until a question is answered with yes.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for begun := time.Now(); !yes(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("after 30 seconds: still not %s", what)
		}
	}
}

// The operator sees how a project's file is, and shrinks it while apps go on.
func TestStoreIsShownAndCompacted(t *testing.T) {
	n := start(t, blog)
	n.seed("open", 3000, func(i int) string { return fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("x", 300)) })
	for n.send("GET", "/api/data/open?count=true", "", n.as(n.sk, "")...).field("data.count") != "100" {
		var page struct {
			Data struct {
				Items []struct {
					ID string `json:"_id"`
				}
			}
		}
		if err := json.Unmarshal([]byte(n.send("GET", "/api/data/open?limit=100", "", n.as(n.sk, "")...).body), &page); err != nil {
			t.Fatal(err)
		}
		var ops []string
		for _, d := range page.Data.Items {
			ops = append(ops, fmt.Sprintf(`{"op":"delete","collection":"open","id":%q}`, d.ID))
		}
		if out := n.send("POST", "/api/batch", `{"operations":[`+strings.Join(ops, ",")+`]}`, n.as(n.sk, "")...); out.status != 200 {
			t.Fatalf("delete: %d %s", out.status, out.body)
		}
	}
	before := n.operate("GET", "/admin/v1/projects/blog/store")
	if before.status != 200 || before.field("writable") != "true" || before.field("durability") != "strict" || before.field("building") != "[]" {
		t.Fatalf("store: %d %s", before.status, before.body)
	}
	begun := n.operate("POST", "/admin/v1/projects/blog/compact")
	if begun.status != 202 || begun.field("startedAt") == "" {
		t.Fatalf("compact: %d %s", begun.status, begun.body)
	}
	until(t, "compacted", func() bool {
		if out := n.send("POST", "/api/data/open", `{"while":"it runs"}`, n.as(n.sk, "")...); out.status != 201 {
			t.Fatalf("a write meanwhile: %d %s", out.status, out.body)
		}
		return n.operate("GET", "/admin/v1/projects/blog/store").field("compaction.running") == "false"
	})
	after := n.operate("GET", "/admin/v1/projects/blog/store")
	was, _ := strconv.Atoi(before.field("fileBytes"))
	if now, err := strconv.Atoi(after.field("fileBytes")); err != nil || now >= was/2 || strings.Contains(after.body, `"error"`) {
		t.Errorf("before %s\nafter  %s", before.body, after.body)
	}
	for _, tt := range []struct {
		method, path string
		token        []string
		status       int
	}{
		{"GET", "/admin/v1/projects/blog/store", []string{"wrong"}, 401},
		{"POST", "/admin/v1/projects/blog/compact", []string{"wrong"}, 401},
		{"GET", "/metrics", []string{"wrong"}, 401},
		{"GET", "/admin/v1/projects/nothing/store", nil, 404},
		{"POST", "/admin/v1/projects/nothing/compact", nil, 404},
		{"GET", "/admin/v1/projects/blog/compact", nil, 405},
	} {
		if out := n.operate(tt.method, tt.path, tt.token...); out.status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, out.status, out.body, tt.status)
		}
	}
}

// An index on a collection that is large is built while it is in use, and whoever asks sees how far it is.
func TestIndexIsBuiltInTheBackground(t *testing.T) {
	n := start(t, blog)
	n.seed("open", 2500, func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) })
	indexed := strings.Replace(blog, "  - name: open\n    fields: []", "  - name: open\n    fields: [{key: n, type: Number, index: true}]", 1)
	n.apply(indexed)
	schema := func() *answer { return n.send("GET", "/api/schemas/open", "", n.as(n.pk, "")...) }
	if got := schema().field("collection.indexes.0.name"); got != "n" {
		t.Fatalf("the schema shows %s", schema().body)
	}
	until(t, "built", func() bool { return schema().field("collection.indexes.0.ready") == "true" })
	if out := n.operate("GET", "/admin/v1/projects/blog/store"); out.field("building") != "[]" {
		t.Errorf("complete, and yet: %s", out.body)
	}
	plan := n.send("GET", "/api/data/open?n=7&explain=true", "", n.as(n.sk, "")...)
	if !strings.Contains(plan.body, `"plan":"index:n"`) {
		t.Errorf("it is not used: %s", plan.body)
	}
}

// durability: relaxed is the project's choice; it is shown, and can be taken back.
func TestDurabilityIsTheProjects(t *testing.T) {
	n := start(t, strings.Replace(blog, "name: blog", "name: blog\ndurability: relaxed\nsyncMillis: 5000", 1))
	insert := func() {
		t.Helper()
		if out := n.send("POST", "/api/data/open", `{"a":1}`, n.as(n.sk, "")...); out.status != 201 {
			t.Fatalf("%d %s", out.status, out.body)
		}
	}
	store := func() *answer { return n.operate("GET", "/admin/v1/projects/blog/store") }
	insert()
	time.Sleep(3 * time.Millisecond)
	if out := store(); out.field("durability") != "relaxed" || out.field("unsyncedMillis") == "0" {
		t.Errorf("relaxed: %s", out.body)
	}
	n.apply(blog)
	insert()
	if out := store(); out.field("durability") != "strict" || out.field("unsyncedMillis") != "0" {
		t.Errorf("strict again: %s", out.body)
	}
}

func TestDurabilityIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		"durability: none":                       "durability: must be strict or relaxed",
		"syncMillis: 10":                         "syncMillis: only with durability: relaxed",
		"durability: relaxed\nsyncMillis: 10001": "syncMillis: must be between 1 and 10000 milliseconds",
	} {
		if _, err := project.ParseFile("f", []byte("name: p\n"+text+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A scrape shows every project, and what its file says.
func TestMetrics(t *testing.T) {
	n := start(t, blog)
	n.send("POST", "/api/data/open", `{"a":1}`, n.as(n.sk, "")...)
	out := n.operate("GET", "/metrics")
	if out.status != 200 || !strings.HasPrefix(out.header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", out.status, out.header)
	}
	id := n.operate("GET", "/admin/v1/projects").field("projects.0.id")
	labels := fmt.Sprintf(`{project=%q,name="blog"}`, id)
	for _, want := range []string{"sluice_projects 1\n", "sluice_project_up" + labels + " 1\n", "sluice_store_writable" + labels + " 1\n",
		"sluice_store_disk_full" + labels + " 0\n", "sluice_store_commits_total" + labels + " ", "process_resident_memory_bytes ",
		"sluice_guest_long_running 0\n", "sluice_guest_long_waiting 0\n", "sluice_guest_long_turns_total ", "sluice_guest_long_refused_total 0\n"} {
		if !strings.Contains(out.body, want) {
			t.Errorf("no %q in\n%s", want, out.body)
		}
	}
}

// When more writes come than can wait, some are told so and when to come back; what was answered otherwise is stored.
func TestTooManyWritesAreTurnedAway(t *testing.T) {
	n := start(t, blog, func(o *runtime.Options) { o.KV.QueueLength, o.KV.GroupCount = 1, 1 })
	var stored, refused atomic.Int64
	var writers sync.WaitGroup
	for range 64 {
		writers.Go(func() {
			for range 20 {
				switch out := n.send("POST", "/api/data/open", `{"a":1}`, n.as(n.sk, "")...); {
				case out.status == 201:
					stored.Add(1)
				case out.status == 503 && out.field("reason") == "busy.writes" && out.header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("%d %s", out.status, out.body)
				}
			}
		})
	}
	writers.Wait()
	if refused.Load() == 0 || stored.Load() == 0 {
		t.Fatalf("%d stored, %d refused: the queue was not full", stored.Load(), refused.Load())
	}
	if out := n.send("GET", "/api/data/open?count=true", "", n.as(n.sk, "")...); out.field("data.count") != strconv.FormatInt(stored.Load(), 10) {
		t.Errorf("%d were acknowledged: %s", stored.Load(), out.body)
	}
}
