package runtime

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/letter"
	"github.com/sluice-edge/sluice/runtime/project"
)

// What an account does by one-time codes: proving its address, and getting a new password.

// errCodeRight ends a look at a code that is right before anything is changed.
var errCodeRight = errors.New("runtime: the code is right")

// codeEmail reads the address of the routes about codes, which all say the same about one that is none.
func (r *request) codeEmail() (string, error) {
	email, err := r.text(fieldEmail, true)
	if err != nil {
		return "", err
	}
	if email, err = auth.NormalizeEmail(email); err != nil {
		return "", invalid("Invalid email format")
	}
	return email, nil
}

// withoutStop says that a password is too short as the contract says it on this route: without a full stop.
func withoutStop(err error) error {
	var e *Error
	if errors.As(err, &e) && strings.HasSuffix(e.Message, " characters.") {
		return invalid(strings.TrimSuffix(e.Message, "."))
	}
	return err
}

// codeText reads the code that somebody sent.
func (r *request) codeText() (string, error) {
	given, err := r.text("otp", true)
	if err == nil && !auth.IsCode(given) {
		err = invalid("OTP must be 6 digits")
	}
	return given, err
}

// answerMessage answers 200 with a sentence, at the top level and under data, where clients look for either.
func (r *request) answerMessage(text string) error {
	b := append(r.answer(fasthttp.StatusOK), `{"message":`...)
	b = jsondoc.AppendString(b, text)
	b = append(b, `,"data":{"message":`...)
	b = jsondoc.AppendString(b, text)
	return r.done(append(b, '}', '}'))
}

// findUser is userByEmail, with nil for an address that nobody has. The document is copied.
func (r *request) findUser(email string) (*kv.Document, error) {
	doc, err := r.userByEmail(email)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.buffers[0] = append(r.buffers[0][:0], doc.JSON...)
	doc.JSON = r.buffers[0]
	return &doc, nil
}

// verificationFlag is the field that says whether an account's address is proved: the first of the known names that the
// schema declares, as a Boolean. nil if there is none.
func verificationFlag(users *project.Collection) *project.Field {
	for _, name := range verificationFlags {
		if f := users.Field(name); f != nil {
			if f.Type == project.TypeBoolean {
				return f
			}
			return nil
		}
	}
	return nil
}

// isVerified reports whether an account's address is proved. Where the schema has no place for that, nothing ever is.
func isVerified(users *project.Collection, user []byte) bool {
	f := verificationFlag(users)
	if f == nil {
		return false
	}
	raw, ok := jsondoc.Lookup(user, f.Key)
	return ok && string(raw) == "true"
}

// commitCodes is commit for what may send a code. Who loses the race for the last one that the project may send goes again,
// and finds that none is left.
func (r *request) commitCodes(prepare func() (*kv.Batch, error)) error {
	for {
		_, err := r.commit(prepare)
		var floor *kv.FloorError
		if !errors.As(err, &floor) {
			return err
		}
		if err := context.Cause(r.context()); err != nil {
			return err
		}
	}
}

// askForCode sends a code, if it may be sent and there is somebody to send it to; otherwise it does the same but for the mail.
// wants says of an account whether it gets one; asked, if not nil, judges and changes the book before.
func (r *request) askForCode(email, purpose string, wants func(user *kv.Document) bool, asked func(*codeBook) error) error {
	return r.commitCodes(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		user, err := r.findUser(email)
		if err != nil {
			return nil, err
		}
		book, err := r.codesOf(email)
		if err != nil {
			return nil, err
		}
		if asked != nil {
			if err := asked(book); err != nil {
				return nil, err
			}
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		if user != nil && !wants(user) {
			user = nil
		}
		if user != nil {
			r.batch.Needs = append(r.batch.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: user.ID, Rev: user.Rev})
		}
		sent, err := r.sendCode(book, purpose, user)
		if err == nil && !sent {
			// A commit all the same: how long the answer takes tells no more than what it says.
			r.batch.Ops = append(r.batch.Ops, kv.Op{Kind: kv.OpAdd, Name: counterUnsent, Delta: 1})
			if asked != nil && book.rev != 0 { // no document is made for an address to which nothing may be sent
				err = r.putCodes(book)
			}
		}
		return &r.batch, err
	})
}

// counterUnsent counts the codes that somebody asked for and was not sent.
const counterUnsent = "codes.unsent"

// waitFor refuses with the seconds that are left.
func waitFor(d time.Duration) error {
	seconds := int64((d + time.Second - 1) / time.Second)
	e := errCodeWait.saying("Please wait %d seconds before requesting another code.", seconds)
	e.RetryAfter = d
	return e
}

// resendVerification answers POST /api/userAuth/resend-verification-otp. What it answers depends on how often it was asked
// about an address, and never on whether anybody has it.
func resendVerification(r *request) error {
	email, err := r.codeEmail()
	if err != nil {
		return err
	}
	err = r.askForCode(email, codeVerify,
		func(user *kv.Document) bool { return !isVerified(r.collection, user.JSON) },
		func(book *codeBook) error {
			if within(r.start, book.Asked, codePause) {
				return waitFor(codePause - r.start.Sub(time.UnixMilli(book.Asked)))
			}
			book.Asked = r.start.UnixMilli()
			return nil
		})
	if err != nil {
		return r.limitedTo(err, errCodeWait, 1, codePause)
	}
	return r.answerMessage("Verification code sent successfully.")
}

// requestReset answers POST /api/userAuth/request-password-reset, the same whatever became of it.
func requestReset(r *request) error {
	email, err := r.codeEmail()
	if err != nil {
		return err
	}
	if err := r.askForCode(email, codeReset, func(*kv.Document) bool { return true }, nil); err != nil {
		return err
	}
	return r.answerMessage("If that email exists, a reset code has been sent.")
}

