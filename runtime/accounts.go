package runtime

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Fields of an account that have a meaning to the server.
const (
	fieldEmail    = "email"
	fieldPassword = "password"
	fieldUsername = "username"
	fieldName     = "name"
)

// verificationFlags and serverOnly are fields that a sign-up can never set, whatever the schema says.
var (
	verificationFlags = project.VerificationFlags()
	serverOnly        = project.ServerOnly()
)

// invalid reports bad account input with the contract's text.
func invalid(text string) error { return errAccountInvalid.saying("%s", text) }

// text reads a string member of the body. wanted says whether it must be there.
func (r *request) text(name string, wanted bool) (string, error) {
	switch r.body.Kind() {
	case jsondoc.Missing:
		return "", invalid("Invalid input: expected object, received undefined")
	case jsondoc.Array:
		return "", invalid("Invalid input: expected object, received array")
	}
	switch v := r.body.Get(name); v.Kind() {
	case jsondoc.String:
		return string(v.Text()), nil
	case jsondoc.Missing:
		if wanted {
			return "", invalid("Invalid input: expected string, received undefined")
		}
		return "", nil
	default:
		return "", invalid("Invalid input: expected string, received " + kindName(v.Kind()))
	}
}

func kindName(k jsondoc.Kind) string {
	switch k {
	case jsondoc.Null:
		return "null"
	case jsondoc.Bool:
		return "boolean"
	case jsondoc.Number:
		return "number"
	case jsondoc.Array:
		return "array"
	case jsondoc.Object:
		return "object"
	}
	return "string"
}

// inputError turns auth's input errors into the contract's 400.
func inputError(err error) error {
	var input *auth.InputError
	if errors.As(err, &input) {
		return invalid(input.Message)
	}
	return err
}

// signup answers POST /api/userAuth/signup: a new account and its first session, in one commit.
func signup(r *request) error {
	email, password, err := r.newCredentials()
	if err != nil {
		return err
	}
	username, err := r.text(fieldUsername, false)
	if err != nil {
		return err
	}
	if username != "" {
		if err := auth.ValidateUsername(username); err != nil {
			return inputError(err)
		}
	}
	if taken, err := r.findUser(email); err != nil {
		return err
	} else if taken != nil {
		return r.signupExisting(email, taken) // said before the password is hashed, which is the costly part
	}
	r.closeSnapshot()
	hash, err := r.hasher().Hash(r.context(), password)
	if err != nil {
		return err
	}
	id := r.project.DB.NewID(r.start)
	var doc []byte
	session, err := r.newSession(id)
	if err != nil {
		return err
	}
	err = r.commitCodes(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil { // the schema may be another one by now
			return nil, err
		}
		if doc, err = r.newAccount(id, email, hash, r.body); err != nil {
			return nil, err
		}
		if doc, err = r.judgeSignup(id, email, hash, doc); err != nil {
			return nil, err
		}
		if err := r.askClaims(id.String(), doc); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: id})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: id, Value: doc})
		r.addReads()
		if err := r.welcomeCode(email, kv.Document{ID: id, JSON: doc}); err != nil {
			return nil, err
		}
		if err := r.trustNetwork(b, email); err != nil {
			return nil, err
		}
		session.put(b)
		r.audit(b, project.AuditSignup, id.String(), "session", session.id.String())
		return b, nil
	})
	var unique *kv.UniqueError
	if errors.As(err, &unique) && unique.Index == project.IndexEmail {
		return errAccountExists
	}
	if err != nil {
		return err
	}
	return r.answerSession(fasthttp.StatusCreated, "User registered successfully. Please verify your email.", session, doc)
}

// newCredentials reads and validates the e-mail address and password of a new account.
func (r *request) newCredentials() (email, password string, err error) {
	if email, err = r.text(fieldEmail, true); err != nil {
		return "", "", err
	}
	if password, err = r.text(fieldPassword, true); err != nil {
		return "", "", err
	}
	if email, err = auth.NormalizeEmail(email); err != nil {
		return "", "", inputError(err)
	}
	if err = auth.ValidatePassword(password, r.state.Config.Auth.MinPassword); err != nil {
		return "", "", inputError(err)
	}
	return email, password, nil
}

