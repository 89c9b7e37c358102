package auth_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-edge/sluice/runtime/auth"
)

func TestKey(t *testing.T) {
	for role, prefix := range map[auth.Role]string{auth.RolePublishable: "pk_live_", auth.RoleSecret: "sk_live_"} {
		t.Run(role.String()+" key is made and recognised", func(t *testing.T) {
			key, err := auth.NewKey(rand.Reader, role)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(key.Reveal(), prefix) || len(key.Reveal()) != auth.KeyLen {
				t.Fatalf("form of %q", key.Reveal())
			}
			if got, ok := auth.ParseRole(key.Reveal()); !ok || got != role {
				t.Fatalf("ParseRole = %v, %v", got, ok)
			}
			other, err := auth.NewKey(rand.Reader, role)
			if err != nil || key.Equal(other) || !key.Equal(key) {
				t.Fatalf("two keys are equal, or %v", err)
			}
			if auth.HashKey([]byte(key.Reveal())) == auth.HashKey([]byte(other.Reveal())) {
				t.Fatal("two keys have one hash")
			}
		})
	}
	t.Run("no role makes no key", func(t *testing.T) {
		if _, err := auth.NewKey(rand.Reader, 0); err == nil {
			t.Fatal("a key without a role")
		}
	})
	t.Run("failing randomness makes no key", func(t *testing.T) {
		cause := errors.New("dry")
		if key, err := auth.NewKey(iotest.ErrReader(cause), auth.RoleSecret); !errors.Is(err, cause) || key != "" {
			t.Fatalf("got %q, %v", key.Reveal(), err)
		}
	})
}

func TestParseRoleRefuses(t *testing.T) {
	body := strings.Repeat("A", 43)
	for name, key := range map[string]string{
		"empty": "", "prefix only": "pk_live_", "short": "pk_live_" + body[1:], "long": "pk_live_" + body + "A",
		"test key": "pk_test_" + body, "upper prefix": "PK_LIVE_" + body, "padding": "pk_live_" + body[1:] + "=",
		"space": "pk_live_" + body[1:] + " ", "NUL": "sk_live_" + body[1:] + "\x00", "plus": "sk_live_" + body[1:] + "+",
		"not ASCII": "sk_live_" + body[2:] + "é",
	} {
		t.Run(name, func(t *testing.T) {
			if role, ok := auth.ParseRole(key); ok {
				t.Fatalf("%q passes as %v", key, role)
			}
		})
	}
}

func TestKeyChecksDoNotAllocate(t *testing.T) {
	key := []byte("pk_live_" + strings.Repeat("a", 43))
	if n := testing.AllocsPerRun(100, func() {
		_, _ = auth.ParseRole(key)
		_ = auth.HashKey(key)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s := auth.Secret("hunter2hunter2")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "s", s, "in", struct{ S auth.Secret }{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "s", s, "in", struct{ S auth.Secret }{s}, "err", fmt.Errorf("x %w %v", io.EOF, s))
	encoded, err := json.Marshal(map[string]any{"s": s, "list": []auth.Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded) + fmt.Sprintf("%v %s %q %x %X %#v %+v %d %10s", s, s, s, s, s, s, struct{ S auth.Secret }{s}, s, s) + fmt.Sprint(s)
	if strings.Contains(all, "hunter2") || strings.Contains(all, fmt.Sprintf("%x", "hunter2")) {
		t.Fatalf("the text leaks: %s", all)
	}
	if s.Reveal() != "hunter2hunter2" {
		t.Fatal("Reveal lost the text")
	}
}
