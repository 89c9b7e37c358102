package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
)

func newTestBox(t *testing.T, secret byte, project string) *Box {
	t.Helper()
	b, err := NewBox(bytes.Repeat([]byte{secret}, NodeSecretLen), project, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// SEC-14: codes have six digits and are drawn evenly: none is likelier because the source's range does not divide.
func TestNewCode(t *testing.T) {
	for _, c := range []struct {
		name, source, want string
	}{
		{"zero", "\x00\x00\x00\x00", "000000"},
		{"leading zeros are kept", "\x00\x00\x00\x07", "000007"},
		{"the largest", "\x00\x0f\x42\x3f", "999999"},
		{"one more begins anew", "\x00\x0f\x42\x40", "000000"},
		{"the last that counts", "\xff\xf1\x3d\x7f", "999999"},
		{"beyond it is drawn again", "\xff\xf1\x3d\x80\xff\xff\xff\xff\x00\x00\x00\x2a", "000042"},
	} {
		got, err := NewCode(strings.NewReader(c.source))
		if err != nil || got.Reveal() != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got.Reveal(), err, c.want)
		}
	}
	if _, err := NewCode(strings.NewReader("abc")); err == nil {
		t.Error("a source that runs dry made a code")
	}
}

// SEC-14: the same digits mean nothing for another purpose, user, address, project or node.
func TestHashCodeBinds(t *testing.T) {
	box := newTestBox(t, 1, "p")
	base := box.HashCode("verify", "u", "a@b.example", "123456")
	if base != newTestBox(t, 1, "p").HashCode("verify", "u", "a@b.example", "123456") {
		t.Error("a restart makes codes void")
	}
	for name, other := range map[string]string{
		"purpose": box.HashCode("reset", "u", "a@b.example", "123456"),
		"user":    box.HashCode("verify", "v", "a@b.example", "123456"),
		"address": box.HashCode("verify", "u", "c@b.example", "123456"),
		"code":    box.HashCode("verify", "u", "a@b.example", "123457"),
		"project": newTestBox(t, 1, "q").HashCode("verify", "u", "a@b.example", "123456"),
		"node":    newTestBox(t, 2, "p").HashCode("verify", "u", "a@b.example", "123456"),
		"shifted": box.HashCode("verifyu", "", "a@b.example", "123456"),
	} {
		if other == base {
			t.Errorf("another %s has the same hash", name)
		}
	}
	if len(base) != 64 || strings.Contains(base, "123456") {
		t.Errorf("hash %q", base)
	}
}

func TestBoxSeals(t *testing.T) {
	box := newTestBox(t, 1, "p")
	sealed, err := box.Seal([]byte("code 123456"), "mail 1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("123456")) {
		t.Error("the text can be read")
	}
	if text, err := box.Open(sealed, "mail 1"); err != nil || string(text) != "code 123456" {
		t.Errorf("%q, %v", text, err)
	}
	bent := bytes.Clone(sealed)
	bent[len(bent)-1] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"another place":   func() ([]byte, error) { return box.Open(sealed, "mail 2") },
		"a changed byte":  func() ([]byte, error) { return box.Open(bent, "mail 1") },
		"cut short":       func() ([]byte, error) { return box.Open(sealed[:20], "mail 1") },
		"nothing":         func() ([]byte, error) { return box.Open(nil, "mail 1") },
		"another project": func() ([]byte, error) { return newTestBox(t, 1, "q").Open(sealed, "mail 1") },
		"another node":    func() ([]byte, error) { return newTestBox(t, 2, "p").Open(sealed, "mail 1") },
	} {
		if text, err := try(); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := NewBox([]byte("short"), "p", rand.Reader); err == nil {
		t.Error("a short secret was taken")
	}
}

// FuzzIsCode: what is taken for a code is six digits, so that neither white space nor another script's digits reach a hash.
func FuzzIsCode(f *testing.F) {
	for _, s := range []string{"", "123456", "12345", "1234567", " 12345", "１２３４５６", "12345\n", "-12345", "0x1234"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := len(s) == CodeLen && strings.Trim(s, "0123456789") == ""
		if got := IsCode(s); got != want {
			t.Errorf("IsCode(%q) = %v", s, got)
		}
	})
}
