package runtime

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

var (
	headerCSP         = []byte("Content-Security-Policy")
	headerDisposition = []byte(fasthttp.HeaderContentDisposition)
	headerLastMod     = []byte(fasthttp.HeaderLastModified)
	headerRanges      = []byte(fasthttp.HeaderAcceptRanges)

	valueSandbox     = []byte("sandbox; default-src 'none'")
	valueBytes       = []byte("bytes")
	valuePublicFile  = []byte("public, max-age=3600") // an address never gets other bytes, but a file can be deleted
	valuePrivateFile = valueNoStore
	valueVaryOrigin  = []byte(fasthttp.HeaderOrigin)
)

// addressed finds the project that a file's address names, and returns the file's key.
func (r *request) addressed() (key string, err error) {
	p, err := r.server.registry.Find(string(r.path.collection))
	if err != nil || p.ID != string(r.path.collection) { // a name may change hands
		return "", errFileNotFound
	}
	if p.Broken() != nil {
		return "", errProjectDown
	}
	r.project, r.state = p, p.State()
	return r.fileKey()
}

// getFile answers GET and HEAD of /files/{project}/{name}.
func getFile(r *request) error {
	key, err := r.addressed()
	if err != nil {
		return err
	}
	f, err := r.servedFile(key)
	if errors.Is(err, kv.ErrNotFound) {
		return errFileNotFound
	}
	if err != nil {
		return err
	}
	if err := r.mayFetch(f.File); err != nil {
		return err
	}
	return r.sendFile(f)
}

// servedFile finds a file, as its record is now.
func (r *request) servedFile(key string) (*servedFile, error) {
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	defer r.closeSnapshot()
	c, ok := snap.Collection(project.StoredFiles)
	if !ok {
		return nil, kv.ErrNotFound
	}
	doc, err := snap.GetUnique(c, project.IndexFileKey, kv.String(key))
	if err != nil {
		return nil, err
	}
	id := fileID{r.project, doc.ID}
	if f := r.server.fileCache.get(id, doc.Rev); f != nil {
		return f, nil
	}
	record, err := project.ReadFile(doc)
	if err != nil {
		return nil, err
	}
	f, err := newServedFile(record)
	if err == nil {
		r.server.fileCache.put(id, f)
	}
	return f, err
}

// mayFetch judges who asks for a file: anybody for a public one; for a private one whoever has a signed address, a secret
// key, or the owner's token.
func (r *request) mayFetch(f *project.File) error {
	switch {
	case !f.Private && !r.isSigned():
		return nil
	case r.isSigned():
		return r.checkSignature(f.ID.String(), fasthttp.MethodGet)
	case len(r.apiKey) == 0:
		return errFileDenied
	}
	if err := readHeaderRules(r); err != nil {
		return err
	}
	p, role, ok := r.server.registry.ByKey(r.apiKey)
	switch {
	case !ok:
		return errKeyUnknown
	case p != r.project:
		return errFileDenied
	}
	r.role = role
	if role == auth.RoleSecret {
		return nil
	}
	if err := checkOrigin(r); err != nil {
		return err
	}
	if err := identifyUser(r); err != nil {
		return err
	}
	return r.ownsFile(f.Owner)
}

