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
	id, token, err := auth.NewRefresh(rand.Reader)
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
		if _, token, err := auth.NewRefresh(iotest.ErrReader(cause)); !errors.Is(err, cause) || token != "" {
			t.Fatalf("got %q, %v", token.Reveal(), err)
		}
	})
	t.Run("a rotated token keeps the id and has a new secret", func(t *testing.T) {
		next, err := auth.RotateRefresh(rand.Reader, id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := auth.ParseRefresh(next.Reveal()); err != nil || got != id || next.Equal(token) {
			t.Fatalf("rotated %q into %q, %v", token.Reveal(), next.Reveal(), err)
		}
		cause := errors.New("dry")
		if next, err := auth.RotateRefresh(iotest.ErrReader(cause), id); !errors.Is(err, cause) || next != "" {
			t.Fatalf("got %q, %v", next.Reveal(), err)
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
