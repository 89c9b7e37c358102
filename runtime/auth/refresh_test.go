package auth_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-edge/sluice/runtime/auth"
)

func TestRefreshToken(t *testing.T) {
	family, err := auth.NewFamily(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := family.ID
	token, err := family.Token(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a new token names its session", func(t *testing.T) {
		if got, err := auth.ParseRefresh(token.Reveal()); err != nil || got != id {
			t.Fatalf("ParseRefresh = %q, %v, want %q", got, err, id)
		}
	})
	t.Run("only the whole token has its hash", func(t *testing.T) {
		hash := auth.HashRefresh(token.Reveal())
		same, other := auth.HashRefresh(token.Reveal()), auth.HashRefresh(id+"."+strings.Repeat("0", 64))
		if !auth.SameHash(hash[:], same[:]) || auth.SameHash(hash[:], other[:]) || auth.SameHash(hash[:], hash[:31]) || auth.SameHash(nil, hash[:]) {
			t.Fatal("hash comparison is wrong")
		}
	})
	t.Run("failing randomness makes no token", func(t *testing.T) {
		cause := errors.New("dry")
		if f, err := auth.NewFamily(iotest.ErrReader(cause)); !errors.Is(err, cause) || f.ID != "" {
			t.Fatalf("got %q, %v", f.ID, err)
		}
		if token, err := family.Token(iotest.ErrReader(cause)); !errors.Is(err, cause) || token != "" {
			t.Fatalf("got %q, %v", token.Reveal(), err)
		}
	})
	t.Run("the next token keeps the id and has a new secret", func(t *testing.T) {
		next, err := family.Token(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auth.ParseRefresh(next.Reveal()); err != nil || got != id || next.Equal(token) {
			t.Fatalf("%q is followed by %q, %v", token.Reveal(), next.Reveal(), err)
		}
	})
	t.Run("a token has one child, which is another token of the family", func(t *testing.T) {
		child := family.Child(token.Reveal())
		if child.Equal(token) || !child.Equal(family.Child(token.Reveal())) || child.Equal(family.Child(child.Reveal())) || !family.Made(child.Reveal()) {
			t.Fatalf("%q has the child %q", token.Reveal(), child.Reveal())
		}
	})
	t.Run("SEC-33: a family knows its own tokens from those that somebody made up", func(t *testing.T) {
		other, err := auth.NewFamily(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := other.Token(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text := token.Reveal()
		grafted := id + stranger.Reveal()[len(id):]
		last := map[bool]string{true: "1", false: "0"}[text[len(text)-1] == '0']
		for _, made := range []string{"", id, grafted, stranger.Reveal(), text[:len(text)-1] + last, id + "." + strings.Repeat("0", 64), id + "." + strings.Repeat("x", 64)} {
			if family.Made(made) {
				t.Errorf("the family takes %q for its own", made)
			}
		}
		if !family.Made(text) {
			t.Error("the family does not know its own token")
		}
	})
	secret := strings.Repeat("a", 64)
	for name, text := range map[string]string{
		"empty": "", "no dot": strings.Replace(token.Reveal(), ".", "", 1), "id alone": id, "short secret": id + "." + secret[1:],
		"long secret": id + "." + secret + "a", "upper case": strings.ToUpper(token.Reveal()), "version 1": id[:14] + "1" + id[15:] + "." + secret,
		"foreign variant": id[:19] + "c" + id[20:] + "." + secret, "dashes elsewhere": strings.ReplaceAll(id, "-", "a") + "." + secret,
		"NUL": id + "." + secret[1:] + "\x00", "trailing newline": token.Reveal() + "\n",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if id, err := auth.ParseRefresh(text); !errors.Is(err, auth.ErrRefreshFormat) {
				t.Fatalf("%q passes as %q, %v", text, id, err)
			}
		})
	}
}

func FuzzParseRefresh(f *testing.F) {
	f.Add("123e4567-e89b-42d3-a456-426614174000." + strings.Repeat("0f", 32))
	f.Add("123e4567-e89b-42d3-a456-426614174000.")
	f.Add(strings.Repeat(".", auth.RefreshLen))
	f.Fuzz(func(t *testing.T, text string) {
		id, err := auth.ParseRefresh(text)
		if err != nil {
			return
		}
		if len(id) != 36 || !strings.HasPrefix(text, id+".") || strings.ToLower(text) != text {
			t.Fatalf("%q gave %q", text, id)
		}
	})
}
