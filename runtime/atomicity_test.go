package runtime_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestOwnershipRace is the promise that the check and the write are one step. A document changes hands back and forth by
// the secret key while both users keep writing to it. Each hand-over counts up, and Alice owns the even counts: a user's
// write that commits against a state in which the document was not its own would show a count of the other parity, or
// take a hand-over back.
func TestOwnershipRace(t *testing.T) {
	const handovers = 400
	n := start(t, blog)
	var token, id [2]string
	token[0], id[0] = n.user("alice@example.com")
	token[1], id[1] = n.user("bob@example.com")
	doc := n.send("POST", "/api/data/posts", `{"title":"x","count":0}`, n.as(n.pk, token[0])...).want(t, 201).field("_id")

	var done atomic.Bool
	var allowed, refused [2]atomic.Int64
	var writers sync.WaitGroup
	for who := range 2 {
		writers.Go(func() {
			for i := 0; !done.Load(); i++ {
				a := n.send("PATCH", "/api/data/posts/"+doc, fmt.Sprintf(`{"title":"%d-%d"}`, who, i), n.as(n.pk, token[who])...)
				switch a.status {
				case 200:
					allowed[who].Add(1)
					count, _ := strconv.Atoi(a.field("data.count"))
					if a.field("data.userId") != id[who] || count%2 != who {
						t.Errorf("user %d wrote a document that was not its own: %s", who, a.body)
						return
					}
				case 403:
					refused[who].Add(1)
					time.Sleep(100 * time.Microsecond) // leave the processor to those that may write
				default:
					t.Errorf("user %d: %d %s", who, a.status, a.body)
					return
				}
			}
		})
	}
	for i := 1; i <= handovers; i++ {
		a := n.send("PATCH", "/api/data/posts/"+doc, fmt.Sprintf(`{"userId":%q,"count":%d}`, id[i%2], i), n.as(n.sk, "")...)
		if a.status != 200 || a.field("data.count") != strconv.Itoa(i) {
			t.Errorf("hand-over %d: %d %s", i, a.status, a.body)
			break
		}
		if got := n.send("GET", "/api/data/posts/"+doc, "", n.as(n.sk, "")...); got.field("count") != strconv.Itoa(i) || got.field("userId") != id[i%2] {
			t.Errorf("hand-over %d was taken back by a stale write: %s", i, got.body)
			break
		}
	}
	done.Store(true)
	writers.Wait()
	t.Logf("allowed %d and %d, refused %d and %d", allowed[0].Load(), allowed[1].Load(), refused[0].Load(), refused[1].Load())
	for who := range 2 {
		if allowed[who].Load() == 0 || refused[who].Load() == 0 {
			t.Errorf("user %d met only one side of the race, so nothing was tested", who)
		}
	}
}
