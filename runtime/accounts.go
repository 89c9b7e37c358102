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

// verificationFlags are the names under which a schema may declare that an address is verified.
var verificationFlags = []string{"emailVerified", "isVerified", "isverified"}

// serverOnly are declared fields that a sign-up can never set, whatever the schema says: they decide what the user may
// do, or who it is.
var serverOnly = []string{
	"role", "roles", "isAdmin", "admin", "permissions", "claims", "githubId", "googleId", "authProviders", "provider", "providerId",
	"emailVerified", "isVerified", "isverified",
}

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
	if taken, err := r.userByEmail(email); err == nil && taken.JSON != nil {
		return errAccountExists // said before the password is hashed, which is the costly part
	} else if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	r.closeSnapshot()
	hash, err := r.server.hasher.Hash(r.context(), password)
	if err != nil {
		return err
	}
	id := r.project.DB.NewID(r.start)
	var doc []byte
	session, err := r.newSession(id)
	if err != nil {
		return err
	}
	_, err = r.commit(func() (*kv.Batch, error) {
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
		return b, session.put(b)
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
	ok, _, err := r.server.hasher.Verify(r.context(), stored, password)
	if err != nil {
		return err
	}
	if !ok || user == nil {
		return errCredentials
	}
	session, err := r.newSession(id)
	if err != nil {
		return err
	}
	if err := r.storeSession(session, id, stored); err != nil {
		return err
	}
	return r.answerSession(fasthttp.StatusOK, "", session, user)
}

// me answers GET /api/userAuth/me: the caller's own document without its password.
func me(r *request) error {
	if len(r.authorization) == 0 {
		return errTokenMissing
	}
	if err := identifyUser(r); err != nil || r.user.UserID == "" {
		return errTokenInvalid
	}
	id, ok := kv.ParseDocID(r.user.UserID)
	if !ok {
		return errTokenInvalid
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return errUserNotFound
	}
	if err != nil {
		return err
	}
	value, err := r.docParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return err
	}
	profile := appendProfile(nil, value)
	b := append(r.answer(fasthttp.StatusOK), profile[:len(profile)-1]...)
	if !value.Get("data").Exists() { // the bare document wins over the convenience
		b = append(b, `,"data":`...)
		b = append(b, profile...)
	}
	return r.done(append(b, '}'))
}

// appendProfile appends a user's document as the user itself may see it: everything but the password's hash.
func appendProfile(dst []byte, user jsondoc.Value) []byte {
	own := shape{fields: fieldSet{fieldPassword: nil}, withID: true, withMeta: true}
	return own.append(dst, user)
}

// sensitive are parts of names whose fields never appear in a public profile.
var sensitive = []string{"password", "email", "token", "otp", "secret", "session", "refresh"}

// publicProfile answers GET /api/userAuth/public/{username}: declared fields only, without the sensitive ones.
func publicProfile(r *request) error {
	name := strings.TrimSpace(string(fasthttp.AppendUnquotedArg(nil, []byte(strings.ReplaceAll(r.param("username"), "+", "%2B")))))
	if name == "" {
		return errUsernameRequired
	}
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(project.Users)
	if !ok {
		return errAuthNoUsers
	}
	page, err := snap.Find(r.reading(), c, &kv.Query{Limit: 1,
		Where: []kv.Predicate{{Path: fieldUsername, Op: kv.Eq, Values: []kv.Value{kv.String(name)}}}})
	if err != nil {
		return err
	}
	if len(page.Docs) == 0 {
		return errUserNotFound
	}
	value, err := r.docParser.Parse(page.Docs[0].JSON, storedLimits)
	if err != nil {
		return err
	}
	return r.done(appendPublicProfile(r.answer(fasthttp.StatusOK), r.collection, value))
}

// appendPublicProfile appends a user's document as anybody may see it.
func appendPublicProfile(b []byte, users *project.Collection, user jsondoc.Value) []byte {
	b = append(b, `{"_id":`...)
	b = user.Get("_id").Append(b)
	for key, value := range user.Members() {
		if f := users.Field(string(key)); f != nil && !isSensitive(f.Key) {
			b = appendMember(b, f.Key, value.Append(nil))
		}
	}
	for _, key := range [...]string{"createdAt", "updatedAt"} {
		if v := user.Get(key); v.Exists() {
			b = appendMember(b, key, v.Append(nil))
		}
	}
	return append(b, '}')
}

func isSensitive(key string) bool {
	if slices.ContainsFunc(serverOnly, func(name string) bool { return strings.EqualFold(name, key) }) {
		return true
	}
	key = strings.ToLower(key)
	return slices.ContainsFunc(sensitive, func(part string) bool { return strings.Contains(key, part) })
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
