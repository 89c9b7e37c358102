package project

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// What a manifest binds is known without its modules, so that a bundle that cannot be loaded still refuses what it would have
// judged.
func TestAsked(t *testing.T) {
	st := &State{asked: newAsked(&hooks.Manifest{Bindings: []hooks.Binding{
		{Event: hooks.EventPolicy, Collections: []string{"a"}},
		{Event: hooks.EventPolicy, Operations: []string{"read", "delete"}, Collections: []string{"b"}},
		{Event: hooks.EventFilter, Collections: []string{"c", "b"}},
		{Event: hooks.EventBeforeUpdate, Collections: []string{"a"}},
		{Event: hooks.EventClaims},
	}})}
	for _, c := range []struct {
		collection string
		policies   string // operations, in their order
		hooks      string
	}{
		{"a", "insert update delete", "update"},
		{"b", "delete read filter", ""},
		{"c", "filter", ""},
		{"d", "", ""},
		{Users, "", "claims"},
	} {
		var policies, before []string
		for op := hooks.OpInsert; op <= hooks.OpClaims; op++ {
			if st.AsksPolicy(c.collection, op) {
				policies = append(policies, op.String())
			}
			if st.AsksHook(c.collection, op) {
				before = append(before, op.String())
			}
		}
		if got := strings.Join(policies, " "); got != c.policies {
			t.Errorf("%s: policies on %q, want %q", c.collection, got, c.policies)
		}
		if got := strings.Join(before, " "); got != c.hooks {
			t.Errorf("%s: hooks on %q, want %q", c.collection, got, c.hooks)
		}
	}
	if st.asked.everything = true; !st.AsksPolicy("d", hooks.OpRead) || !st.AsksHook(Users, hooks.OpSignup) {
		t.Error("a manifest that cannot be read asks nothing")
	}
}

// A guest that would never be asked is refused, and so is a grant of what is not there.
func TestRefuseUnasked(t *testing.T) {
	cfg := &Config{Auth: AuthConfig{Enabled: true}, Collections: []Collection{{Name: Users}, {Name: "posts"}}}
	for _, c := range []struct {
		name    string
		binding hooks.Binding
		grants  []string
		noAuth  bool
		why     string // "" when it is taken
	}{
		{"a read policy", hooks.Binding{Event: hooks.EventPolicy, Operations: []string{"read"}, Collections: []string{"posts"}}, nil, false, ""},
		{"a filter", hooks.Binding{Event: hooks.EventFilter, Collections: []string{"posts"}}, nil, false, ""},
		{"signups", hooks.Binding{Event: hooks.EventBeforeSignup}, []string{"users", "posts"}, false, ""},
		{"claims", hooks.Binding{Event: hooks.EventClaims, Collections: []string{Users}}, nil, false, ""},
		{"uploads", hooks.Binding{Event: hooks.EventBeforeUpload}, nil, true, ""},
		{"claims of nobody", hooks.Binding{Event: hooks.EventClaims}, nil, true, "never happens"},
		{"a policy on accounts", hooks.Binding{Event: hooks.EventPolicy, Collections: []string{Users}}, nil, false, "is never asked"},
		{"a filter on accounts", hooks.Binding{Event: hooks.EventFilter, Collections: []string{Users}}, nil, false, "is never asked"},
		{"a misspelt collection", hooks.Binding{Event: hooks.EventFilter, Collections: []string{"post"}}, nil, false, "does not declare"},
		{"a misspelt grant", hooks.Binding{Event: hooks.EventFilter, Collections: []string{"posts"}}, []string{"member"}, false, "does not declare"},
		{"a grant of the system's", hooks.Binding{Event: hooks.EventFilter, Collections: []string{"posts"}}, []string{Sessions}, false, "does not declare"},
	} {
		given := *cfg
		given.Auth.Enabled = !c.noAuth
		err := refuseUnasked(&hooks.Manifest{Bindings: []hooks.Binding{c.binding}, Grants: hooks.Grants{Read: c.grants}}, &given)
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// In custom mode nothing is assumed about an owner, and a file that means it must say so.
func TestCustomMode(t *testing.T) {
	c := config(t, `{"name":"p","collections":[{"name":"a","rls":{"enabled":true,"mode":"custom"}},{"name":"b","rls":{"enabled":true,"mode":"Custom","ownerField":"by"}}]}`)
	c.Normalize()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := []RLS{c.Collections[0].RLS, c.Collections[1].RLS}; got[0] != (RLS{Enabled: true, Mode: ModeCustom, RequireAuthForWrite: true}) || got[1].OwnerField != "by" || got[1].Mode != ModeCustom {
		t.Errorf("%+v", got)
	}
	if string(c.Collections[0].indexes()) != `{"indexes":[]}` || !strings.Contains(string(c.Collections[1].indexes()), `"by"`) {
		t.Errorf("indexes %s and %s", c.Collections[0].indexes(), c.Collections[1].indexes())
	}
	if got := problems(config(t, `{"name":"p","collections":[{"name":"a","rls":{"mode":"custom"}}]}`)); len(got) != 1 || !strings.Contains(got[0], "needs enabled: true") {
		t.Errorf("custom without enabled: %q", got)
	}
	if d := Diff(config(t, `{"name":"p","collections":[{"name":"a","rls":{"enabled":true,"mode":"custom"}}]}`), c); len(d) == 0 || strings.Contains(d[0].Path, "ownerField") {
		t.Errorf("diff %v", d)
	}
}
