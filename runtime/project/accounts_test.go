package project

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestAccountSettings: what is under auth and audit is read from the file, judged, and kept as it was said.
func TestAccountSettings(t *testing.T) {
	const users = `collections:
  - name: users
    fields:
      - {key: email, type: String, required: true}
      - {key: password, type: String, required: true}
      - {key: name, type: String}
      - {key: role, type: String}
`
	c, err := ParseFile("f", []byte(`name: p
auth:
  enabled: true
  strictSessions: true
  refreshGrace: 10
  hideClients: true
  argon2: {memory: 46 MiB, time: 1}
  profile: {writable: [], public: [name, email]}
audit: {days: 7, entries: 1000}
`+users))
	if err != nil {
		t.Fatal(err)
	}
	want := AuthConfig{Enabled: true, StrictSessions: true, RefreshGrace: 10, HideClients: true, Argon2: Argon2{46 << 20, 1}, Profile: ProfileConfig{[]string{}, []string{"name", "email"}}}
	got := AuthConfig{Enabled: c.Auth.Enabled, StrictSessions: c.Auth.StrictSessions, RefreshGrace: c.Auth.RefreshGrace, HideClients: c.Auth.HideClients, Argon2: c.Auth.Argon2, Profile: c.Auth.Profile}
	if !reflect.DeepEqual(got, want) || c.Audit != (AuditConfig{7, 1000}) {
		t.Errorf("read %+v %+v", got, c.Audit)
	}
	t.Run("a list that is empty stays one when it is stored", func(t *testing.T) {
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFile("f", raw)
		if err != nil || Diff(c, again) != nil || again.Auth.Profile.Writable == nil || again.Auth.UserWrites("name") {
			t.Errorf("stored as %s, %v", raw, err)
		}
	})
	t.Run("a copy shares nothing", func(t *testing.T) {
		d := c.Clone()
		d.Auth.Profile.Public[0] = "x"
		if c.Auth.Profile.Public[0] != "name" {
			t.Error("the list is shared")
		}
	})
	for _, tc := range []struct{ name, auth, want string }{
		{"a long grace", "refreshGrace: 61", "auth.refreshGrace: must be between 0 and 60 seconds"},
		{"a cookie of no kind", "cookieSameSite: sometimes", "auth.cookieSameSite: must be lax, strict or none"},
		{"a field that is none", "profile: {writable: [nam]}", `auth.profile.writable[0]: "nam" is not a declared field of the users collection`},
		{"a field twice", "profile: {public: [name, name]}", `auth.profile.public[1]: names "name" twice`},
		{"a role for users to write", "profile: {writable: [role]}", `auth.profile.writable[0]: "role" is not for users to write or for everybody to see`},
		{"a password for everybody to see", "profile: {public: [password]}", `auth.profile.public[0]: "password" is not for users to write or for everybody to see`},
		{"too little memory", "argon2: {memory: 18 MiB}", "auth.argon2.memory: must be at least 19 MiB with time: 2"},
		{"too little memory for one pass", "argon2: {time: 1}", "auth.argon2.memory: must be at least 46 MiB with time: 1"},
		{"little memory and many passes", "argon2: {memory: 7 MiB, time: 5}", ""},
		{"too much memory", "argon2: {memory: 65 MiB}", "auth.argon2.memory: must be at most 64 MiB"},
		{"too many passes", "argon2: {time: 17}", "auth.argon2.time: must be between 1 and 16 passes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseFile("f", []byte("name: p\nauth: {enabled: true, "+tc.auth+"}\n"+users))
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if want := "f:2: " + tc.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}
