package runtime_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/project"
)

// TestFileRaces has many clients upload, confirm, give up and delete at once, files of the same bytes among them, in a
// project that is nearly full. At every moment the quota holds, what was acknowledged is there, and in the end the counter
// says what there is, and no bytes are left that no file has.
func TestFileRaces(t *testing.T) {
	const quota = 40_000
	clock := newClock()
	n := start(t, fmt.Sprintf("name: drive\nfiles: {totalBytes: %d}\n", quota), func(o *runtime.Options) { o.Now = clock.now })
	secret := n.as(n.sk, "")
	p := n.server.Registry().List()[0]
	watching, stop := context.WithCancel(t.Context())
	var watcher, clients sync.WaitGroup
	watcher.Go(func() {
		for watching.Err() == nil {
			totals, err := p.FileTotals()
			if err != nil || totals.Bytes > quota || totals.Bytes < 0 {
				t.Errorf("%+v, %v", totals, err)
				return
			}
		}
	})
	for client := range 8 {
		clients.Go(func() {
			n, random := *n, rand.New(rand.NewPCG(1, uint64(client)))
			var mine []string
			for range 60 {
				size := 1 + random.IntN(6000)
				contents := strings.Repeat(string(rune('a'+random.IntN(3))), size/1000*1000+1) // few different ones
				switch random.IntN(5) {
				case 0, 1:
					a := n.upload(secret, "file:a", contents)
					if a.status == 201 {
						mine = append(mine, a.field("path"))
					} else if a.status != 403 {
						t.Errorf("upload: %d %s", a.status, a.body)
					}
				case 2:
					ask := n.send("POST", "/api/storage/upload-request", fmt.Sprintf(`{"filename":"b","contentType":"text/plain","size":%d}`, len(contents)), secret...)
					if ask.status == 403 {
						continue
					}
					if random.IntN(3) == 0 { // given up
						n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, ask.field("filePath")), secret...).want(t, 200)
						continue
					}
					n.send("PUT", n.at(t, ask.field("signedUrl")), contents).want(t, 200)
					var twice sync.WaitGroup
					for range 2 {
						twice.Go(func() {
							n.send("POST", "/api/storage/upload-confirm", fmt.Sprintf(`{"filePath":%q,"size":%d}`, ask.field("filePath"), len(contents)), secret...).want(t, 200)
						})
					}
					twice.Wait()
					mine = append(mine, ask.field("filePath"))
				default:
					if len(mine) == 0 {
						continue
					}
					i := random.IntN(len(mine))
					if got := n.send("GET", "/files/"+mine[i], ""); got.status != 200 || len(got.body) == 0 || strings.Trim(got.body, got.body[:1]) != "" {
						t.Errorf("%s, which was acknowledged: %d, %d bytes", mine[i], got.status, len(got.body))
					}
					n.send("DELETE", "/api/storage/file", fmt.Sprintf(`{"path":%q}`, mine[i]), secret...).want(t, 200)
					mine = append(mine[:i], mine[i+1:]...)
				}
			}
			for _, path := range mine {
				if got := n.send("GET", "/files/"+path, ""); got.status != 200 {
					t.Errorf("%s, which was acknowledged: %d", path, got.status)
				}
			}
		})
	}
	clients.Wait()
	stop()
	watcher.Wait()
	clock.forward(3601 * time.Second)
	if _, err := n.server.Registry().Sweep(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	report, err := project.CheckFiles(t.Context(), p.DB, p.Blobs)
	if err != nil || report.Problems != nil || report.Orphans != 0 || report.Reserved != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if report.Files == 0 {
		t.Error("no file was stored: this was no race")
	}
	n.send("DELETE", "/api/storage/all", "", secret...).want(t, 200)
	if totals, err := p.FileTotals(); err != nil || totals.Files != 0 || totals.Bytes != 0 || totals.Uploads != 0 {
		t.Errorf("after everything was deleted: %+v, %v", totals, err)
	}
}
