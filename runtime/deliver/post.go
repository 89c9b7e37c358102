package deliver

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sluice-edge/sluice/kv"
)

// Counters of a project's file.
const (
	CounterSent = "mail.sent" // mails that a carrier took
	CounterDead = "mail.dead" // mails that were given up
)

// Parcel is a mail on its way, with what makes it the same mail when it goes again.
type Parcel struct {
	ID        string // of the entry, 24 hex digits
	MessageID string // without angle brackets
	Created   time.Time
	*Message
}

// Carrier hands one mail on. When it returns nil the mail is somebody else's responsibility. A [*Rejection] means that it will never
// be taken; every other error is of the moment. It may be called by several goroutines at once.
type Carrier interface {
	Carry(ctx context.Context, p *Parcel) error
}

// Rejection says that a mail was refused for good, and why.
type Rejection struct{ Why string }

func (e *Rejection) Error() string { return e.Why }

// Outbox is one project's: a collection of its file.
type Outbox struct {
	Project    string // id
	Collection string
	Sealer     Sealer
	DB         *kv.DB
	// Write commits what prepare builds, and asks it again when another write got in between.
	Write func(ctx context.Context, prepare func() (*kv.Batch, error)) (uint64, error)
}

// PostOptions configure a Post. The zero value works, but for Random.
type PostOptions struct {
	Logger *slog.Logger     // default none
	Now    func() time.Time // default time.Now
	Random io.Reader        // ids of batches, jitter

	Hold        bool          // carry nothing: mails wait in their outboxes
	Connections int           // mails carried at once, of all projects; default 4
	Lease       time.Duration // for carrying one; default 2m
	CarryTime   time.Duration // after which one attempt is given up; default 1m, and less than Lease
	Tries       int           // default 16, which with the times below is about seven hours
	FirstRetry  time.Duration // default 10s; each further one about twice as late
	LastRetry   time.Duration // default 1h, the longest time between two tries
}

func (o *PostOptions) withDefaults() {
	duration := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	number := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	number(&o.Connections, 4)
	number(&o.Tries, 16)
	duration(&o.Lease, 2*time.Minute)
	duration(&o.CarryTime, time.Minute)
	duration(&o.FirstRetry, 10*time.Second)
	duration(&o.LastRetry, time.Hour)
}

// Post carries what is due in the outboxes. One goroutine a project runs while there is something in its outbox, so that a project's
// mails go one after the other, and a project with many of them holds up no other.
type Post struct {
	carrier Carrier
	opt     PostOptions
	name    string        // who holds the leases that this Post takes
	slots   chan struct{} // one for each connection

	ctx     context.Context // ends when the Post is closed
	stop    context.CancelFunc
	mu      sync.Mutex
	running map[string]chan struct{} // by project; capacity 1: there may be something new
	pumps   sync.WaitGroup
	closed  bool
}

// NewPost makes a Post that carries nothing until it is woken.
func NewPost(carrier Carrier, opt PostOptions) (*Post, error) {
	opt.withDefaults()
	p := &Post{carrier: carrier, opt: opt, slots: make(chan struct{}, opt.Connections), running: map[string]chan struct{}{}}
	var raw [8]byte
	if _, err := io.ReadFull(opt.Random, raw[:]); err != nil {
		return nil, err
	}
	p.name = hex.EncodeToString(raw[:])
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p, nil
}

// Wake says that there may be something due in an outbox. It never waits.
func (p *Post) Wake(o Outbox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.opt.Hold {
		return
	}
	if woken, ok := p.running[o.Project]; ok {
		select {
		case woken <- struct{}{}:
		default:
		}
		return
	}
	woken := make(chan struct{}, 1)
	p.running[o.Project] = woken
	p.pumps.Go(func() { p.pump(o, woken) })
}

