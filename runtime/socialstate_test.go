package runtime

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// sealing is a request of a project that can seal.
func sealing(t testing.TB) *request {
	t.Helper()
	box, err := auth.NewBox([]byte(strings.Repeat("s", auth.NodeSecretLen)), "p", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := new(Server)
	s.opt.PublicURL = "https://api.example"
	return &request{server: s, project: &project.Project{ID: "p1", Box: box}, start: time.Unix(1_800_000_000, 0)}
}

// Whatever comes as state and cookie: nothing panics, and only the pair that was made together, for this provider, opens.
func FuzzSocialState(f *testing.F) {
	r := sealing(f)
	l, err := r.newSocialLogin("house")
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := r.sealLogin(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(l.State), []byte(sealed), "house")
	f.Add([]byte(l.State), []byte(sealed), "github")
	f.Add([]byte("p1."+strings.Repeat("A", 43)), []byte(sealed), "house")
	f.Add([]byte("p1.."), []byte(base64.RawURLEncoding.EncodeToString([]byte(`{"provider":"house"}`))), "house")
	f.Add([]byte(""), []byte(""), "")
	f.Fuzz(func(t *testing.T, state, cookie []byte, provider string) {
		id, ok := parseState(state)
		if ok && (id == "" || strings.Contains(id, ".") || len(state) > maxState || !strings.HasPrefix(string(state), id+".")) {
			t.Fatalf("state %q names project %q", state, id)
		}
		got, ok := r.openLogin(cookie, string(state), provider)
		if ok && (string(state) != got.State || provider != got.Provider || provider != "house" || got.Redirect != l.Redirect || got.Expires != l.Expires) {
			t.Fatalf("state %q and cookie %q open for %q", state, cookie, provider)
		}
	})
}

func TestSealedLogin(t *testing.T) {
	r := sealing(t)
	l, err := r.newSocialLogin("house")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := r.sealLogin(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.openLogin([]byte(sealed), l.State, "house"); !ok {
		t.Error("it does not open")
	}
	if id, ok := parseState([]byte(l.State)); !ok || id != "p1" {
		t.Errorf("the state names %q", id)
	}
	if strings.Contains(sealed, l.Nonce) || strings.Contains(sealed, l.Verifier) {
		t.Error("it can be read")
	}
	r.start = r.start.Add(-time.Hour) // REL-18: a clock that was set back gives it no longer life
	if _, ok := r.openLogin([]byte(sealed), l.State, "house"); ok {
		t.Error("it opens before it was made")
	}
}
