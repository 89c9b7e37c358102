package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Guessing of passwords. Wrong ones are counted by account and by address, in the project's file, so that a restart gives nobody new
// guesses (REL-34). From limits.loginFailures on the next try has to wait, a second, then two, then four, up to a quarter of
// an hour; nobody is locked out for good (SEC-17).
//
// Who guesses must not keep the owner of an account out of it. A network from which somebody has logged in to an account before has a
// count of its own there, which strangers cannot run up.
//
// Any number of guesses can be on their way at once, so that what counts is judged in the commit: a right password logs in only, and a
// wrong one is only said to be wrong, while neither count asks to wait. Beyond that right and wrong are answered the same.

const (
	mostBackoff      = 15 * time.Minute
	accountForgets   = 24 * time.Hour      // wrong passwords of an account, after the last one
	addressForgives  = 30 * time.Second    // one wrong password from an address, since many people may share it
	networkKnown     = 90 * 24 * time.Hour // after the last new one
	mostKnown        = 8                   // networks of one account
	backoffDoublings = 10                  // of a second, until it is more than mostBackoff anyway
)

// guesses is one count: a document of project.Throttle, whose id is derived from what it counts.
type guesses struct {
	id    kv.DocID
	rev   uint64
	wrong int       // in a row
	at    time.Time // of the last wrong one
	until time.Time // when the next try may be
	known []string  // of an account: hashes of networks with counts of their own
}

// guessesID derives the id of a count. What it counts is not to be found again from it.
func guessesID(kind string, parts ...[]byte) kv.DocID {
	h := sha256.New()
	h.Write([]byte(kind))
	for _, p := range parts {
		h.Write([]byte{0})
		h.Write(p)
	}
	return kv.DocID(h.Sum(nil)[:len(kv.DocID{})])
}

// readGuesses reads a count from the request's snapshot. One that is missing counts nothing.
func (r *request) readGuesses(id kv.DocID) (guesses, error) {
	g := guesses{id: id}
	snap, err := r.snapshot()
	if err != nil {
		return g, err
	}
	c, ok := snap.Collection(project.Throttle)
	if !ok {
		return g, errors.New("there is no collection " + project.Throttle)
	}
	doc, err := snap.Get(c, id)
	if errors.Is(err, kv.ErrNotFound) {
		return g, nil
	}
	if err != nil {
		return g, err
	}
	v, err := r.docParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return g, err
	}
	number := func(name string) int64 {
		n, bad := strconv.ParseInt(string(v.Get(name).Raw()), 10, 64)
		if bad != nil {
			err = bad
		}
		return n
	}
	g.rev, g.wrong = doc.Rev, int(number("wrong"))
	g.at, g.until = time.UnixMilli(number("at")), time.UnixMilli(number("until"))
	for _, k := range v.Get("known").Items() {
		g.known = append(g.known, string(k.Text()))
	}
	return g, err
}

// put adds the count to a batch, on top of the revision that it was read at.
func (g *guesses) put(b *kv.Batch, expires time.Time) {
	g.need(b)
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(g.id.AppendHex(doc), '"')
	number := func(name string, n int64) { doc = appendMember(doc, name, strconv.AppendInt(nil, n, 10)) }
	number("wrong", int64(g.wrong))
	number("at", g.at.UnixMilli())
	number("until", g.until.UnixMilli())
	number("expires", expires.UnixMilli())
	if len(g.known) > 0 {
		list := []byte{'['}
		for i, k := range g.known {
			if i > 0 {
				list = append(list, ',')
			}
			list = jsondoc.AppendString(list, k)
		}
		doc = appendMember(doc, "known", append(list, ']'))
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Throttle, ID: g.id, Value: append(doc, '}')})
}

// need lets a batch commit only while the count is what was read.
func (g *guesses) need(b *kv.Batch) {
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Throttle, ID: g.id, Rev: g.rev})
}

// wait is how long the next try has to wait. A moment that is further away than the longest wait was set by another clock, and is
// nobody's fault.
func (g *guesses) wait(now time.Time) time.Duration {
	if wait := g.until.Sub(now); wait > 0 && wait <= mostBackoff {
		return wait
	}
	return 0
}

// count adds one wrong password.
func (g *guesses) count(now time.Time, free int) {
	g.wrong++
	g.at, g.until = now, now
	if more := g.wrong - free; more >= 0 {
		g.until = now.Add(min(mostBackoff, time.Second<<min(more, backoffDoublings)))
	}
}

// guard is what a try to log in is judged by.
type guard struct {
	whole   guesses // of the account
	own     guesses // of the account from this network, where that is known
	address guesses
	network string // hash of the network, as an account knows it
	isKnown bool
}

// account is the count that this try is held to.
func (g *guard) account() *guesses {
	if g.isKnown {
		return &g.own
	}
	return &g.whole
}