// Close stops carrying. A mail that is on its way is given until ctx ends, and is due again when that was not enough.
func (p *Post) Close(ctx context.Context) {
	p.mu.Lock()
	p.closed = true
	for _, woken := range p.running {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.pumps.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	p.stop()
	<-done
}

func (p *Post) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// lookAgain is how long a pump sleeps at most: clocks are set while it does.
const lookAgain = time.Minute

// pump carries what is due in one outbox until there is nothing left in it.
func (p *Post) pump(o Outbox, woken chan struct{}) {
	troubled := time.Duration(0) // how long to wait after an error of the store
	for !p.isClosed() {
		next, err := p.Deliver(p.ctx, o)
		wait := next.Sub(p.opt.Now())
		if err != nil {
			if errors.Is(err, kv.ErrClosed) || p.ctx.Err() != nil {
				break
			}
			p.opt.Logger.Warn("outbox: mails wait", "project", o.Project, "error", err)
			troubled = min(max(2*troubled, time.Second), time.Minute)
			wait = troubled
		} else {
			troubled = 0
			if next.IsZero() && p.leave(o.Project, woken) {
				return
			}
		}
		timer := time.NewTimer(min(max(wait, 0), lookAgain))
		select {
		case <-woken:
		case <-timer.C:
		case <-p.ctx.Done():
		}
		timer.Stop()
	}
	p.mu.Lock()
	delete(p.running, o.Project)
	p.mu.Unlock()
}

// leave ends a pump whose outbox is empty, unless it was woken since.
func (p *Post) leave(project string, woken chan struct{}) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-woken:
		woken <- struct{}{} // what comes next looks again
		return false
	default:
		delete(p.running, project)
		return true
	}
}

// Release makes the mails of an outbox due that somebody else began to carry. It is for the start of a node whose directory nobody
// else can have: whoever held a lease has died.
func (p *Post) Release(ctx context.Context, o Outbox) error {
	return p.write(ctx, o, func(snap *kv.Snapshot, b *kv.Batch) error {
		entries, err := List(ctx, snap, o.Collection, StateDue, releaseAtOnce)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Holder != "" && e.Holder != p.name {
				e.Holder, e.Next = "", p.opt.Now()
				e.put(b, o.Collection)
			}
		}
		return nil
	})
}

// releaseAtOnce bounds what one Release looks at. Leases end by themselves, too.
const releaseAtOnce = 1000

// Deliver carries everything that is due in an outbox now, and returns when the next mail will be: zero when there is none.
func (p *Post) Deliver(ctx context.Context, o Outbox) (next time.Time, err error) {
	for more := true; more && !p.isClosed(); {
		if more, next, err = p.deliverOne(ctx, o); err != nil {
			return time.Time{}, err
		}
	}
	return next, nil
}

// deliverOne carries one mail within the connections that the node may have, or says when there will be one. The lease is taken
// afterwards, so that none runs out in a queue.
func (p *Post) deliverOne(ctx context.Context, o Outbox) (more bool, next time.Time, err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, time.Time{}, ctx.Err()
	}
	e, next, err := p.take(ctx, o)
	if err != nil || e == nil {
		return false, next, err
	}
	return true, time.Time{}, p.settle(ctx, o, e, p.carry(ctx, o, e))
}

// errNothing ends a write that has nothing to change.
var errNothing = errors.New("deliver: nothing to do")

// write commits a change of the outbox that build makes on a snapshot; one that makes none is not committed.
func (p *Post) write(ctx context.Context, o Outbox, build func(*kv.Snapshot, *kv.Batch) error) error {
	_, err := o.Write(ctx, func() (*kv.Batch, error) {
		snap, err := o.DB.Snapshot()
		if err != nil {
			return nil, err
		}
		defer snap.Close()
		b := &kv.Batch{Time: p.opt.Now().UnixMilli()}
		if _, err := io.ReadFull(p.opt.Random, b.ID[:]); err != nil {
			return nil, err
		}
		if err := build(snap, b); err != nil {
			return nil, err
		}
		if len(b.Ops) == 0 {
			return nil, errNothing
		}
		return b, nil
	})
	if err == errNothing {
		return nil
	}
	return err
}

