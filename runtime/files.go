package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// The way of a file: what it may take is reserved, its bytes stream to the store, and one commit ends the reservation and
// makes the record. upload does so in one request; upload-request, a PUT to the address that it answers, and upload-confirm
// do so in three, which is what the official client does.

// sizeSlack is how far, in bytes, the size that a client declares may be from what it uploads.
const sizeSlack = 64

// mayHaveFiles lets secret keys pass, and publishable ones of projects whose users may have files, for a user.
func mayHaveFiles(r *request) error {
	switch {
	case r.role == auth.RoleSecret:
		return nil
	case r.state.Config.Files.Upload == project.UploadSecret:
		return errKeySecretRequired
	case r.user.UserID == "":
		return errTokenForWrite
	}
	return nil
}

// mayUpload is mayHaveFiles for what stores a file. Where a hook says who may, it is asked when room is reserved.
func mayUpload(r *request) error {
	if r.state.Config.Files.Upload == project.UploadHook {
		return nil
	}
	return mayHaveFiles(r)
}

func needSecret(r *request) error {
	if r.role != auth.RoleSecret {
		return errKeySecretRequired
	}
	return nil
}

// ownsFile holds a publishable key to its user's own files.
func (r *request) ownsFile(owner string) error {
	if r.role == auth.RoleSecret || owner != "" && owner == r.user.UserID {
		return nil
	}
	return errFileDenied
}

// ownsUpload holds a caller to uploads that were asked for in the same name. Who may upload without one knows the upload by its
// path, which nobody can guess.
func (r *request) ownsUpload(owner string) error {
	if r.role == auth.RoleSecret || owner == r.user.UserID && r.state.Config.Files.Upload == project.UploadHook {
		return nil
	}
	return r.ownsFile(owner)
}

// owner is whom a new file belongs to.
func (r *request) owner() string {
	if r.role == auth.RoleSecret {
		return ""
	}
	return r.user.UserID
}

// during returns a context for one step of a request that takes longer than any other may.
func (r *request) during(most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), most)
}

// newReservation readies an upload of a file under that name.
func (r *request) newReservation(name, kind, visibility string) (*project.Reservation, error) {
	name, err := cleanFileName(name)
	if err != nil {
		return nil, err
	}
	v := &project.Reservation{ID: r.project.DB.NewID(r.start), Name: name, Type: kind, Owner: r.owner(), Expires: r.start.Add(project.UploadTime)}
	if v.Private, err = r.isPrivate(visibility); err != nil {
		return nil, err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	if _, err := rand.Read(v.Upload[:]); err != nil {
		return nil, err
	}
	v.Key = formatUUID(id) + "_" + name
	return v, nil
}

func (r *request) isPrivate(visibility string) (bool, error) {
	if visibility == "" {
		visibility = r.state.Config.Files.Visibility
	}
	switch visibility {
	case project.VisibilityPublic:
		return false, nil
	case project.VisibilityPrivate:
		return true, nil
	}
	return false, errFileVisibility
}

// reserve stores a reservation of v.Size bytes, or of what is left if that is enough for least, once the project's hooks have
// let the file come.
func (r *request) reserve(v *project.Reservation, least int64) error {
	ctx, cancel := r.during(r.server.opt.Timeout)
	defer cancel()
	wanted := v.Size
	rev, err := r.project.WriteFiles(ctx, func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		v.Size = wanted
		if err := r.judgeUpload(v); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		r.addReads()
		return &r.batch, r.project.Reserve(&r.batch, r.state, v, least)
	})
	v.Rev = rev
	return err
}

// asksUploads reports whether the project's bundle has a say in uploads.
func (r *request) asksUploads() bool { return r.state.AsksHook(hooks.Files, hooks.OpUpload) }

