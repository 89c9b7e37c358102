package runtime

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strconv"
	"time"
)

// A signed address lets whoever has it do one thing with one file until a moment: the signature is an HMAC over project,
// file, method and expiry, with a key that only the project's own file holds.

// fileSignature signs a method on the file, or the upload, with that id until expires, in Unix seconds.
func fileSignature(key []byte, projectID, id, method string, expires int64) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range [...]string{projectID, id, method} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part))) // no two lists of parts look alike
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(expires))
	mac.Write(at[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signedAddress is an address of a file that is good for a method until expires.
func (r *request) signedAddress(key, id, method string, expires time.Time) (address, signature string) {
	at := expires.Unix()
	signature = fileSignature(r.state.FileKey, r.project.ID, id, method, at)
	q := url.Values{"expires": {strconv.FormatInt(at, 10)}, "signature": {signature}}
	return r.fileAddress(key) + "?" + q.Encode(), signature
}

// isSigned reports whether the request's address was signed at all.
func (r *request) isSigned() bool {
	q := r.http.QueryArgs()
	return q.Has("signature") || q.Has("expires")
}

// checkSignature holds a signed address to what was signed. A good signature that has expired is told the same as a bad one.
func (r *request) checkSignature(id, method string) error {
	q := r.http.QueryArgs()
	text := string(q.Peek("expires"))
	expires, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(expires, 10) != text {
		return errFileLink
	}
	want := fileSignature(r.state.FileKey, r.project.ID, id, method, expires)
	if !hmac.Equal([]byte(want), q.Peek("signature")) || r.start.Unix() >= expires {
		return errFileLink
	}
	return nil
}