// take leases the mail that has been due for longest. If none is due, it says when one will be.
func (p *Post) take(ctx context.Context, o Outbox) (taken *Entry, next time.Time, err error) {
	var rev uint64
	write := func(ctx context.Context, prepare func() (*kv.Batch, error)) (uint64, error) {
		rev, err = o.Write(ctx, prepare)
		return rev, err
	}
	leasing := o
	leasing.Write = write
	err = p.write(ctx, leasing, func(snap *kv.Snapshot, b *kv.Batch) error {
		taken, next = nil, time.Time{}
		entries, err := List(ctx, snap, o.Collection, StateDue, 1)
		if err != nil || len(entries) == 0 {
			return err
		}
		e := entries[0]
		now := p.opt.Now()
		// What is due later than any retry could be was put off by a clock that was wrong.
		if wait := e.Next.Sub(now); wait > 0 && wait <= 2*max(p.opt.LastRetry, p.opt.Lease) {
			next = e.Next
			return nil
		}
		e.Holder, e.Next, e.Tries = p.name, now.Add(p.opt.Lease), e.Tries+1
		e.put(b, o.Collection)
		taken = e
		return nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	if taken != nil {
		taken.Rev = rev
	}
	return taken, next, nil
}

// Why a mail is given up without asking the carrier.
var (
	errTooLate = &Rejection{"it could not be carried while it was of use"}
	errSealed  = &Rejection{"it cannot be read: it was sealed under another node-secret, or is damaged"}
)

// carry hands the mail to the carrier.
func (p *Post) carry(ctx context.Context, o Outbox, e *Entry) error {
	if !e.Until.IsZero() && !p.opt.Now().Before(e.Until) {
		return errTooLate
	}
	m, err := e.Message(o.Sealer)
	if err != nil {
		return errSealed
	}
	ctx, cancel := context.WithTimeout(ctx, p.opt.CarryTime)
	defer cancel()
	return p.safely(ctx, &Parcel{ID: e.ID.String(), MessageID: e.MessageID, Created: e.Created, Message: m})
}

// safely keeps a carrier that panics from taking the node with it.
func (p *Post) safely(ctx context.Context, parcel *Parcel) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.opt.Logger.Error("panic in a carrier of mail", "panic", fmt.Sprint(v))
			err = &Rejection{"the node failed while it carried it; see its log"}
		}
	}()
	return p.carrier.Carry(ctx, parcel)
}

// settle writes down what became of a mail. It does so also when the Post is being closed: what was sent shall not be sent again.
func (p *Post) settle(ctx context.Context, o Outbox, e *Entry, outcome error) error {
	log := p.opt.Logger.With("project", o.Project, "mail", e.ID.String(), "template", e.Kind, "try", e.Tries)
	stopped := outcome != nil && ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opt.Lease/2)
	defer cancel()
	now := p.opt.Now()
	after := *e
	var rejection *Rejection
	switch {
	case outcome == nil:
	case stopped:
		after.Holder, after.Next, after.Tries = "", now, e.Tries-1
	default:
		after.Error = oneLine(outcome.Error())
		after.Holder, after.Next = "", now.Add(p.backoff(e.Tries))
		late := !e.Until.IsZero() && !after.Next.Before(e.Until)
		if errors.As(outcome, &rejection) || e.Tries >= p.opt.Tries || late {
			after.State, after.Next, after.Expires = StateDead, now, now.Add(keep)
		}
	}
	lost := false
	err := p.write(ctx, o, func(snap *kv.Snapshot, b *kv.Batch) error {
		lost = false
		c, ok := snap.Collection(o.Collection)
		if !ok {
			lost = true
			return nil
		}
		// The lease is the document's revision: if that is another one, somebody else has the mail by now.
		if doc, err := snap.Get(c, e.ID); errors.Is(err, kv.ErrNotFound) || err == nil && doc.Rev != e.Rev {
			lost = true
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case outcome == nil:
			e.remove(b, o.Collection)
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpAdd, Name: CounterSent, Delta: 1})
		case after.State == StateDead:
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpAdd, Name: CounterDead, Delta: 1})
			fallthrough
		default:
			after.put(b, o.Collection)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("mail %s: what became of it could not be written down, so it may go out again: %w", e.ID, err)
	case lost:
		log.Warn("outbox: a mail took longer than its lease; another attempt has it")
	case outcome == nil:
		log.Debug("mail delivered")
	case after.State == StateDead:
		log.Error("mail given up", "error", after.Error)
	case !stopped:
		log.Warn("mail not delivered yet", "error", after.Error, "next", after.Next.UTC().Format(time.RFC3339))
	}
	return nil
}

