package runtime_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// stored returns the password's hash of an account, or puts another one in its place.
func (n *node) stored(id, hash string) string {
	n.t.Helper()
	p := n.project()
	docID, _ := kv.ParseDocID(id)
	snap, err := p.DB.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	c, _ := snap.Collection(project.Users)
	doc, err := snap.Get(c, docID)
	if err != nil {
		n.t.Fatal(err)
	}
	raw, _ := jsondoc.Lookup(doc.JSON, "password")
	was := string(jsondoc.Unquote(nil, raw))
	if hash != "" {
		b := &kv.Batch{Time: time.Now().UnixMilli(), Ops: []kv.Op{{Kind: kv.OpPut, Collection: project.Users, ID: docID, Value: []byte(strings.Replace(string(doc.JSON), string(raw), string(jsondoc.AppendString(nil, hash)), 1))}}}
		if _, err := rand.Read(b.ID[:]); err != nil {
			n.t.Fatal(err)
		}
		if _, err := p.DB.Commit(context.Background(), b); err != nil {
			n.t.Fatal(err)
		}
	}
	return was
}

// TestImportedPasswords: an account with a bcrypt hash logs in as before, and has a better hash from then on.
func TestImportedPasswords(t *testing.T) {
	n := start(t, blog)
	_, id := n.user("ann@example.com")
	_, refresh := n.logIn("ann@example.com", "correct horse")
	raw, err := bcrypt.GenerateFromPassword([]byte("battery staple"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	before := n.me(n.token(refresh)).field("updatedAt")
	n.stored(id, "$2y$"+string(raw[4:]))
	login := func(password string, status int) *answer {
		return n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":"ann@example.com","password":%q}`, password), n.as(n.pk, "")...).want(t, status)
	}
	login("correct horse", 400)
	if got := n.stored(id, ""); !strings.HasPrefix(got, "$2y$") {
		t.Fatalf("a failed login has stored %s", got)
	}
	token := login("battery staple", 200).field("accessToken")
	if got := n.stored(id, ""); !strings.HasPrefix(got, "$argon2id$v=19$m=") {
		t.Fatalf("a login has left %s", got)
	}
	if got := n.me(token).field("updatedAt"); got != before {
		t.Errorf("the profile was changed at %s", got)
	}
	login("battery staple", 200)
	n.me(token).want(t, 200) // it is the same password still

	t.Run("SEC-51: 72-byte twins do not log in", func(t *testing.T) {
		long := strings.Repeat("x", 72)
		raw, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		n.stored(id, string(raw))
		login(long+"y", 400)
		login(long, 200)
		login(long+"y", 400)
	})
	t.Run("SEC-51: 128 code points are taken whole, 129 nowhere", func(t *testing.T) {
		long := strings.Repeat("ü", 128)
		n.send("PUT", "/api/userAuth/change-password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":%q}`, strings.Repeat("x", 72), long), n.as(n.pk, token)...).want(t, 200)
		login(long, 200)
		login(long[:len(long)-2], 400)
		login(long+"ü", 400)
	})
	t.Run("a hash of no known kind fits no password, and says nothing", func(t *testing.T) {
		n.stored(id, "$scrypt$whatever")
		if a := login("whatever", 400); a.field("error") != "Invalid email or password" {
			t.Errorf("answered %s", a.body)
		}
	})
}

// token is an access token for a refresh token.
func (n *node) token(refresh string) string {
	n.t.Helper()
	return n.refresh(refresh).want(n.t, 200).field("accessToken")
}

// TestPasswordCost: a project says what a hash costs; older hashes are made anew when their users come.
func TestPasswordCost(t *testing.T) {
	n := start(t, blog)
	_, id := n.user("ann@example.com")
	n.apply(with("argon2: {memory: 12 MiB, time: 3}"))
	n.logIn("ann@example.com", "correct horse")
	if got := n.stored(id, ""); !strings.HasPrefix(got, "$argon2id$v=19$m=12288,t=3,p=1$") {
		t.Errorf("a login has left %s", got)
	}
}

// TestCommonPassword: what everybody uses is refused wherever a password is chosen.
func TestCommonPassword(t *testing.T) {
	n := start(t, blog)
	ann, _ := n.user("ann@example.com")
	a := n.send("POST", "/api/userAuth/signup", `{"email":"bob@example.com","password":"Password"}`, n.as(n.pk, "")...).want(t, 400)
	if a.field("error") != "Password is too common. Choose one that others do not use." || a.field("reason") != "account.invalid" {
		t.Errorf("sign-up answered %s", a.body)
	}
	a = n.send("PUT", "/api/userAuth/change-password", `{"currentPassword":"correct horse","newPassword":"iloveyou"}`, n.as(n.pk, ann)...).want(t, 400)
	if a.field("error") != "New password is too common. Choose one that others do not use" {
		t.Errorf("change answered %s", a.body)
	}
}
