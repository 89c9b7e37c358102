package deliver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sluice-edge/sluice/kv"
)

// clearBox is a Sealer that seals nothing.
type clearBox struct{}

func (clearBox) Seal(text []byte, place string) ([]byte, error) {
	return append([]byte(place+":"), text...), nil
}
func (clearBox) Open(sealed []byte, place string) ([]byte, error) {
	text, ok := strings.CutPrefix(string(sealed), place+":")
	if !ok {
		return nil, errors.New("not of this place")
	}
	return []byte(text), nil
}

// office is a project's outbox, a clock, and what a carrier got.
type office struct {
	t   *testing.T
	dir string
	db  *kv.DB
	at  atomic.Int64
}

func (o *office) now() time.Time          { return time.Unix(0, o.at.Load()) }
func (o *office) forward(d time.Duration) { o.at.Add(int64(d)) }

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir()}
	o.at.Store(time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC).UnixNano())
	o.open()
	b := o.batch()
	b.Ops = []kv.Op{{Kind: kv.OpCollection, Name: "_outbox", Value: []byte(`{"indexes":[{"name":"state,next","fields":["state","next"]}]}`)}}
	if _, err := o.db.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) open() {
	o.t.Helper()
	db, err := kv.Open(o.dir, kv.Options{MapSize: 64 << 20})
	if err != nil {
		o.t.Fatal(err)
	}
	o.db = db
	o.t.Cleanup(func() { _ = db.Close() })
}

func (o *office) batch() *kv.Batch {
	b := &kv.Batch{Time: o.now().UnixMilli()}
	_, _ = rand.Read(b.ID[:])
	return b
}

func (o *office) outbox() Outbox {
	db := o.db
	return Outbox{Project: "p", Collection: "_outbox", Sealer: clearBox{}, DB: db, Write: func(ctx context.Context, prepare func() (*kv.Batch, error)) (uint64, error) {
		for {
			b, err := prepare()
			if err != nil {
				return 0, err
			}
			rev, err := db.Commit(ctx, b)
			var conflict *kv.ConflictError
			if !errors.As(err, &conflict) {
				return rev, err
			}
		}
	}}
}

// put enqueues a mail and returns its id.
func (o *office) put(to string, opt ...func(*EnqueueOptions)) kv.DocID {
	o.t.Helper()
	b, id := o.batch(), o.db.NewID(o.now())
	var eo EnqueueOptions
	_, _ = rand.Read(eo.Random[:])
	for _, f := range opt {
		f(&eo)
	}
	m := &Message{From: "Blog <no-reply@blog.example>", To: to, Subject: "Hello", Text: "Hello\n"}
	if err := Enqueue(b, "_outbox", id, o.now(), m, eo, clearBox{}); err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.db.Commit(context.Background(), b); err != nil {
		o.t.Fatal(err)
	}
	return id
}

func (o *office) post(c Carrier, change ...func(*PostOptions)) *Post {
	o.t.Helper()
	opt := PostOptions{Now: o.now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&opt)
	}
	p, err := NewPost(c, opt)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

// deliver carries what is due now and returns when the next will be.
func (o *office) deliver(p *Post) time.Time {
	o.t.Helper()
	next, err := p.Deliver(context.Background(), o.outbox())
	if err != nil {
		o.t.Fatal(err)
	}
	return next
}

func (o *office) list(state string) []*Entry {
	o.t.Helper()
	snap, err := o.db.Snapshot()
	if err != nil {
		o.t.Fatal(err)
	}
	defer snap.Close()
	entries, err := List(context.Background(), snap, "_outbox", state, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	return entries
}

func (o *office) counts() Counts {
	o.t.Helper()
	snap, err := o.db.Snapshot()
	if err != nil {
		o.t.Fatal(err)
	}
	defer snap.Close()
	n, err := Count(context.Background(), snap, "_outbox")
	if err != nil {
		o.t.Fatal(err)
	}
	return n
}

// bag is a carrier that keeps what it got, or answers what it is told to.
type bag struct {
	mu    sync.Mutex
	mails []*Parcel
	err   func(*Parcel) error
}

func (b *bag) Carry(_ context.Context, p *Parcel) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mails = append(b.mails, p)
	if b.err != nil {
		return b.err(p)
	}
	return nil
}

