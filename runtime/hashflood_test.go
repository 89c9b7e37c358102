package runtime

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-edge/sluice/runtime/auth"
)

// TestHashingFlood: SEC-19. When more passwords wait than may, a further login is refused at once and told when to come back, for an account
// that there is and one that there is not; reads go on.
func TestHashingFlood(t *testing.T) {
	n := newBenchNode(t)
	n.signUp(t, "ann@example.com")
	path := n.insert(t)
	n.server.hasher = auth.NewHasher(auth.HasherOptions{Slots: 1, Queue: 1})
	slow := n.server.hasher.With(64<<10, 16)
	ctx, stop := context.WithCancel(context.Background())
	const flood = 8
	ended := make(chan error, flood)
	for range flood {
		go func() {
			_, _, err := slow.Verify(ctx, "", "correct horse")
			ended <- err
		}()
	}
	for range flood - 2 { // one is hashed, one waits
		if err := <-ended; !errors.Is(err, auth.ErrBusy) {
			t.Fatal(err)
		}
	}
	key := n.keys.PublishableKey.Reveal()
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		status := n.do("POST", "/api/userAuth/login", `{"email":"`+email+`","password":"correct horse"}`, "X-Api-Key", key)
		if after := n.ctx.Response.Header.Peek("Retry-After"); status != 503 || len(after) == 0 {
			t.Errorf("%s: %d, Retry-After %q, %s", email, status, after, n.ctx.Response.Body())
		}
	}
	if status := n.do("GET", path, "", "X-Api-Key", key); status != 200 {
		t.Errorf("a read beside it: %d", status)
	}
	stop()
	<-ended
	<-ended
	if status := n.do("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, "X-Api-Key", key); status != 200 {
		t.Errorf("afterwards: %d %s", status, n.ctx.Response.Body())
	}
}