// judgeUpload takes the project's present rules, and asks its hooks about a file of which there are no bytes yet.
func (r *request) judgeUpload(v *project.Reservation) error {
	if err := r.holdState(); err != nil {
		return err
	}
	r.reader.begin()
	switch {
	case !r.asksUploads():
		if r.role != auth.RoleSecret && r.state.Config.Files.Upload == project.UploadHook {
			return errUploadNoHook
		}
		return nil
	case r.state.BundleErr != nil:
		return errBundleDown.because(r.state.BundleErr)
	}
	f := project.File{Private: v.Private}
	ev := r.caller(hooks.OpUpload, hooks.Files)
	after := append([]byte(nil), `{"name":`...)
	after = jsondoc.AppendString(after, v.Name)
	after = appendMember(after, "contentType", jsondoc.AppendString(nil, v.Type))
	after = appendMember(after, "size", strconv.AppendInt(nil, v.Size, 10))
	ev.After = append(appendMember(after, "visibility", jsondoc.AppendString(nil, f.Visibility())), '}')
	d, err := r.session.Upload(r.context(), &ev)
	return r.judged("upload", errUploadRejected, errUploadFailed, &d, err)
}

// settle commits the record of a file whose bytes are durable, and ends its reservation. It returns the record, which is
// an older one if the upload was confirmed before.
func (r *request) settle(lease *blobs.Lease, v *project.Reservation, kind string, reserved bool) (*project.File, error) {
	ctx, cancel := r.during(r.server.opt.Timeout)
	defer cancel()
	now := project.Timestamp(r.server.now())
	f := &project.File{ID: v.ID, Key: v.Key, Name: v.Name, Hash: lease.Hash, Size: lease.Size, Type: kind, Owner: v.Owner, Private: v.Private, Created: now, Updated: now}
	var before *project.File
	_, err := r.project.WriteFiles(ctx, func() (*kv.Batch, error) {
		r.state = r.project.State()
		var held *project.Reservation
		if reserved {
			var err error
			if before, err = r.project.FindFile(v.Key); err == nil {
				return nil, errUploadTwice
			}
			if held, err = r.project.FindUpload(v.Key, r.start); errors.Is(err, kv.ErrNotFound) {
				err = errUploadPending
			}
			if err != nil {
				return nil, err
			}
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		project.Settle(&r.batch, r.state, f, held)
		return &r.batch, nil
	})
	if errors.Is(err, errUploadTwice) && before != nil {
		return before, nil
	}
	return f, err
}

// requestUpload answers POST /api/storage/upload-request.
func requestUpload(r *request) error {
	name, kind := r.body.Get("filename").Text(), r.body.Get("contentType").Text()
	size := wholeNumber(r.body.Get("size"))
	switch {
	case len(name) == 0 || len(kind) == 0 || size <= 0:
		return errUploadRequest
	case size > r.state.Config.Files.MaxBytes:
		return errFileSize
	}
	visibility := r.body.Get("visibility")
	if visibility.Exists() && visibility.Kind() != jsondoc.String {
		return errFileVisibility // a mistake here must not make public what was meant to be private
	}
	v, err := r.newReservation(string(name), string(kind), string(visibility.Text()))
	if err != nil {
		return err
	}
	v.Size = size
	if err := r.reserve(v, size); err != nil {
		var quota *project.FileQuotaError
		if errors.As(err, &quota) {
			return errQuotaReserve
		}
		return err
	}
	address, err := r.project.Blobs.PresignPut(r.context(), v.Upload, size, project.UploadTime)
	token := ""
	if errors.Is(err, blobs.ErrNotSupported) {
		address, token = r.signedAddress(v.Key, v.ID.String(), fasthttp.MethodPut, v.Expires)
	} else if err != nil {
		_ = r.server.registry.CancelUpload(r.context(), r.project, v) // or the sweep will
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"signedUrl":`...)
	b = jsondoc.AppendString(b, address)
	if token != "" {
		b = appendMember(b, "token", jsondoc.AppendString(nil, token))
	}
	b = appendMember(b, "filePath", jsondoc.AppendString(nil, r.filePath(v.Key)))
	return r.done(append(b, '}'))
}

// wholeNumber reads a number, or the text of one, as the contract allows; 0 if it is neither.
func wholeNumber(v jsondoc.Value) int64 {
	raw := v.Raw()
	if v.Kind() == jsondoc.String {
		raw = v.Text()
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// filePath is what an app knows a file by.
func (r *request) filePath(key string) string { return r.project.ID + "/" + key }

// putFile answers PUT to a signed address: the bytes of an upload that was asked for. They are no file before the upload is
// confirmed.
func putFile(r *request) error {
	key, err := r.addressed()
	if err != nil {
		return err
	}
	v, err := r.project.FindUpload(key, r.start)
	if errors.Is(err, kv.ErrNotFound) {
		return errFileLink
	}
	if err != nil {
		return err
	}
	if err := r.checkSignature(v.ID.String(), fasthttp.MethodPut); err != nil {
		return err
	}
	limit := min(v.Size+sizeSlack, r.state.Config.Files.MaxBytes)
	if int64(r.http.Request.Header.ContentLength()) > limit {
		return errFileTooLarge
	}
	ctx, cancel := r.during(project.UploadTime)
	defer cancel()
	if _, err := r.project.Blobs.Stage(ctx, v.Upload, r.newUpload(limit), limit); err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"message":"Upload received","path":`...)
	b = jsondoc.AppendString(b, r.filePath(key))
	return r.done(append(b, '}'))
}

// confirmUpload answers POST /api/storage/upload-confirm. It can be repeated.
func confirmUpload(r *request) error {
	path, size := r.body.Get("filePath").Text(), wholeNumber(r.body.Get("size"))
	if len(path) == 0 || size <= 0 {
		return errUploadConfirm
	}
	key, err := parseFilePath(r.project.ID, string(path))
	if err != nil {
		return err
	}
	f, err := r.project.FindFile(key)
	switch {
	case err == nil:
		if err := r.ownsUpload(f.Owner); err != nil {
			return err
		}
		if apart(f.Size, size) {
			return errUploadMismatch // it is a file by now, and stays one
		}
	case errors.Is(err, kv.ErrNotFound):
		if f, err = r.confirm(key, size); errors.Is(err, errUploadPending) {
			// Perhaps a twin of this request was faster, and nothing waits any more because it is a file.
			if twin, lookup := r.project.FindFile(key); lookup == nil && r.ownsUpload(twin.Owner) == nil {
				f, err = twin, nil
			}
		}
		if err != nil {
			return err
		}
	default:
		return err
	}
	return r.answerFile(fasthttp.StatusOK, "Upload confirmed", f)
}

func apart(a, b int64) bool { return a-b > sizeSlack || b-a > sizeSlack }

// confirm makes a file of an upload.
func (r *request) confirm(key string, size int64) (*project.File, error) {
	v, err := r.project.FindUpload(key, r.start)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, errUploadPending
	}
	if err != nil {
		return nil, err
	}
	if err := r.ownsUpload(v.Owner); err != nil {
		return nil, err
	}
	ctx, cancel := r.during(project.UploadTime)
	defer cancel()
	store := r.project.Blobs
	u, err := store.StatUpload(ctx, v.Upload)
	switch {
	case errors.Is(err, blobs.ErrNotFound):
		return nil, errUploadPending
	case err != nil:
		return nil, err
	case apart(u.Size, size):
		return nil, errors.Join(errUploadMismatch, r.server.registry.CancelUpload(ctx, r.project, v))
	}
	lease, err := store.Promote(ctx, v.Upload, r.state.Config.Files.MaxBytes)
	if errors.Is(err, blobs.ErrNotFound) {
		return nil, errUploadPending
	}
	if err != nil {
		return nil, err
	}
	f, err := r.settleLeased(ctx, lease, v, true)
	if err == nil {
		if err := store.Discard(ctx, v.Upload); err != nil { // the sweep will
			r.server.log.Warn("bytes of a confirmed upload are left for the sweep", "request_id", string(r.id[:]), "project", r.project.ID, "error", err)
		}
	}
	return f, err
}

