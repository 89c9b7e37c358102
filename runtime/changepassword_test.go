package runtime_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/runtime/project"
)

// logIn logs a user in and returns the access token and the refresh token.
func (n *node) logIn(email, password string) (access, refresh string) {
	n.t.Helper()
	a := n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password), append(n.as(n.pk, ""), "x-refresh-token-mode", "header")...).want(n.t, 200)
	return a.field("accessToken"), a.field("refreshToken")
}

func (n *node) refresh(token string) *answer {
	n.t.Helper()
	return n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", token)...)
}

// audited returns the kinds of the audit log's entries of a user, oldest first; of everybody if user is empty.
func (n *node) audited(user string) string {
	n.t.Helper()
	if err := n.server.Registry().SaveFailures(context.Background(), n.project()); err != nil {
		n.t.Fatal(err)
	}
	entries, _, err := n.project().AuditPage(context.Background(), project.AuditQuery{UserID: user, Limit: 1000})
	if err != nil {
		n.t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		a := answer{body: string(e)}
		kinds = append(kinds, a.field("kind"))
	}
	return strings.Join(kinds, " ")
}

// TestChangePassword: the contract's texts and statuses, and what a new password ends.
func TestChangePassword(t *testing.T) {
	n := start(t, blog)
	ann, annID := n.user("ann@example.com")
	put := func(token, body string) *answer {
		return n.send("PUT", "/api/userAuth/change-password", body, n.as(n.pk, token)...)
	}
	for _, c := range []struct {
		name, token, body string
		status            int
		text, reason      string
	}{
		{"no body", ann, "", 400, "Invalid input: expected object, received undefined", "account.invalid"},
		{"no current password", ann, `{"newPassword":"another secret"}`, 400, "Invalid input: expected string, received undefined", "account.invalid"},
		{"a number", ann, `{"currentPassword":1,"newPassword":"another secret"}`, 400, "Invalid input: expected string, received number", "account.invalid"},
		{"no new password", ann, `{"currentPassword":"correct horse"}`, 400, "Invalid input: expected string, received undefined", "account.invalid"},
		{"an empty current password", ann, `{"currentPassword":"","newPassword":"another secret"}`, 400, "Current password is required", "account.invalid"},
		{"a short new password", ann, `{"currentPassword":"correct horse","newPassword":"short"}`, 400, "New password must be at least 8 characters", "account.invalid"},
		{"SEC-51: a long new password", ann, fmt.Sprintf(`{"currentPassword":"correct horse","newPassword":%q}`, strings.Repeat("x", 129)), 400, "New password is too long", "account.invalid"},
		{"no token", "", `{"currentPassword":"correct horse","newPassword":"another secret"}`, 401, "Access Denied: No Token Provided", "token.missing"},
		{"a bad token", "x.y.z", `{"currentPassword":"correct horse","newPassword":"another secret"}`, 401, "Access Denied: Invalid or expired token", "token.invalid"},
		{"the wrong password", ann, `{"currentPassword":"wrong horse","newPassword":"another secret"}`, 400, "Invalid current password", "account.wrong_password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := put(c.token, c.body).want(t, c.status)
			if a.field("error") != c.text || a.field("message") != c.text || a.field("reason") != c.reason {
				t.Errorf("answered %s", a.body)
			}
		})
	}
	t.Run("SEC-30: it ends every other login, and no access token of these is good any more", func(t *testing.T) {
		phone, phoneRefresh := n.logIn("ann@example.com", "correct horse")
		laptop, laptopRefresh := n.logIn("ann@example.com", "correct horse")
		a := put(laptop, `{"currentPassword":"correct horse","newPassword":"another secret"}`).want(t, 200)
		if a.field("message") != "Password changed successfully" || a.field("data.message") != a.field("message") {
			t.Errorf("answered %s", a.body)
		}
		for name, token := range map[string]string{"sign-up": ann, "phone": phone} {
			for _, path := range []string{"/api/userAuth/me", "/api/data/posts", "/api/data/notes"} {
				if a := n.send("GET", path, "", n.as(n.pk, token)...); a.status != 401 {
					t.Errorf("the %s's token still reads %s: %d", name, path, a.status)
				}
			}
		}
		n.refresh(phoneRefresh).want(t, 403)
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, laptop)...).want(t, 200)
		next := n.refresh(laptopRefresh).want(t, 200)
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, next.field("accessToken"))...).want(t, 200)
		n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, n.as(n.pk, "")...).want(t, 400)
		fresh, _ := n.logIn("ann@example.com", "another secret")
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, fresh)...).want(t, 200)

		t.Run("also after a restart", func(t *testing.T) {
			n.restart()
			n.send("GET", "/api/userAuth/me", "", n.as(n.pk, phone)...).want(t, 401)
			n.send("GET", "/api/userAuth/me", "", n.as(n.pk, laptop)...).want(t, 200)
			n.send("GET", "/api/userAuth/me", "", n.as(n.pk, fresh)...).want(t, 200)
			if got, want := n.audited(annID), "signup login login password.changed login password.failed login.failed"; got != want {
				t.Errorf("the audit log has %q, want %q", got, want) // failures are stored together, later
			}
		})
	})
}
