package runtime

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

const maxFileList = 100

// listFiles answers GET /api/storage/files?prefix=&limit=&cursor=: files by name, those whose name begins with prefix, or
// all of them, newest first. A user sees its own.
func listFiles(r *request) error {
	args := r.http.QueryArgs()
	limit := maxFileList
	if text := args.Peek("limit"); len(text) > 0 {
		n, err := strconv.Atoi(string(text))
		if err != nil || n < 1 {
			return badParameter("limit", "a whole number from 1")
		}
		limit = min(n, maxFileList)
	}
	prefix, cursor := string(args.Peek("prefix")), string(args.Peek("cursor"))
	q := &kv.Query{Limit: limit}
	if prefix != "" {
		if _, err := cleanFileName(prefix); err != nil {
			return badParameter("prefix", "the beginning of a file's name")
		}
		q.Sort = []kv.SortKey{{Path: "name"}}
		q.Where = append(q.Where,
			kv.Predicate{Path: "name", Op: kv.Gte, Values: []kv.Value{kv.String(prefix)}},
			kv.Predicate{Path: "name", Op: kv.Lt, Values: []kv.Value{kv.String(prefix + "\U0010ffff")}})
	}
	if r.role != auth.RoleSecret {
		q.Where = append(q.Where, kv.Predicate{Path: "owner", Op: kv.Is, Values: []kv.Value{kv.String(r.user.UserID)}})
	}
	if cursor != "" {
		var err error
		if q.After, err = r.openFileCursor(cursor, prefix); err != nil {
			return err
		}
	}
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(project.StoredFiles)
	if !ok {
		return errInternal
	}
	page, err := snap.Find(r.reading(), c, q)
	if err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"success":true,"data":{"items":[`...)
	for i, doc := range page.Docs {
		f, err := project.ReadFile(doc)
		if err != nil {
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = r.appendFile(b, f)
	}
	b = append(b, `],"limit":`...)
	b = strconv.AppendInt(b, int64(limit), 10)
	b = append(b, `,"nextCursor":`...)
	if page.Next == nil {
		b = append(b, "null"...)
	} else {
		b = jsondoc.AppendString(b, base64.RawURLEncoding.EncodeToString(append(r.fileCursorSum(page.Next, prefix), page.Next...)))
	}
	return r.done(append(b, `},"message":"Files fetched successfully"}`...))
}

// appendFile appends what is told of a file.
func (r *request) appendFile(b []byte, f *project.File) []byte {
	text := func(name, value string) { b = appendMember(b, name, jsondoc.AppendString(nil, value)) }
	b = append(b, `{"path":`...)
	b = jsondoc.AppendString(b, r.filePath(f.Key))
	text("name", f.Name)
	text("url", r.fileAddress(f.Key))
	b = appendMember(b, "size", strconv.AppendInt(nil, f.Size, 10))
	text("type", f.Type)
	text("sha256", f.Hash.String())
	text("visibility", f.Visibility())
	if f.Owner != "" {
		text("owner", f.Owner)
	}
	text("createdAt", f.Created)
	text("updatedAt", f.Updated)
	return append(b, '}')
}

// openFileCursor returns the position that a cursor of a list of files stands for.
func (r *request) openFileCursor(text, prefix string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < cursorMAC || !hmac.Equal(sealed[:cursorMAC], r.fileCursorSum(sealed[cursorMAC:], prefix)) {
		return nil, errCursor
	}
	return sealed[cursorMAC:], nil
}

// fileCursorSum is the MAC of a position in a list of files: of that caller, with that prefix.
func (r *request) fileCursorSum(next []byte, prefix string) []byte {
	mac := hmac.New(sha256.New, r.state.CursorKey)
	for _, part := range [...]string{project.StoredFiles, r.role.String(), r.owner(), prefix, string(next)} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part))) // no two lists of parts look alike
		mac.Write(size[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:cursorMAC]
}
