package runtime

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// changePassword answers PUT /api/userAuth/change-password. Every other login of the user ends in the same commit; the one that asks
// goes on, its access token included.
func changePassword(r *request) error {
	current, err := r.text("currentPassword", true)
	if err != nil {
		return err
	}
	next, err := r.text("newPassword", true)
	if err != nil {
		return err
	}
	if current == "" {
		return invalid("Current password is required")
	}
	if err := r.newPassword(next); err != nil {
		return err
	}
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	stored, err := r.confirmPassword(id, current)
	if err != nil {
		return err
	}
	hash, err := r.hasher().Hash(r.context(), next)
	if err != nil {
		return err
	}
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		me, err := r.holdSelf(id)
		if err != nil {
			return nil, err
		}
		if passwordOf(me.doc) != stored { // somebody else was faster, and this password is none any more
			return nil, errPasswordWrong
		}
		b := &r.batch
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: id, Value: r.withPassword(me.doc, hash)})
		ended, err := r.endSessions(b, id, r.user.SessionID)
		if err != nil {
			return nil, err
		}
		r.audit(b, project.AuditPassword, id.String(), "sessionsEnded", strconv.Itoa(ended))
		return b, r.tellPasswordChanged(me.doc)
	})
	if err != nil {
		return err
	}
	return r.answerAccount(`"message":"Password changed successfully"`)
}

// answerAccount answers with members, once at the top level and once under data.
func (r *request) answerAccount(members string) error {
	return r.answerRaw(fasthttp.StatusOK, []byte(`{`+members+`,"data":{`+members+`}}`))
}

// newPassword judges a password that is to replace another one, in the contract's words for that.
func (r *request) newPassword(password string) error {
	err := auth.ValidatePassword(password, r.state.Config.Auth.MinPassword)
	var input *auth.InputError
	if errors.As(err, &input) {
		if rest, ok := strings.CutPrefix(input.Message, "Password "); ok {
			return invalid(strings.TrimSuffix(fmt.Sprintf("New password %s", rest), "."))
		}
	}
	return inputError(err)
}

// confirmPassword verifies the password of a user who is logged in, and returns its hash: whoever has stolen an access token does not have
// that. It holds no page of the file meanwhile.
func (r *request) confirmPassword(id kv.DocID, password string) (stored string, err error) {
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return "", errUserNotFound
	}
	if err != nil {
		return "", err
	}
	stored = passwordOf(doc.JSON)
	raw, _ := jsondoc.Lookup(doc.JSON, fieldEmail)
	email := string(jsondoc.Unquote(nil, raw))
	if err := r.mayGuess(email); err != nil {
		return "", err
	}
	r.closeSnapshot()
	ok, _, err := r.verifyPassword(stored, password)
	if err != nil {
		return "", err
	}
	if !ok {
		r.auditFailure(project.AuditPasswordFailed, id.String())
		return "", r.guessedWrong(email, errPasswordWrong)
	}
	return stored, r.confirmedRight(email)
}

// passwordOf is the password's hash in an account's document; empty if it has none, as an account that logs in elsewhere.
func passwordOf(doc []byte) string {
	raw, _ := jsondoc.Lookup(doc, fieldPassword)
	return string(jsondoc.Unquote(nil, raw))
}

// withPassword is an account's document with another password's hash, changed now.
func (r *request) withPassword(doc []byte, hash string) []byte {
	return replaceMember(nil, replaceMember(nil, doc, fieldPassword, hash), "updatedAt", project.Timestamp(r.start))
}

// hasher makes hashes with the project's parameters, in the slots that all projects share.
func (r *request) hasher() *auth.Hasher {
	cost := &r.state.Config.Auth.Argon2
	return r.server.hasher.With(uint32(cost.Memory>>10), uint32(cost.Time))
}

// verifyPassword compares a password with a stored hash; rehash says that it should be hashed anew. A hash of a kind that nobody here can check,
// of an account that came from elsewhere, is one that no password fits: its user gets a new one by mail.
func (r *request) verifyPassword(stored, password string) (ok, rehash bool, err error) {
	ok, rehash, err = r.hasher().Verify(r.context(), stored, password)
	if errors.Is(err, auth.ErrPHC) {
		r.server.log.Warn("an account's password hash is of no known kind", "request_id", string(r.id[:]), "project", r.project.ID, "error", err)
		return r.hasher().Verify(r.context(), "", password)
	}
	return ok, rehash, err
}