// sendFile answers with a file, or with the part of it that was asked for, or that the client has it already.
func (r *request) sendFile(f *servedFile) error {
	res := &r.http.Response
	h := &res.Header

	r.ownsCaching = true
	h.SetCanonical(headerCacheControl, valuePublicFile)
	if f.Private {
		h.SetCanonical(headerCacheControl, valuePrivateFile)
		h.SetCanonical(headerVary, valueVary)
	} else {
		h.SetCanonical(headerVary, valueVaryOrigin)
	}
	h.SetCanonical(headerETag, f.etag)
	h.SetCanonical(headerLastMod, f.lastMod)
	if r.fresh(f.etag, f.modified) {
		res.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	h.SetCanonical(headerCSP, valueSandbox)
	h.SetCanonical(headerRanges, valueBytes)
	h.SetContentType(f.Type)
	h.SetCanonical(headerDisposition, f.disposition)

	from, size := int64(0), f.Size
	status := fasthttp.StatusOK
	if asked := r.http.Request.Header.Peek(fasthttp.HeaderRange); len(asked) > 0 && r.rangeHolds(f.etag, f.modified) {
		switch first, n, ok := parseRange(asked, f.Size); {
		case !ok: // several ranges, another unit, or no sense: the whole file is a right answer (RFC 9110 section 14.2)
		case n == 0:
			h.Set(fasthttp.HeaderContentRange, "bytes */"+strconv.FormatInt(f.Size, 10))
			return errFileRange
		default:
			from, size, status = first, n, fasthttp.StatusPartialContent
			h.Set(fasthttp.HeaderContentRange, "bytes "+strconv.FormatInt(first, 10)+"-"+strconv.FormatInt(first+n-1, 10)+"/"+strconv.FormatInt(f.Size, 10))
		}
	}
	res.SetStatusCode(status)
	if r.http.IsHead() {
		h.SetContentLength(int(size))
		return nil
	}
	return r.sendBytes(f, from, size)
}

// sendBytes answers with part of a file's bytes.
func (r *request) sendBytes(f *servedFile, from, size int64) error {
	res := &r.http.Response
	if f.raw != nil {
		res.SetBodyRaw(f.raw[from : from+size])
		return nil
	}
	c, err := r.project.Blobs.Open(r.context(), f.Hash)
	if errors.Is(err, blobs.ErrNotFound) {
		return errFileDamaged.because(err)
	}
	if err != nil {
		return err
	}
	if c.Size() != f.Size {
		_ = c.Close()
		return errFileDamaged.because(errors.New("the stored bytes of " + f.Hash.String() + " do not have the size of the record"))
	}
	if f.Size <= smallFile {
		defer c.Close()
		kept := *f
		kept.raw = make([]byte, f.Size)
		if _, err := io.ReadFull(c, kept.raw); err != nil {
			return err
		}
		r.server.fileCache.put(fileID{r.project, f.ID}, &kept)
		res.SetBodyRaw(kept.raw[from : from+size])
		return nil
	}
	if _, err := c.Seek(from, io.SeekStart); err != nil {
		_ = c.Close()
		return err
	}
	if patience := time.Duration(size/slowestTransfer) * time.Second; patience > r.server.opt.Timeout {
		if err := r.http.SetWriteDeadline(time.Now().Add(r.server.opt.Timeout + patience)); err != nil {
			_ = c.Close()
			return err
		}
	}
	if file := c.File(); file != nil { // the kernel sends it; fasthttp closes it, as it would the content
		cork(r.http.Conn())
		res.SetBodyStream(file, int(size))
		return nil
	}
	res.SetBodyStream(&partOf{Reader: io.LimitReader(c, size), Closer: c}, int(size))
	return nil
}

// partOf is some bytes of an object, which is closed behind them.
type partOf struct {
	io.Reader
	io.Closer
}

// fresh reports whether the client has the file already: by its entity tag if it names any, or else by its date (RFC 9110
// section 13.2.2).
func (r *request) fresh(etag []byte, modified time.Time) bool {
	if len(r.ifNoneMatch) > 0 {
		return matchesETag(r.ifNoneMatch, etag)
	}
	since := r.http.Request.Header.Peek(fasthttp.HeaderIfModifiedSince)
	if len(since) == 0 {
		return false
	}
	at, err := http.ParseTime(string(since))
	return err == nil && !modified.After(at)
}

// rangeHolds reports whether a range may be answered: If-Range asks for it only if the file is still the same, and takes
// no weak tags.
func (r *request) rangeHolds(etag []byte, modified time.Time) bool {
	cond := bytes.TrimSpace(r.http.Request.Header.Peek(fasthttp.HeaderIfRange))
	if len(cond) == 0 {
		return true
	}
	if cond[0] == '"' {
		return bytes.Equal(cond, etag)
	}
	at, err := http.ParseTime(string(cond))
	return err == nil && modified.Equal(at)
}

// parseRange reads a Range of one range of bytes (RFC 9110 section 14.1.2). n is 0 when it lies outside of the file. ok is
// false for what is not one valid range of bytes, which is to be ignored.
func parseRange(header []byte, size int64) (first, n int64, ok bool) {
	unit, spec, found := bytes.Cut(header, []byte("="))
	if !found || !bytes.EqualFold(bytes.TrimSpace(unit), []byte("bytes")) {
		return 0, 0, false
	}
	from, to, found := bytes.Cut(bytes.TrimSpace(spec), []byte("-"))
	if !found {
		return 0, 0, false
	}
	a, aOK := digits(from)
	z, zOK := digits(to)
	switch {
	case len(from) == 0 && zOK: // the last z bytes
		z = min(z, size)
		return size - z, z, true
	case !aOK || len(to) > 0 && (!zOK || z < a):
		return 0, 0, false
	case a >= size:
		return 0, 0, true
	case len(to) == 0 || z >= size:
		z = size - 1
	}
	return a, z - a + 1, true
}

// digits reads a number of nothing but digits; one that is too large for any file counts as the largest.
func digits(text []byte) (int64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}