func TestPostDelivers(t *testing.T) {
	o, b := newOffice(t), new(bag)
	for i := range 5 {
		o.put(fmt.Sprintf("user%d@example.com", i))
	}
	o.put("nobody@example.com", func(e *EnqueueOptions) { e.Decoy = true })
	if next := o.deliver(o.post(b)); !next.IsZero() {
		t.Errorf("something is left for %v", next)
	}
	if len(b.mails) != 5 || len(o.list(StateDue)) != 0 {
		t.Fatalf("%d carried, %d left", len(b.mails), len(o.list(StateDue)))
	}
	for i, m := range b.mails {
		if want := fmt.Sprintf("user%d@example.com", i); m.To != want { // the oldest first
			t.Errorf("mail %d went to %s", i, m.To)
		}
		if !strings.HasPrefix(m.MessageID, m.ID+".") || !strings.HasSuffix(m.MessageID, "@blog.example") {
			t.Errorf("Message-ID %q", m.MessageID)
		}
	}
	if n := o.counts(); n != (Counts{Sent: 5}) {
		t.Errorf("%+v", n)
	}
}

// What fails for now is tried again, each time later, always under the same Message-ID, and given up after the last try; what is refused for good is
// given up at once. A mail that is stuck holds up no other.
func TestPostRetries(t *testing.T) {
	o := newOffice(t)
	b := &bag{err: func(p *Parcel) error {
		switch p.To {
		case "never@example.com":
			return &Rejection{"550 no such user"}
		case "later@example.com":
			return errors.New("451 try\r\nlater")
		case "panic@example.com":
			panic("boom")
		}
		return nil
	}}
	o.put("never@example.com")
	o.put("later@example.com")
	o.put("panic@example.com")
	o.put("ann@example.com")
	p := o.post(b, func(o *PostOptions) { o.Tries = 6 })
	var waits []time.Duration
	for tries := 1; tries <= 6; tries++ {
		next := o.deliver(p)
		left := o.list(StateDue)
		if tries == 6 {
			if !next.IsZero() || len(left) != 0 {
				t.Fatalf("after the last try %v is left", left)
			}
			break
		}
		if len(left) != 1 || left[0].Tries != tries || left[0].Error != "451 try later" || !left[0].Next.Equal(next) {
			t.Fatalf("after try %d: %+v, next %v", tries, left, next)
		}
		waits = append(waits, next.Sub(o.now()))
		if again := o.deliver(p); !again.Equal(next) {
			t.Fatalf("it was tried before its time: %v, %v", again, next)
		}
		o.forward(next.Sub(o.now()))
	}
	for i, wait := range waits {
		if d := 10 * time.Second << i; wait < d/2-time.Millisecond || wait >= d+d/2 {
			t.Errorf("wait %d was %v, want about %v", i, wait, d)
		}
	}
	ids := map[string]map[string]bool{}
	times := map[string]int{}
	for _, m := range b.mails {
		if ids[m.To] == nil {
			ids[m.To] = map[string]bool{}
		}
		ids[m.To][m.MessageID] = true
		times[m.To]++
	}
	if times["later@example.com"] != 6 || times["never@example.com"] != 1 || times["panic@example.com"] != 1 || times["ann@example.com"] != 1 {
		t.Errorf("%v", times)
	}
	for to, set := range ids {
		if len(set) != 1 {
			t.Errorf("%s: %d Message-IDs", to, len(set))
		}
	}
	dead := o.list(StateDead)
	if len(dead) != 3 || o.counts() != (Counts{Dead: 3, Sent: 1, Failed: 3}) {
		t.Fatalf("%d dead, %+v", len(dead), o.counts())
	}
	// The operator has put right what was wrong.
	b.err = nil
	var one kv.DocID
	for _, e := range dead {
		if m, _ := e.Message(clearBox{}); m.To == "later@example.com" {
			one = e.ID
		}
	}
	p.Close(context.Background())
	p = o.post(b)
	if n, err := p.Retry(context.Background(), o.outbox(), one); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := p.Retry(context.Background(), o.outbox(), kv.DocID{}); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	o.deliver(p)
}

