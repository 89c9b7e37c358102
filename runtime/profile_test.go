package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// members is a project whose accounts have more to them.
const members = `
name: members
auth: {enabled: true}
collections:
  - name: users
    strict: true
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
      - {key: username, type: String, unique: true}
      - {key: name, type: String}
      - {key: city, type: String}
      - {key: age, type: Number}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}]}
      - {key: role, type: String, default: reader}
      - {key: githubId, type: String}
      - {key: emailVerified, type: Boolean}
`

// TestUpdateProfile: what users may change of their own account, and what not, with the contract's texts and statuses.
func TestUpdateProfile(t *testing.T) {
	n := start(t, members)
	ann, annID := n.user("ann@example.com")
	bob, _ := n.user("bob@example.com")
	put := func(token, body string) *answer {
		return n.send("PUT", "/api/userAuth/update-profile", body, n.as(n.pk, token)...)
	}
	put(bob, `{"username":"bob"}`).want(t, 200)

	for _, c := range []struct {
		name, token, body string
		status            int
		text, reason      string
	}{
		{"no body", ann, "", 400, "Invalid input: expected object, received undefined", "account.invalid"},
		{"an array", ann, "[]", 400, "Invalid input: expected object, received array", "account.invalid"},
		{"no token", "", `{"name":"x"}`, 401, "Access Denied: No Token Provided", "token.missing"},
		{"a bad token", "x.y.z", `{"name":"x"}`, 401, "Access Denied: Invalid or expired token", "token.invalid"},
		{"a short user name", ann, `{"username":"ab"}`, 400, "Username must be between 3 and 50 characters.", "account.invalid"},
		{"a long user name", ann, fmt.Sprintf(`{"username":%q}`, strings.Repeat("a", 51)), 400, "Username must be between 3 and 50 characters.", "account.invalid"},
		{"SEC-50: an invisible user name", ann, `{"username":"an\u200bn"}`, 400, "Username must not contain invisible characters.", "account.invalid"},
		{"SEC-47: the wrong type", ann, `{"age":"old"}`, 400, "Field 'age' must be a Number.", "schema.invalid"},
		{"a number as user name", ann, `{"username":5}`, 400, "Field 'username' must be a String.", "schema.invalid"},
		{"a user name that is taken", ann, `{"username":"bob"}`, 409, "Duplicate value violates unique constraint.", "document.duplicate"},
		{"SEC-46: a role", ann, `{"role":"admin"}`, 400, "Field 'role' cannot be changed.", "account.field_protected"},
		{"SEC-46: a role by an operator", ann, `{"role":{"$unset":true}}`, 400, "Field 'role' cannot be changed.", "account.field_protected"},
		{"SEC-46: a verification flag", ann, `{"emailVerified":true}`, 400, "Field 'emailVerified' cannot be changed.", "account.field_protected"},
		{"SEC-46: a provider's id", ann, `{"githubId":"1"}`, 400, "Field 'githubId' cannot be changed.", "account.field_protected"},
		{"SEC-25: a padded key", ann, "{\"\uFEFFrole\":\"admin\"}", 200, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := put(c.token, c.body).want(t, c.status)
			if c.text != "" && (a.field("error") != c.text || a.field("message") != c.text || a.field("reason") != c.reason) {
				t.Errorf("answered %s", a.body)
			}
		})
	}

	before := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, ann)...)
	a := put(ann, `{"name":"Ann","city":" Bern ","age":40,"meta.likes":3,"_id":"000000000000000000000001","email":"eve@example.com","password":"another secret","$set":{"role":"admin"},"undeclared":1,"createdAt":"2001-01-01T00:00:00.000Z"}`).want(t, 200)
	if a.field("message") != "Profile updated successfully" || a.field("data.message") != a.field("message") || a.field("user.name") != "Ann" || strings.Contains(a.body, "argon2id") {
		t.Errorf("answered %s", a.body)
	}
	me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, ann)...).want(t, 200)
	for path, want := range map[string]string{"_id": annID, "email": "ann@example.com", "name": "Ann", "city": "Bern", "age": "40", "meta.likes": "3",
		"role": "reader", "emailVerified": "false", "undeclared": "null", "$set": "null", "createdAt": before.field("createdAt")} {
		if got := me.field(path); got != want && (got != "" || want != "null") {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, n.as(n.pk, "")...).want(t, 200)

	t.Run("the whole profile may be sent back", func(t *testing.T) {
		put(ann, strings.Replace(me.body, `"Bern"`, `"Basel"`, 1)).want(t, 200)
		if got := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, ann)...).field("city"); got != "Basel" {
			t.Errorf("city is %q", got)
		}
	})
	t.Run("fields may be counted up and removed", func(t *testing.T) {
		put(ann, `{"age":{"$inc":1},"city":{"$unset":true}}`).want(t, 200)
		now := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, ann)...)
		if now.field("age") != "41" || strings.Contains(now.body, "city") {
			t.Errorf("profile is %s", now.body)
		}
	})
	t.Run("PATCH is no method of it", func(t *testing.T) {
		a := n.send("PATCH", "/api/userAuth/update-profile", `{"name":"x"}`, n.as(n.pk, ann)...).want(t, 405)
		if !strings.Contains(a.header.Get("Allow"), "PUT") {
			t.Errorf("Allow is %q", a.header.Get("Allow"))
		}
	})
}

// TestProfileLists: a project says which fields users write and which everybody sees.
func TestProfileLists(t *testing.T) {
	n := start(t, strings.Replace(members, "enabled: true", "enabled: true, profile: {writable: [name, username], public: [name, email]}", 1))
	ann, _ := n.user("ann@example.com")
	n.send("PUT", "/api/userAuth/update-profile", `{"name":"Ann","username":"ann"}`, n.as(n.pk, ann)...).want(t, 200)
	a := n.send("PUT", "/api/userAuth/update-profile", `{"city":"Bern"}`, n.as(n.pk, ann)...).want(t, 400)
	if a.field("error") != "Field 'city' cannot be changed." {
		t.Errorf("answered %s", a.body)
	}
	public := n.send("GET", "/api/userAuth/public/ann", "", n.as(n.pk, "")...).want(t, 200)
	if public.field("name") != "Ann" || public.field("email") != "ann@example.com" || strings.Contains(public.body, "username") {
		t.Errorf("public profile is %s", public.body)
	}
	n.apply(strings.Replace(members, "enabled: true", "enabled: true, profile: {writable: [], public: []}", 1))
	n.send("PUT", "/api/userAuth/update-profile", `{"name":"Eve"}`, n.as(n.pk, ann)...).want(t, 400)
	if public := n.send("GET", "/api/userAuth/public/ann", "", n.as(n.pk, "")...).want(t, 200); strings.Contains(public.body, "name") {
		t.Errorf("public profile is %s", public.body)
	}
}