// newAccount builds the document of a new user: the e-mail, the password's hash, and of the rest of what was sent, or made by a
// hook, only what the schema declares and a user may set. A required name that is missing is made from the address.
func (r *request) newAccount(id kv.DocID, email, hash string, from jsondoc.Value) ([]byte, error) {
	b := append(r.scratch[:0], `{"email":`...)
	b = jsondoc.AppendString(b, email)
	b = append(b, `,"password":`...)
	b = jsondoc.AppendString(b, hash)
	for i := range r.collection.Fields {
		f := &r.collection.Fields[i]
		switch {
		case f.Key == fieldEmail || f.Key == fieldPassword:
		case slices.Contains(verificationFlags, f.Key):
			if f.Type == project.TypeBoolean {
				b = appendMember(b, f.Key, []byte("false"))
			}
		case slices.Contains(serverOnly, f.Key):
		default:
			if v := from.Get(f.Key); v.Exists() && !isBlank(v) {
				b = appendMember(b, f.Key, v.Append(nil))
			} else if f.Required && (f.Key == fieldUsername || f.Key == fieldName) {
				b = appendMember(b, f.Key, jsondoc.AppendString(nil, nameFrom(email)))
			}
		}
	}
	r.scratch = append(b, '}')
	value, err := r.docParser.Parse(r.scratch, jsondoc.Limits{})
	if err != nil {
		return nil, err
	}
	now := project.Timestamp(r.start)
	r.buffers[1], err = r.collection.Conform(r.buffers[1][:0], value, nil, project.Stamp{ID: id.String(), Created: now, Updated: now})
	return r.buffers[1], err
}

// isBlank reports whether a value says nothing: null, or a string of white space.
func isBlank(v jsondoc.Value) bool {
	return v.Kind() == jsondoc.Null || v.Kind() == jsondoc.String && len(bytes.TrimSpace(v.Text())) == 0
}

// nameFrom makes a name from the local part of an address, at least three characters long.
func nameFrom(email string) string {
	name, _, _ := strings.Cut(email, "@")
	for len(name) < 3 {
		name += "0"
	}
	return name
}

func appendMember(b []byte, key string, value []byte) []byte {
	b = append(b, ',')
	b = jsondoc.AppendString(b, key)
	b = append(b, ':')
	return append(b, value...)
}

// login answers POST /api/userAuth/login. An unknown address costs the same work as a wrong password and is answered the
// same.
func login(r *request) error {
	email, err := r.text(fieldEmail, true)
	if err != nil {
		return err
	}
	password, err := r.text(fieldPassword, true)
	if err != nil {
		return err
	}
	if email, err = auth.NormalizeEmail(email); err != nil {
		return inputError(err)
	}
	if password == "" {
		return invalid("Password is required.")
	}
	if err := r.mayGuess(email); err != nil {
		return err
	}
	var stored string
	var user []byte
	var id kv.DocID
	switch doc, err := r.userByEmail(email); {
	case err == nil:
		user, id = append(r.buffers[0][:0], doc.JSON...), doc.ID
		r.buffers[0] = user
		if raw, ok := jsondoc.Lookup(user, fieldPassword); ok {
			stored = string(jsondoc.Unquote(nil, raw))
		}
	case !errors.Is(err, kv.ErrNotFound):
		return err
	}
	r.closeSnapshot() // no page of the file is held while passwords are hashed
	ok, rehash, err := r.verifyPassword(stored, password)
	if err != nil {
		return err
	}
	if !ok || user == nil {
		known := ""
		if user != nil {
			known = id.String()
		}
		r.auditFailure(project.AuditLoginFailed, known)
		return r.guessedWrong(email, errCredentials)
	}
	better := ""
	if rehash { // a busy moment must keep nobody out: the next login will do
		if better, err = r.hasher().Hash(r.context(), password); err != nil && !errors.Is(err, auth.ErrBusy) {
			return err
		}
	}
	session, err := r.newSession(id)
	if err != nil {
		return err
	}
	if err := r.storeSession(session, id, email, stored, better); err != nil {
		return err
	}
	return r.answerSession(fasthttp.StatusOK, "", session, user)
}

// userByEmail finds an account by its normalised address. The bytes are borrowed from the request's snapshot.
func (r *request) userByEmail(email string) (kv.Document, error) {
	snap, err := r.snapshot()
	if err != nil {
		return kv.Document{}, err
	}
	c, ok := snap.Collection(project.Users)
	if !ok {
		return kv.Document{}, errAuthNoUsers
	}
	return snap.GetUnique(c, project.IndexEmail, kv.String(email))
}
