package runtime

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// The end of a login elsewhere. The app's page has an access token and a code from its own address. The code alone is worth nothing: it
// needs the token with which it was made, once, and within a minute.

const (
	exchangeLifetime = time.Minute
	fragmentLifetime = 5 * time.Minute // of an access token that was in an address, which browsers remember
)

// newExchangeCode makes a code.
func newExchangeCode() (auth.Secret, error) {
	code, err := randomText(32)
	return auth.Secret(code), err
}

func exchangeID(code string) kv.DocID { return guessesID("exchange", []byte(code)) }

// putExchangeCode adds to the batch that the code may be exchanged for the session's refresh token. Neither code nor token are stored.
func (r *request) putExchangeCode(done *socialDone, s *session) {
	id := exchangeID(done.code.Reveal())
	token := sha256.Sum256([]byte(done.token.Reveal()))
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(id.AppendHex(doc), '"')
	doc = appendMember(doc, "session", jsondoc.AppendString(nil, s.id.String()))
	doc = appendMember(doc, "token", jsondoc.AppendString(nil, hex.EncodeToString(token[:])))
	doc = appendMember(doc, "expires", strconv.AppendInt(nil, r.start.Add(exchangeLifetime).UnixMilli(), 10))
	b := &r.batch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.SocialCodes, ID: id})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.SocialCodes, ID: id, Value: append(doc, '}')})
}

// usedState is the document that says that a state was used.
func usedState(id kv.DocID, expires time.Time) []byte {
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(id.AppendHex(doc), '"')
	return append(appendMember(doc, "expires", strconv.AppendInt(nil, expires.UnixMilli(), 10)), '}')
}

// socialCode reads a document of project.SocialCodes, borrowed from the request's snapshot.
func (r *request) socialCode(id kv.DocID) (kv.Document, error) {
	snap, err := r.snapshot()
	if err != nil {
		return kv.Document{}, err
	}
	c, ok := snap.Collection(project.SocialCodes)
	if !ok {
		return kv.Document{}, errors.New("there is no collection " + project.SocialCodes)
	}
	return snap.Get(c, id)
}

// exchangeSocial answers POST /api/userAuth/social/exchange. A code that comes with the wrong token is spent all the same.
func exchangeSocial(r *request) error {
	if r.body.Kind() != jsondoc.Object {
		return errExchangeMissing
	}
	code, token := string(r.body.Get("rtCode").Text()), string(r.body.Get("token").Text())
	if code == "" || token == "" {
		return errExchangeMissing
	}
	var s *session
	var refusal error
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		doc, err := r.socialCode(exchangeID(code))
		if errors.Is(err, kv.ErrNotFound) {
			return nil, errExchangeInvalid
		}
		if err != nil {
			return nil, err
		}
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.SocialCodes, ID: doc.ID, Rev: doc.Rev})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.SocialCodes, ID: doc.ID})
		if s, refusal, err = r.judgeExchange(doc, token); err != nil || refusal != nil {
			return b, err
		}
		if err := r.sessionUser(b, s); err != nil {
			return nil, err
		}
		r.addReads()
		next, err := s.family.Token(rand.Reader)
		if err != nil {
			return nil, err
		}
		s.use(next, r.start)
		s.put(b)
		return b, nil
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return err
	}
	data := append([]byte(`{"refreshToken":`), jsondoc.AppendString(nil, s.refresh.Reveal())...)
	body := append([]byte(`{"success":true,"data":`), data...)
	return r.answerRaw(fasthttp.StatusOK, append(body, `},"message":"Refresh token exchanged successfully"}`...))
}

// judgeExchange finds the session of a code, if the code is still good and was made together with the token.
func (r *request) judgeExchange(doc kv.Document, token string) (s *session, refusal, err error) {
	v, err := r.docParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return nil, nil, err
	}
	expires, err := strconv.ParseInt(string(v.Get("expires").Raw()), 10, 64)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256([]byte(token))
	good := auth.SameHash([]byte(hex.EncodeToString(sum[:])), v.Get("token").Text())
	left := time.UnixMilli(expires).Sub(r.start)
	id, ok := kv.ParseDocID(v.Get("session").Text())
	if !good || left <= 0 || left > exchangeLifetime || !ok {
		return nil, errExchangeInvalid, nil
	}
	snap, err := r.snapshot()
	if err != nil {
		return nil, nil, err
	}
	c, ok := snap.Collection(project.Sessions)
	if !ok {
		return nil, errExchangeInvalid, nil
	}
	found, err := snap.Get(c, id)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, errExchangeInvalid, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if s, err = r.decodeSession(found); err == nil && !s.stands(r.start) {
		return nil, errExchangeInvalid, nil
	}
	return s, nil, err
}