// guard reads what is known about an account, whether there is one or not, and the request's address.
func (r *request) guard(email string) (*guard, error) {
	net := network(r.clientAddr())
	g := new(guard)
	hash := guessesID("network", []byte(email), net[:])
	g.network = hex.EncodeToString(hash[:])
	var err error
	if g.whole, err = r.readGuesses(guessesID("account", []byte(email))); err != nil {
		return nil, err
	}
	if r.start.Sub(g.whole.at) > accountForgets {
		g.whole.wrong = 0
	}
	if g.isKnown = slices.Contains(g.whole.known, g.network); g.isKnown {
		if g.own, err = r.readGuesses(hash); err != nil {
			return nil, err
		}
		if r.start.Sub(g.own.at) > accountForgets {
			g.own.wrong = 0
		}
	}
	if g.address, err = r.readGuesses(guessesID("address", net[:])); err != nil {
		return nil, err
	}
	forgiven := max(0, r.start.Sub(g.address.at)) / addressForgives
	g.address.wrong = max(0, g.address.wrong-int(min(forgiven, 1<<20)))
	return g, nil
}

// mayGuess refuses a try to log in that has to wait. It comes before the password is hashed, which is the costly part.
func (r *request) mayGuess(email string) error {
	g, err := r.guard(email)
	if err != nil {
		return err
	}
	return r.mustWait(g)
}

func (r *request) mustWait(g *guard) error {
	wait := max(g.account().wait(r.start), g.address.wait(r.start))
	if wait == 0 {
		return nil
	}
	r.hintProxy()
	free := r.state.Config.Limits.LoginFailures
	return r.overLimit(project.RefusedByLogin, errRateLogin, rateNote{project.RatePolicy(free, int(mostBackoff/time.Second)), free, 0, wait}, wait)
}

// guessedWrong counts a wrong password and returns how it is answered: by refusal, or, where others were wrong meanwhile, as if it had never been
// looked at.
func (r *request) guessedWrong(email string, refusal error) error {
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		g, err := r.guard(email)
		if err != nil {
			return nil, err
		}
		if err := r.mustWait(g); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		free := r.state.Config.Limits.LoginFailures
		account := g.account()
		account.count(r.start, free)
		expires := r.start.Add(accountForgets)
		if len(account.known) > 0 {
			expires = r.start.Add(networkKnown)
		}
		account.put(&r.batch, expires)
		g.address.count(r.start, free)
		g.address.put(&r.batch, r.start.Add(accountForgets))
		return &r.batch, nil
	})
	if err != nil {
		return err
	}
	return refusal
}

// guessedRight adds to a batch what a right password means: it holds only if the counts ask to wait at the moment of the commit as little as
// now, wrong ones are forgotten, and the network is known from now on.
func (r *request) guessedRight(b *kv.Batch, email string) error {
	g, err := r.guard(email)
	if err != nil {
		return err
	}
	if err := r.mustWait(g); err != nil {
		return err
	}
	g.address.need(b)
	switch account := g.account(); {
	case !g.isKnown:
		g.learn(b, r.start)
	case account.rev != 0:
		account.need(b)
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Throttle, ID: account.id})
	default:
		account.need(b)
	}
	return nil
}

// learn makes the network known to the account and forgets its wrong passwords.
func (g *guard) learn(b *kv.Batch, now time.Time) {
	w := &g.whole
	w.wrong, w.until = 0, w.at
	if !g.isKnown {
		w.known = append(w.known[max(0, len(w.known)-mostKnown+1):], g.network)
	}
	w.put(b, now.Add(networkKnown))
}

// trustNetwork makes the network of the request known to an account that was just made, or whose owner has just shown to have its
// address, and forgets wrong passwords.
func (r *request) trustNetwork(b *kv.Batch, email string) error {
	g, err := r.guard(email)
	if err != nil {
		return err
	}
	g.learn(b, r.start)
	if g.own.rev != 0 {
		g.own.need(b)
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Throttle, ID: g.own.id})
	}
	return nil
}

// confirmedRight is guessedRight for a password that is asked for once more before something else is done.
func (r *request) confirmedRight(email string) error {
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		return &r.batch, r.guessedRight(&r.batch, email)
	})
	return err
}

// hintProxy says once that addresses are those of a proxy, for an operator whose users are refused together.
func (r *request) hintProxy() {
	peer := peerAddr(r.http)
	if (peer.IsLoopback() || peer.IsPrivate()) && !r.server.trusts(peer) && len(r.http.Request.Header.Peek(fasthttp.HeaderXForwardedFor)) > 0 {
		r.server.proxyHint.Do(func() { r.server.sayProxy(peer) })
	}
}

func (s *Server) sayProxy(peer netip.Addr) {
	s.log.Warn("requests come through a proxy that is not trusted, so that all of its clients are limited as one; name it with --trusted-proxies if it is yours", "proxy", peer.String())
}
