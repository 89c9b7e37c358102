package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestBcrypt: accounts that were made elsewhere log in, and their hashes are made anew; what bcrypt would let by is not.
func TestBcrypt(t *testing.T) {
	h := NewHasher(cheap)
	hash := func(password string) string {
		t.Helper()
		raw, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	check := func(phc, password string, want bool) {
		t.Helper()
		ok, rehash, err := h.Verify(context.Background(), phc, password)
		if err != nil || ok != want || rehash != want {
			t.Errorf("%.7s… with %q: ok %v, rehash %v, %v", phc, password, ok, rehash, err)
		}
	}
	plain := hash("correct horse")
	for _, version := range []string{"$2a$", "$2b$", "$2y$"} {
		check(version+plain[4:], "correct horse", true)
		check(version+plain[4:], "correct hors", false)
		check(version+plain[4:], "", false)
	}
	t.Run("SEC-51: a password of more than 72 bytes is not the one of its first 72", func(t *testing.T) {
		long := strings.Repeat("x", 72)
		check(hash(long), long, true)
		check(hash(long), long+"y", false)
		check(hash(long), long[:71], false)
	})
	t.Run("what is none is an error, and costs no minutes", func(t *testing.T) {
		for name, phc := range map[string]string{"a cost of 31": "$2a$31$" + plain[7:], "cut off": plain[:59], "another version": "$2x$" + plain[4:], "no cost": "$2a$xx$" + plain[7:]} {
			if _, _, err := h.Verify(context.Background(), phc, "correct horse"); !errors.Is(err, ErrPHC) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestHasherWith: a project's own parameters are used in the slots that all share.
func TestHasherWith(t *testing.T) {
	h := NewHasher(cheap)
	costly := h.With(128, 3)
	old, err := h.Hash(context.Background(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	made, err := costly.Hash(context.Background(), "correct horse")
	if err != nil || !strings.HasPrefix(made, "$argon2id$v=19$m=128,t=3,p=1$") {
		t.Fatalf("made %s, %v", made, err)
	}
	for name, c := range map[string]struct {
		by     *Hasher
		phc    string
		rehash bool
	}{"its own": {costly, made, false}, "an older one": {costly, old, true}, "with nothing said": {h.With(0, 0), old, false}} {
		if ok, rehash, err := c.by.Verify(context.Background(), c.phc, "correct horse"); !ok || rehash != c.rehash || err != nil {
			t.Errorf("%s: ok %v, rehash %v, %v", name, ok, rehash, err)
		}
	}
	if costly.pool != h.pool {
		t.Error("the parameters have slots of their own")
	}
	if huge := h.With(1<<30, 1<<30); huge.params.memory != maxMemoryKiB || huge.params.time != maxTime {
		t.Errorf("the parameters are %+v", huge.params)
	}
}

// TestCommonPasswords: what a guesser tries first is refused.
func TestCommonPasswords(t *testing.T) {
	if n := strings.Count(commonPasswords, "\n"); n != 3000 {
		t.Errorf("there are %d of them", n)
	}
	for _, password := range []string{"password", "PassWord", "12345678", "iloveyou", strings.SplitN(commonPasswords, "\n", 2)[0], "zxcvbnm1"} {
		if err := ValidatePassword(password, LowestMinPassword); err == nil {
			t.Errorf("%q is taken", password)
		}
	}
	for _, password := range []string{"correct horse", "passwordpassword1x", "assword\npasswor", "iloveyou too"} {
		if err := ValidatePassword(password, 0); err != nil {
			t.Errorf("%q is refused: %v", password, err)
		}
	}
	if ok, _, err := NewHasher(cheap).Verify(context.Background(), "", strings.Repeat("x", MaxPassword+1)); ok || err != nil {
		t.Errorf("a password that nobody has: %v, %v", ok, err)
	}
}