// settleLeased settles an upload whose bytes are leased, and lets go of both in the end.
func (r *request) settleLeased(ctx context.Context, lease *blobs.Lease, v *project.Reservation, reserved bool) (*project.File, error) {
	head, err := r.headOf(ctx, lease.Hash)
	var f *project.File
	if err == nil {
		f, err = r.settle(lease, v, fileType(v.Type, head), reserved)
	}
	lease.Release()
	if err != nil && !errors.Is(err, kv.ErrUnknownOutcome) {
		r.server.registry.DropBytes(ctx, r.project, lease.Hash)
	}
	return f, err
}

// headOf reads the first bytes of an object.
func (r *request) headOf(ctx context.Context, h blobs.Hash) ([]byte, error) {
	c, err := r.project.Blobs.Open(ctx, h)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	head := make([]byte, sniffBytes)
	n, err := io.ReadFull(c, head)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// answerFile answers with where a file is.
func (r *request) answerFile(status int, message string, f *project.File) error {
	b := append(r.answer(status), `{"message":`...)
	b = jsondoc.AppendString(b, message)
	b = appendMember(b, "url", jsondoc.AppendString(nil, r.fileAddress(f.Key)))
	b = appendMember(b, "path", jsondoc.AppendString(nil, r.filePath(f.Key)))
	b = appendMember(b, "provider", jsondoc.AppendString(nil, r.server.opt.FileProvider))
	return r.done(append(b, '}'))
}

// deleteFile answers DELETE /api/storage/file. That there is none by that name is no error; an upload that waits for its
// confirmation ends.
func deleteFile(r *request) error {
	path := r.body.Get("path").Text()
	if len(path) == 0 {
		return errFilePath
	}
	key, err := parseFilePath(r.project.ID, string(path))
	if err != nil {
		return err
	}
	registry := r.server.registry
	err = registry.RemoveFile(r.context(), r.project, key, func(f *project.File) error { return r.ownsFile(f.Owner) })
	if errors.Is(err, kv.ErrNotFound) {
		var v *project.Reservation
		if v, err = r.project.FindUpload(key, r.start); err == nil {
			if err = r.ownsFile(v.Owner); err == nil {
				err = registry.CancelUpload(r.context(), r.project, v)
			}
		}
	}
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return r.answerRaw(fasthttp.StatusOK, []byte(`{"message":"File deleted successfully"}`))
}

// deleteFiles answers DELETE /api/storage/all.
func deleteFiles(r *request) error {
	ctx, cancel := r.during(project.UploadTime)
	defer cancel()
	n, err := r.server.registry.RemoveFiles(ctx, r.project)
	if err != nil {
		return err
	}
	b := append(r.answer(fasthttp.StatusOK), `{"success":true,"deleted":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = appendMember(b, "provider", jsondoc.AppendString(nil, r.server.opt.FileProvider))
	return r.done(append(b, '}'))
}

// signFile answers POST /api/storage/signed-url {path, expiresIn?} with an address from which anybody can fetch the file
// for so many seconds.
func signFile(r *request) error {
	path := r.body.Get("path").Text()
	if len(path) == 0 {
		return errFilePath
	}
	key, err := parseFilePath(r.project.ID, string(path))
	if err != nil {
		return err
	}
	seconds := int64(3600)
	if given := r.body.Get("expiresIn"); given.Exists() {
		if seconds = wholeNumber(given); seconds < 1 || seconds > 7*24*3600 {
			return errFileExpiry
		}
	}
	f, err := r.project.FindFile(key)
	if errors.Is(err, kv.ErrNotFound) {
		return errFileNotFound
	}
	if err != nil {
		return err
	}
	if err := r.ownsFile(f.Owner); err != nil {
		return err
	}
	expires := r.start.Add(time.Duration(seconds) * time.Second)
	address, _ := r.signedAddress(key, f.ID.String(), fasthttp.MethodGet, expires)
	b := append(r.answer(fasthttp.StatusOK), `{"signedUrl":`...)
	b = jsondoc.AppendString(b, address)
	b = appendMember(b, "path", jsondoc.AppendString(nil, r.filePath(key)))
	b = appendMember(b, "expiresAt", jsondoc.AppendString(nil, project.Timestamp(time.Unix(expires.Unix(), 0))))
	return r.done(append(b, '}'))
}