// useCode judges a code in a commit: a wrong try is in it, and a right code's use together with what add puts into the
// batch. add gets the account as it is then.
func (r *request) useCode(email, purpose, given string, add func(user *kv.Document, book *codeBook) error) error {
	var refusal error
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		refusal = nil
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		user, err := r.findUser(email)
		if err != nil {
			return nil, err
		}
		book, err := r.codesOf(email)
		if err != nil {
			return nil, err
		}
		right, judged := r.tryCode(book, purpose, user, given)
		if !judged {
			return nil, errCodeInvalid
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		if !right {
			refusal = errCodeInvalid
			return &r.batch, r.putCodes(book)
		}
		r.batch.Needs = append(r.batch.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: user.ID, Rev: user.Rev})
		if err := add(user, book); err != nil {
			return nil, err
		}
		return &r.batch, r.putCodes(book)
	})
	if err == nil {
		err = refusal
	}
	return err
}

// setOnUser puts an account's document with some members replaced into the batch; its revision is a need already. members
// is what appendMember made, from nil.
func (r *request) setOnUser(user *kv.Document, members []byte) error {
	members[0] = '{' // in place of the first comma
	v, err := r.targetParser.Parse(append(members, '}'), jsondoc.Limits{})
	if err != nil {
		return err
	}
	doc, err := project.Merge(nil, user.JSON, v, project.Stamp{ID: user.ID.String(), Updated: project.Timestamp(r.start)})
	if err != nil {
		return err
	}
	r.batch.Ops = append(r.batch.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: user.ID, Value: doc})
	return nil
}

// verifyEmail answers POST /api/userAuth/verify-email.
func verifyEmail(r *request) error {
	email, err := r.codeEmail()
	if err != nil {
		return err
	}
	given, err := r.codeText()
	if err != nil {
		return err
	}
	err = r.useCode(email, codeVerify, given, func(user *kv.Document, _ *codeBook) error {
		if r.state.Config.Mail.Welcome && !isVerified(r.collection, user.JSON) {
			if err := r.enqueueMail(&mail{to: email, template: letter.Welcome, vars: r.mailVars(email, user.JSON)}); err != nil {
				return err
			}
		}
		r.audit(&r.batch, project.AuditEmailVerified, user.ID.String())
		if f := verificationFlag(r.collection); f != nil {
			return r.setOnUser(user, appendMember(nil, f.Key, []byte("true")))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.answerMessage("Email verified successfully")
}

// resetPassword answers POST /api/userAuth/reset-password: the new password, the end of every session and the end of the
// code are one commit. Whoever has the code has the mailbox, so the address is proved, too.
func resetPassword(r *request) error {
	email, err := r.codeEmail()
	if err != nil {
		return err
	}
	given, err := r.codeText()
	if err != nil {
		return err
	}
	password, err := r.text("newPassword", true)
	if err != nil {
		return err
	}
	if err := auth.ValidatePassword(password, r.state.Config.Auth.MinPassword); err != nil {
		return withoutStop(inputError(err))
	}
	// Whoever has no code gets no password hashed, which is the costly part. A wrong try is committed here; a right one only looks.
	err = r.useCode(email, codeReset, given, func(*kv.Document, *codeBook) error { return errCodeRight })
	if err != errCodeRight {
		return err
	}
	hash, err := r.hasher().Hash(r.context(), password)
	if err != nil {
		return err
	}
	err = r.useCode(email, codeReset, given, func(user *kv.Document, book *codeBook) error {
		clear(book.Codes) // a code that proves the address has nothing left to prove
		patch := appendMember(nil, fieldPassword, jsondoc.AppendString(nil, hash))
		if f := verificationFlag(r.collection); f != nil {
			patch = appendMember(patch, f.Key, []byte("true"))
		}
		if err := r.setOnUser(user, patch); err != nil {
			return err
		}
		ended, err := r.endSessions(&r.batch, user.ID, "")
		if err != nil {
			return err
		}
		if err := r.trustNetwork(&r.batch, email); err != nil { // whoever guessed before has cost its owner nothing
			return err
		}
		r.audit(&r.batch, project.AuditPasswordReset, user.ID.String(), "sessionsEnded", strconv.Itoa(ended))
		return r.tellPasswordChanged(user.JSON)
	})
	if err != nil {
		return err
	}
	return r.answerMessage("Password updated successfully")
}

// welcomeCode adds the code by which a new account proves its address to the batch that makes the account. An address that was sent
// too many lately gets an account and no code; it can ask for one later.
func (r *request) welcomeCode(email string, user kv.Document) error {
	book, err := r.codesOf(email)
	if err != nil {
		return err
	}
	_, err = r.sendCode(book, codeVerify, &user)
	return err
}

// signupExisting answers a sign-up with an address that has an account, which it never touches, names or logs in to. With
// auth.existing: resend the owner of an address that is not proved is sent a new code, and the answer says so.
func (r *request) signupExisting(email string, user *kv.Document) error {
	if r.state.Config.Auth.Existing != project.ExistingResend || isVerified(r.collection, user.JSON) {
		return errAccountExists
	}
	r.closeSnapshot()
	err := r.askForCode(email, codeVerify,
		func(user *kv.Document) bool { return !isVerified(r.collection, user.JSON) },
		func(book *codeBook) error {
			if wait := book.pause(r.start, codeVerify); wait > 0 {
				return waitFor(wait)
			}
			return nil
		})
	if err != nil {
		return r.limitedTo(err, errCodeWait, 1, codePause)
	}
	const fields = `"success":true,"message":"User already exists but is unverified. A new verification code has been sent."`
	return r.answerRaw(fasthttp.StatusOK, []byte(`{`+fields+`,"data":{`+fields+`}}`))
}
