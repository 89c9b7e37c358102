package runtime_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// behindProxy makes 127.0.0.1 a trusted proxy, so that a test can come from any address.
func behindProxy(o *runtime.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
}

// from are the headers of a caller with the publishable key from an address.
func (n *node) from(address string) []string {
	return append(n.as(n.pk, ""), "X-Forwarded-For", address)
}

// rate are the RateLimit headers of an answer, joined.
func rate(a *answer) string {
	var parts []string
	for _, name := range []string{"RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"} {
		parts = append(parts, a.header.Get(name))
	}
	return strings.Join(parts, " ")
}

func limited(limits string) string {
	return strings.Replace(blog, "name: blog\n", "name: blog\nlimits: {"+limits+"}\n", 1)
}

func TestLimitPerAddress(t *testing.T) {
	c := newClock()
	n := start(t, limited("requestsPerAddress: 3"), behindProxy, func(o *runtime.Options) { o.Now = c.now })
	get := func(address string) *answer { return n.send("GET", "/api/data/posts", "", n.from(address)...) }
	for i, want := range []string{"3;w=60 3 2 20 ", "3;w=60 3 1 40 ", "3;w=60 3 0 60 "} {
		if a := get("192.0.2.1").want(t, 200); rate(a) != want {
			t.Errorf("answer %d says %q, want %q", i, rate(a), want)
		}
	}
	a := get("192.0.2.1").want(t, 429)
	if rate(a) != "3;w=60 3 0 60 20" || a.field("error") != "Too many requests, please try again later." || a.field("reason") != "rate.address" {
		t.Errorf("%q %s", rate(a), a.body)
	}
	get("192.0.2.2").want(t, 200)
	for i := range 3 { // IPv6: a /64 is one client, however it numbers itself
		get(fmt.Sprintf("2001:db8::%x", i+1)).want(t, 200)
	}
	get("2001:db8::ffff").want(t, 429)
	get("2001:db8:0:1::1").want(t, 200)
	c.forward(20 * time.Second)
	get("192.0.2.1").want(t, 200)
	get("192.0.2.1").want(t, 429)

	t.Run("SEC-82 a header from no proxy changes nothing", func(t *testing.T) {
		n := start(t, limited("requestsPerAddress: 2"), func(o *runtime.Options) { o.Now = c.now })
		for i, want := range []int{200, 200, 429} {
			n.send("GET", "/api/data/posts", "", n.from(fmt.Sprintf("192.0.2.%d", i))...).want(t, want)
		}
	})
	t.Run("every route with a key counts", func(t *testing.T) {
		n := start(t, limited("requestsPerAddress: 1"), behindProxy, func(o *runtime.Options) { o.Now = c.now })
		for i, ask := range [][2]string{
			{"GET", "/api/data/posts"}, {"POST", "/api/data/posts"}, {"GET", "/api/data/posts/000000000000000000000001"},
			{"POST", "/api/data/posts/bulk"}, {"POST", "/api/data/posts/aggregate"}, {"POST", "/api/batch"}, {"GET", "/api/schemas/posts"},
			{"POST", "/api/userAuth/login"}, {"GET", "/api/userAuth/me"}, {"POST", "/api/userAuth/refresh-token"},
		} {
			headers := n.from(fmt.Sprintf("198.51.100.%d", i))
			if a := n.send(ask[0], ask[1], "", headers...); a.status == http.StatusTooManyRequests {
				t.Errorf("%s %s: the first is refused: %s", ask[0], ask[1], a.body)
			}
			n.send(ask[0], ask[1], "", headers...).want(t, 429)
		}
		n.send("GET", "/api/health", "", "X-Forwarded-For", "198.51.100.1").want(t, 200)
	})
	t.Run("without a limit nothing is said", func(t *testing.T) {
		n := start(t, blog)
		if a := n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 200); strings.TrimSpace(rate(a)) != "" {
			t.Errorf("headers %q", rate(a))
		}
	})
	t.Run("a page may read the headers", func(t *testing.T) {
		a := n.send("GET", "/api/data/posts", "", append(n.from("192.0.2.1"), "Origin", "https://app.example")...).want(t, 429)
		for _, name := range []string{"Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"} {
			if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), name) {
				t.Errorf("%s is not exposed", name)
			}
		}
	})
}

func TestLimitPerProject(t *testing.T) {
	c := newClock()
	c.forward(3*time.Hour + 10*time.Second) // ten seconds into a minute, noon
	n := start(t, limited("requestsPerMinute: 2, requestsPerDay: 5"), behindProxy, func(o *runtime.Options) { o.Now = c.now })
	get := func(address string) *answer { return n.send("GET", "/api/data/posts", "", n.from(address)...) }
	if a := get("192.0.2.1").want(t, 200); rate(a) != "2;w=60 2 1 50 " {
		t.Errorf("says %q", rate(a))
	}
	get("192.0.2.2").want(t, 200)
	a := get("192.0.2.3").want(t, 429)
	if rate(a) != "2;w=60 2 0 50 50" || a.field("reason") != "rate.project_minute" || a.field("error") != "Rate limit exceeded (per minute). Please slow down or upgrade your plan." {
		t.Errorf("%q %s", rate(a), a.body)
	}
	c.forward(50 * time.Second)
	get("192.0.2.1").want(t, 200)
	get("192.0.2.1").want(t, 200)
	c.forward(time.Minute)
	get("192.0.2.1").want(t, 200)
	a = get("192.0.2.1").want(t, 429)
	if a.field("reason") != "rate.project_day" || a.field("error") != "Daily request limit reached. Upgrade your plan to increase limits." || rate(a) != "5;w=86400 5 0 43080 43080" {
		t.Errorf("%q %s", rate(a), a.body)
	}
	c.forward(12 * time.Hour)
	get("192.0.2.1").want(t, 200)
}

// REL-34: a restart does not give anybody a new day.
func TestDailyLimitSurvivesRestart(t *testing.T) {
	c := newClock()
	clocked := func(o *runtime.Options) { o.Now = c.now }
	n := start(t, limited("requestsPerDay: 3"), clocked)
	for range 2 {
		n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 200)
	}
	n.restart(clocked)
	n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 200)
	n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 429)
	n.restart(clocked)
	n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 429)
	c.forward(24 * time.Hour)
	n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 200)
}

// A limit that is changed holds from the next request on.
func TestLimitsChange(t *testing.T) {
	c := newClock()
	n := start(t, limited("requestsPerAddress: 1"), func(o *runtime.Options) { o.Now = c.now })
	get := func() *answer { return n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...) }
	get().want(t, 200)
	get().want(t, 429)
	n.apply(blog)
	get().want(t, 200)
	n.apply(limited("requestsPerAddress: 1"))
	get().want(t, 429)
}

func TestRefusalsAreCounted(t *testing.T) {
	n := start(t, limited("requestsPerAddress: 1"))
	for range 3 {
		n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...)
	}
	page := n.sendTo(n.server.AdminURL(), "GET", "/metrics", "", "Authorization", "Bearer "+n.server.AdminToken().Reveal()).want(t, 200)
	if !strings.Contains(page.body, `name="blog",limit="address"} 2`) {
		t.Errorf("the metrics do not count the two refusals:\n%s", page.body)
	}
}
