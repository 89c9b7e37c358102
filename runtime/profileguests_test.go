package runtime_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// TestProfilesByGuests: what a project's own code has to say when users change or delete their account, and what it has not. What the
// guest does is in testdata/guest.
func TestProfilesByGuests(t *testing.T) {
	code, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, strings.Replace(teams, "{key: plan, type: String}", "{key: plan, type: String}\n      - {key: a, type: Number}\n      - {key: b, type: Number}", 1))
	deploy := func(bindings ...hooks.Binding) error {
		m := hooks.Manifest{Modules: []hooks.Module{{Name: "guest", File: "guest.wasm"}}, Bindings: bindings}
		_, err := n.server.Registry().Deploy(context.Background(), n.project(), m, map[string][]byte{"guest.wasm": code})
		return err
	}
	users := []string{"users"}
	for _, b := range []hooks.Binding{ // a policy that is never asked would let happen what it is to prevent
		{Module: "guest", Event: hooks.EventPolicy, Collections: users},
		{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"update", "read"}, Collections: users},
		{Module: "guest", Event: hooks.EventBeforeInsert, Collections: users},
		{Module: "guest", Event: hooks.EventFilter, Collections: users},
	} {
		if err := deploy(b); err == nil || !strings.Contains(err.Error(), "is never asked") {
			t.Errorf("%s %v on users: %v", b.Event, b.Operations, err)
		}
	}
	if err := deploy(
		hooks.Binding{Module: "guest", Event: hooks.EventBeforeUpdate, Collections: users},
		hooks.Binding{Module: "guest", Event: hooks.EventBeforeDelete, Collections: users},
		hooks.Binding{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"update", "delete"}, Collections: users},
	); err != nil {
		t.Fatal(err)
	}
	ann, _ := n.user("ann@example.com")
	put := func(key, body string) *answer {
		return n.send("PUT", "/api/userAuth/update-profile", body, n.as(key, ann)...)
	}
	put(n.pk, `{"name":"first"}`).want(t, 200)
	for _, c := range []struct {
		name, body string
		status     int
		reason     string
	}{
		{"the hook rejects", `{"name":"reject"}`, 422, "hook.not.here"},
		{"the hook breaks", `{"name":"trap"}`, 422, "hook.error"},
		{"SEC-69: the hook makes an administrator", `{"name":"admin"}`, 422, "hook.error"},
		{"SEC-69: the hook takes the address", `{"name":"other"}`, 422, "hook.error"},
		{"SEC-69: the hook sets a password", `{"name":"hacked"}`, 422, "hook.error"},
		{"the schema has the last word", `{"name":"number"}`, 400, "schema.invalid"},
		{"the policy denies", `{"name":"x","a":60,"b":41}`, 403, "policy.sum.too_high"},
	} {
		if a := put(n.pk, c.body).want(t, c.status); a.field("reason") != c.reason {
			t.Errorf("%s: %s", c.name, a.body)
		}
		me := n.me(ann).want(t, 200)
		if me.field("name") != "first" || me.field("plan") != "first" || me.field("email") != "ann@example.com" || strings.Contains(me.body, "role") || strings.Contains(me.body, `"a"`) {
			t.Errorf("%s: stored %s", c.name, me.body)
		}
	}
	if a := put(n.sk, `{"name":"second","a":60,"b":41}`).want(t, 200); a.field("user.plan") != "second" || a.field("user.a") != "60" {
		t.Errorf("a secret key skips the policy and not the hook: %s", a.body)
	}
	n.logIn("ann@example.com", "correct horse") // the hook's rewriting has left the password alone

	put(n.sk, `{"name":"needed"}`).want(t, 200)
	del := func() *answer { return n.send("DELETE", "/api/userAuth/me", "", n.as(n.pk, ann)...) }
	if a := del().want(t, 422); a.field("reason") != "hook.needed" || a.field("error") != "Hand your team over first." {
		t.Errorf("answered %s", a.body)
	}
	n.me(ann).want(t, 200)
	put(n.sk, fmt.Sprintf(`{"name":%q}`, "free")).want(t, 200)
	del().want(t, 200)
	n.me(ann).want(t, 401)
}
