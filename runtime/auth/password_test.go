package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

// cheap keeps these tests fast; the cost of the real parameters is BenchmarkHash's business.
var cheap = HasherOptions{Time: 1, MemoryKiB: 64}

func TestHasher(t *testing.T) {
	ctx := context.Background()
	h := NewHasher(cheap)
	phc, err := h.Hash(ctx, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("PHC form: %s", phc)
	}
	verify := func(h *Hasher, phc, password string) (bool, bool) {
		t.Helper()
		ok, rehash, err := h.Verify(ctx, phc, password)
		if err != nil {
			t.Fatal(err)
		}
		return ok, rehash
	}
	t.Run("the right password passes", func(t *testing.T) {
		if ok, rehash := verify(h, phc, "correct horse"); !ok || rehash {
			t.Fatalf("ok %v, rehash %v", ok, rehash)
		}
	})
	t.Run("a wrong one does not", func(t *testing.T) {
		for _, wrong := range []string{"", "correct horse ", "Correct horse", "correct hors"} {
			if ok, _ := verify(h, phc, wrong); ok {
				t.Fatalf("%q passes", wrong)
			}
		}
	})
	t.Run("two hashes of one password differ", func(t *testing.T) {
		if again, err := h.Hash(ctx, "correct horse"); err != nil || again == phc {
			t.Fatalf("same salt twice, or %v", err)
		}
	})
	t.Run("an unknown user never passes", func(t *testing.T) {
		for _, password := range []string{"", "correct horse"} {
			if ok, _ := verify(h, "", password); ok {
				t.Fatal("the dummy lets in")
			}
		}
	})
	t.Run("72-byte twins are told apart", func(t *testing.T) {
		long := strings.Repeat("x", 72)
		phc, err := h.Hash(ctx, long+"a")
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := verify(h, phc, long+"b"); ok {
			t.Fatal("the tail is ignored")
		}
	})
	t.Run("composed and decomposed input is one password", func(t *testing.T) {
		phc, err := h.Hash(ctx, "caf\u00e9 au lait")
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := verify(h, phc, "cafe\u0301 au lait"); !ok {
			t.Fatal("another keyboard locks the user out")
		}
	})
	t.Run("a hash made with other parameters asks to be made again", func(t *testing.T) {
		stronger := NewHasher(HasherOptions{Time: 2, MemoryKiB: 128})
		if ok, rehash := verify(stronger, phc, "correct horse"); !ok || !rehash {
			t.Fatalf("ok %v, rehash %v", ok, rehash)
		}
		if ok, rehash := verify(stronger, phc, "wrong horse"); ok || rehash {
			t.Fatal("a wrong password asks for a new hash")
		}
	})
	t.Run("a known vector passes", func(t *testing.T) {
		// From the reference implementation's test list: argon2id, t=2, m=65536, p=1, "password", "somesalt".
		const vector = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
		if ok, rehash := verify(h, vector, "password"); !ok || !rehash {
			t.Fatalf("ok %v, rehash %v", ok, rehash)
		}
	})
	t.Run("options beyond the bounds still make hashes that verify", func(t *testing.T) {
		h := NewHasher(HasherOptions{Time: 1, MemoryKiB: 1, Threads: 1})
		phc, err := h.Hash(ctx, "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		if ok, rehash := verify(h, phc, "correct horse"); !ok || rehash {
			t.Fatalf("ok %v, rehash %v", ok, rehash)
		}
		if p := NewHasher(HasherOptions{Time: 99, MemoryKiB: 1 << 30, Threads: 99}).params; p.memory > maxMemoryKiB || p.time > maxTime || p.threads > maxThreads {
			t.Fatalf("out of bounds: %+v", p)
		}
	})
}

func TestParsePHCRefuses(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, phc := range map[string]string{
		"not a hash": "hunter2", "sha512crypt": "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
		"argon2i": "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + sum, "old version": "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + sum,
		"memory bomb": "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + sum, "time bomb": "$argon2id$v=19$m=64,t=4294967295,p=1$" + salt + "$" + sum,
		"no memory": "$argon2id$v=19$m=0,t=1,p=1$" + salt + "$" + sum, "no lanes": "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + sum,
		"overflow": "$argon2id$v=19$m=99999999999999999999,t=1,p=1$" + salt + "$" + sum, "leading zero": "$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + sum,
		"sign": "$argon2id$v=19$m=+64,t=1,p=1$" + salt + "$" + sum, "order": "$argon2id$v=19$t=1,m=64,p=1$" + salt + "$" + sum,
		"extra parameter": "$argon2id$v=19$m=64,t=1,p=1,x=1$" + salt + "$" + sum, "empty salt": "$argon2id$v=19$m=64,t=1,p=1$$" + sum,
		"short sum": "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA", "padding": "$argon2id$v=19$m=64,t=1,p=1$" + salt + "=$" + sum,
		"extra part": "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + sum + "$", "megabyte": "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 1<<20) + "$" + sum,
	} {
		t.Run(name, func(t *testing.T) {
			ok, rehash, err := NewHasher(cheap).Verify(context.Background(), phc, "password")
			if !errors.Is(err, ErrPHC) || ok || rehash {
				t.Fatalf("ok %v, rehash %v, %v", ok, rehash, err)
			}
			if strings.Contains(err.Error(), sum) {
				t.Fatal("the error shows the hash")
			}
		})
	}
}

func TestHasherQueueIsBounded(t *testing.T) {
	h := NewHasher(HasherOptions{Time: 1, MemoryKiB: 64, Slots: 1, Queue: 2})
	h.pool.slots <- struct{}{} // another caller computes
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var waiters sync.WaitGroup
	results := make(chan error, 2)
	for range 2 {
		waiters.Go(func() {
			_, err := h.Hash(ctx, "pw")
			results <- err
		})
	}
	for deadline := time.Now().Add(5 * time.Second); h.pool.waiting.Load() != 2; {
		if time.Now().After(deadline) {
			t.Fatal("the waiters never queued")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := h.Hash(ctx, "pw"); !errors.Is(err, ErrBusy) {
		t.Fatalf("a third waiter got %v", err)
	}
	if _, _, err := h.Verify(ctx, "", "pw"); !errors.Is(err, ErrBusy) {
		t.Fatalf("an unknown user's check got %v", err)
	}
	cancel()
	waiters.Wait()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Fatalf("a cancelled waiter got %v", err)
		}
	}
	<-h.pool.slots
	if _, err := h.Hash(context.Background(), "pw"); err != nil || h.pool.waiting.Load() != 0 {
		t.Fatalf("after the burst: %v, %d waiting", err, h.pool.waiting.Load())
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$AAAA")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, salt, sum, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.memory > maxMemoryKiB || p.time > maxTime || p.time == 0 || p.threads == 0 || p.threads > maxThreads {
			t.Fatalf("%q asks for %+v", s, p)
		}
		if got := formatPHC(p, salt, sum); got != s {
			t.Fatalf("%q is also spelled %q", s, got)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(HasherOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Hash(context.Background(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}