// backoff is how long to wait after so many tries: twice as long each time, and half more or less, so that what failed together does
// not come back together.
func (p *Post) backoff(tries int) time.Duration {
	d := p.opt.FirstRetry << min(max(tries-1, 0), 30)
	if d <= 0 || d > p.opt.LastRetry {
		d = p.opt.LastRetry
	}
	var raw [8]byte
	if _, err := io.ReadFull(p.opt.Random, raw[:]); err != nil {
		return d
	}
	return d/2 + time.Duration(binary.BigEndian.Uint64(raw[:])%uint64(d))
}

// oneLine makes an error fit to be kept and shown.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), unicode.IsControl), " ")
	const limit = 300
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// Retry makes dead mails due again, one by its id or, for a zero id, all of them, and returns how many. A mail that is of no use any
// more stays dead.
func (p *Post) Retry(ctx context.Context, o Outbox, id kv.DocID) (n int, err error) {
	err = p.write(ctx, o, func(snap *kv.Snapshot, b *kv.Batch) error {
		n = 0
		entries, err := List(ctx, snap, o.Collection, StateDead, retryAtOnce)
		if err != nil {
			return err
		}
		now := p.opt.Now()
		for _, e := range entries {
			if id != (kv.DocID{}) && e.ID != id || !e.Until.IsZero() && !now.Before(e.Until) {
				continue
			}
			e.State, e.Next, e.Tries, e.Error, e.Expires = StateDue, now, 0, "", now.Add(keep)
			e.put(b, o.Collection)
			n++
		}
		return nil
	})
	if err == nil && n > 0 {
		p.Wake(o)
	}
	return n, err
}

// retryAtOnce bounds one commit of Retry.
const retryAtOnce = 4000

// Counts are the numbers of an outbox.
type Counts struct {
	Due    int   `json:"due"`    // waiting, those on their way included
	Dead   int   `json:"dead"`   // given up, and still kept
	Sent   int64 `json:"sent"`   // carried since the project was made
	Failed int64 `json:"failed"` // given up since then
}

// Count reads the numbers of an outbox.
func Count(ctx context.Context, snap *kv.Snapshot, outbox string) (n Counts, err error) {
	c, ok := snap.Collection(outbox)
	if !ok {
		return n, fmt.Errorf("deliver: there is no collection %s", outbox)
	}
	for _, of := range []struct {
		state string
		into  *int
	}{{StateDue, &n.Due}, {StateDead, &n.Dead}} {
		*of.into, err = snap.Count(ctx, c, &kv.Query{Budget: maxExamined,
			Where: []kv.Predicate{{Path: FieldState, Op: kv.Eq, Values: []kv.Value{kv.String(of.state)}}}})
		if err != nil {
			return n, err
		}
	}
	n.Sent, n.Failed = snap.Counter(CounterSent), snap.Counter(CounterDead)
	return n, snap.Err()
}
