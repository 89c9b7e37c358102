package runtime

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
)

// A cursor is a place in a list: kv's position behind the last document of a page, sealed with a MAC over the project's
// key and everything that makes the list what it is, so that it opens that list only, for that caller only.
const cursorMAC = 16 // bytes of HMAC-SHA256 that are kept

var errCursor = reason(400, "query.invalid_cursor", "The cursor is not valid for this query.")

// sealCursor makes the text of a cursor. next is borrowed.
func (r *request) sealCursor(next []byte) []byte {
	sealed := append(r.cursorSum(next), next...)
	return base64.RawURLEncoding.AppendEncode(nil, sealed)
}

// openCursor returns the position that a cursor stands for.
func (r *request) openCursor(text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < cursorMAC || !hmac.Equal(sealed[:cursorMAC], r.cursorSum(sealed[cursorMAC:])) {
		return nil, errCursor
	}
	return sealed[cursorMAC:], nil
}

// cursorSum is the MAC of a position in the request's list.
func (r *request) cursorSum(next []byte) []byte {
	msg := r.buffers[1][:0]
	part := func(b []byte) {
		msg = binary.BigEndian.AppendUint32(msg, uint32(len(b))) // no two lists of parts look alike
		msg = append(msg, b...)
	}
	part([]byte(r.collection.Name))
	part([]byte(r.role.String()))
	if r.readsOwnOnly() || r.asksReader(r.collection, hooks.OpFilter) || r.asksReader(r.collection, hooks.OpRead) {
		part([]byte(r.user.UserID))
		part([]byte(r.user.Custom))
	}
	for _, p := range listParameters(r.http.QueryArgs()) {
		part([]byte(p))
	}
	part(next)
	r.buffers[1] = msg
	mac := hmac.New(sha256.New, r.state.CursorKey)
	mac.Write(msg)
	return mac.Sum(make([]byte, 0, sha256.Size+len(next)))[:cursorMAC]
}

// listParameters are the parameters that decide which documents a list holds and in which order, sorted by name: a client
// may send them in any order. The order of `sort` parameters among themselves counts and is kept.
func listParameters(args *fasthttp.Args) []string {
	var list []string
	for key, value := range args.All() {
		switch string(key) {
		case "cursor", "limit", "page", "fields", "meta", "populate", "expand", "key", "count", "explain":
		default:
			list = append(list, string(key)+"="+string(value))
		}
	}
	slices.SortStableFunc(list, func(a, b string) int {
		if a[:min(5, len(a))] == "sort=" && b[:min(5, len(b))] == "sort=" {
			return 0
		}
		if a < b {
			return -1
		}
		return 1
	})
	return list
}
