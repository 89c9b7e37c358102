package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// SEC-11: whoever logs in with a wrong password reads the same answer whether there is such an account or not. That it also
// takes the same time is shown by BenchmarkLogins.
func TestLoginTellsNobodyWhoHasAnAccount(t *testing.T) {
	n, _ := guessing(t, blog)
	perRequest := regexp.MustCompile(`(?i)"requestId":"[^"]*"`)
	var answers []string
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		a := n.tryLogin(email, "wrong horse", "203.0.113.7").want(t, 400)
		answers = append(answers, perRequest.ReplaceAllString(string(a.body), ""))
	}
	if answers[0] != answers[1] {
		t.Errorf("with an account: %s\nwithout: %s", answers[0], answers[1])
	}
}

// BenchmarkLogins logs in with wrong passwords at accounts and where there are none, and tells Welch's t of the two times: over
// 2,000 logins it should be under 4.5 either way (SEC-11). With -benchtime 2000x that takes a minute or two.
func BenchmarkLogins(b *testing.B) {
	n := start(b, blog, behindProxy, func(*runtime.Options) {})
	const accounts = 20 // each may be guessed at ten times before it makes guessers wait
	address := func(i int) string { return fmt.Sprintf("203.%d.%d.%d", i>>16&255, i>>8&255, i&255) }
	var emails []string
	for i := range max(b.N/2/7, accounts) {
		emails = append(emails, fmt.Sprintf("user%d@example.com", i))
		n.send("POST", "/api/userAuth/signup", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, emails[i]), n.from(address(1<<20+i))...).want(b, 201)
	}
	var samples [2][]float64 // with an account, without
	// In random order: in turns, whichever came second would pay for the memory that the first one left behind.
	random := rand.New(rand.NewPCG(1, 2))
	b.ResetTimer()
	for i := range b.N {
		side := random.IntN(2)
		asked := len(samples[side])
		email := emails[asked%len(emails)]
		if side == 1 {
			email = fmt.Sprintf("nobody%d@example.com", asked%len(emails))
		}
		began := time.Now()
		n.tryLogin(email, "wrong horse", address(i)).want(b, 400)
		samples[side] = append(samples[side], float64(time.Since(began)))
	}
	b.StopTimer()
	if min(len(samples[0]), len(samples[1])) < 2 {
		return
	}
	median := func(s []float64) float64 { return slices.Sorted(slices.Values(s))[len(s)/2] }
	b.ReportMetric(median(samples[0]), "ns/account")
	b.ReportMetric(median(samples[1]), "ns/nobody")
	b.ReportMetric(welch(samples[0], samples[1]), "t")
}