// A mail that is of no use any more is not sent: nobody wants yesterday's code.
func TestPostGivesUpWhatIsTooLate(t *testing.T) {
	o, b := newOffice(t), new(bag)
	until := o.now().Add(5 * time.Minute)
	b.err = func(*Parcel) error { return errors.New("down") }
	id := o.put("ann@example.com", func(e *EnqueueOptions) { e.Until = until })
	p := o.post(b)
	for range 20 {
		next := o.deliver(p)
		if next.IsZero() {
			break
		}
		if !next.Before(until) {
			t.Fatalf("a try at %v, which is too late", next)
		}
		o.forward(next.Sub(o.now()))
	}
	if dead := o.list(StateDead); len(dead) != 1 || len(b.mails) < 3 {
		t.Fatalf("%d dead after %d tries", len(dead), len(b.mails))
	}
	o.forward(5 * time.Minute)
	if n, err := p.Retry(context.Background(), o.outbox(), id); n != 0 || err != nil {
		t.Errorf("retried %d, %v", n, err)
	}
	o.put("bob@example.com", func(e *EnqueueOptions) { e.Until = o.now() })
	tries := len(b.mails)
	o.deliver(p)
	if len(b.mails) != tries {
		t.Error("a mail was sent after its time")
	}
}

// Two workers never send the same mail: the lease is taken in a commit, and who has lost it writes nothing down.
func TestPostLeases(t *testing.T) {
	o := newOffice(t)
	for i := range 40 {
		o.put(fmt.Sprintf("user%d@example.com", i))
	}
	b := new(bag)
	var group sync.WaitGroup
	for range 4 {
		p := o.post(b)
		group.Go(func() { o.deliver(p) })
	}
	group.Wait()
	seen := map[string]int{}
	for _, m := range b.mails {
		seen[m.To]++
	}
	if len(seen) != 40 || len(b.mails) != 40 {
		t.Errorf("%d mails, %d of them different", len(b.mails), len(seen))
	}

	// One that hangs loses its lease; the other sends, under the same Message-ID, and the first one's late outcome changes nothing.
	o.put("slow@example.com")
	begun, finish := make(chan struct{}), make(chan struct{})
	slow := o.post(carrierFunc(func(p *Parcel) error {
		close(begun)
		<-finish
		return &Rejection{"too late"}
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.deliver(slow)
	}()
	<-begun
	second := new(bag)
	p := o.post(second)
	if o.deliver(p); len(second.mails) != 0 {
		t.Fatal("a leased mail was sent by another worker")
	}
	o.forward(2*time.Minute + time.Second)
	if o.deliver(p); len(second.mails) != 1 {
		t.Fatal("a mail whose lease has ended stays where it is")
	}
	close(finish)
	<-done
	if dead := o.list(StateDead); len(dead) != 0 {
		t.Errorf("who had lost the lease killed the mail: %+v", dead)
	}
}

type carrierFunc func(*Parcel) error

func (f carrierFunc) Carry(_ context.Context, p *Parcel) error { return f(p) }

// After a crash in the middle of sending the mail goes again at once, under the same Message-ID.
func TestPostAfterACrash(t *testing.T) {
	o := newOffice(t)
	o.put("ann@example.com")
	first := ""
	died := make(chan struct{})
	dying := o.post(carrierFunc(func(p *Parcel) error {
		first = p.MessageID
		close(died)
		select {} // it never learns what became of it
	}))
	go func() { _, _ = dying.Deliver(context.Background(), o.outbox()) }()
	<-died
	b := new(bag)
	p := o.post(b)
	if err := p.Release(context.Background(), o.outbox()); err != nil {
		t.Fatal(err)
	}
	if o.deliver(p); len(b.mails) != 1 || b.mails[0].MessageID != first {
		t.Errorf("%+v, first sent as %s", b.mails, first)
	}
}

// A Post that is closed while it carries gives the mail back, and it is due at the next start.
func TestPostCloses(t *testing.T) {
	o := newOffice(t)
	o.put("ann@example.com")
	begun := make(chan struct{})
	p := o.post(waiter(begun))
	p.Wake(o.outbox())
	<-begun
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	p.Close(ended)
	due := o.list(StateDue)
	if len(due) != 1 || due[0].Holder != "" || due[0].Tries != 0 {
		t.Fatalf("%+v", due)
	}
	p.Wake(o.outbox()) // does nothing any more
	b := new(bag)
	if o.deliver(o.post(b)); len(b.mails) != 1 {
		t.Errorf("%d mails after the restart", len(b.mails))
	}
}

// waiter carries until it is told to stop.
type waiter chan struct{}

func (w waiter) Carry(ctx context.Context, _ *Parcel) error {
	close(w)
	<-ctx.Done()
	return ctx.Err()
}

// A woken Post sends without being asked further, and again when it is woken again.
func TestPostWakes(t *testing.T) {
	o := newOffice(t)
	got := make(chan string)
	p := o.post(carrierFunc(func(p *Parcel) error {
		got <- p.To
		return nil
	}))
	for i := range 20 {
		to := fmt.Sprintf("user%d@example.com", i)
		o.put(to)
		p.Wake(o.outbox())
		if m := <-got; m != to {
			t.Errorf("%s, want %s", m, to)
		}
	}
}

// A clock that was wrong, and is set back, does not hold mails up for as long as it was wrong.
func TestPostAfterAClockWasSetBack(t *testing.T) {
	o, b := newOffice(t), new(bag)
	o.forward(10 * 365 * 24 * time.Hour)
	b.err = func(*Parcel) error { return errors.New("down") }
	o.put("ann@example.com")
	p := o.post(b)
	o.deliver(p)
	b.err = nil
	o.forward(-10 * 365 * 24 * time.Hour)
	if o.deliver(p); len(b.mails) != 2 {
		t.Errorf("%d tries", len(b.mails))
	}
}

// A mail that was sealed under another secret is given up, not sent as it is and not tried for ever.
func TestPostCannotRead(t *testing.T) {
	o, b := newOffice(t), new(bag)
	o.put("ann@example.com")
	outbox := o.outbox()
	outbox.Sealer = otherBox{}
	if _, err := o.post(b).Deliver(context.Background(), outbox); err != nil {
		t.Fatal(err)
	}
	if dead := o.list(StateDead); len(dead) != 1 || !strings.Contains(dead[0].Error, "node-secret") || len(b.mails) != 0 {
		t.Errorf("%+v, %d carried", dead, len(b.mails))
	}
}

type otherBox struct{ clearBox }

func (otherBox) Open([]byte, string) ([]byte, error) { return nil, errors.New("another secret") }

// TestPostOverSMTP is the whole way to a real server that is down, up, busy and full.
func TestPostOverSMTP(t *testing.T) {
	o := newOffice(t)
	s := listen(t, "secret", false)
	addr := fmt.Sprintf("127.0.0.1:%d", s.port)
	if err := s.ln.Close(); err != nil {
		t.Fatal(err)
	}
	p := o.post(s.carrier(t))
	o.put("ann@example.com")
	next := o.deliver(p)
	if next.IsZero() || len(s.got()) != 0 {
		t.Fatal("a server that is down took a mail")
	}
	if e := o.list(StateDue)[0]; !strings.Contains(e.Error, "connect to localhost") {
		t.Errorf("error %q", e.Error)
	}
	s.start(t, addr)
	o.forward(next.Sub(o.now()))
	o.deliver(p)
	if got := s.got(); len(got) != 1 || got[0].to != "ann@example.com" || !got[0].tls {
		t.Fatalf("after it came up: %+v", got)
	}

	busy := 2
	s.setRefuse(func(to string) error {
		if to == "gone@example.com" {
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}
		if busy--; busy >= 0 {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
		}
		return nil
	})
	o.put("gone@example.com")
	o.put("bob@example.com")
	for range 3 {
		if next = o.deliver(p); next.IsZero() {
			break
		}
		o.forward(next.Sub(o.now()))
	}
	if got := s.got(); len(got) != 2 || got[1].to != "bob@example.com" {
		t.Errorf("%+v", got)
	}
	dead := o.list(StateDead)
	if len(dead) != 1 || dead[0].Tries != 1 || !strings.Contains(dead[0].Error, "no such user") {
		t.Errorf("dead: %+v", dead)
	}
}

// Enqueue refuses a header of two lines before it is anywhere.
func TestEnqueueRefuses(t *testing.T) {
	for _, m := range []Message{
		{From: "a@b.example\r\nBcc: c@d.example", To: "a@b.example", Subject: "s"}, {From: "a@b.example", To: "a@b.example\nx", Subject: "s"},
		{From: "a@b.example", To: "a@b.example", Subject: "s\rx"}, {From: "a@b.example", To: "a@b.example", Subject: "s", ReplyTo: "x\x00"},
	} {
		b := new(kv.Batch)
		if err := Enqueue(b, "_outbox", kv.DocID{1}, time.Now(), &m, EnqueueOptions{}, clearBox{}); err == nil || len(b.Ops) != 0 {
			t.Errorf("%+v was taken", m)
		}
	}
}
