package runtime

import (
	"errors"
	"io"
	"mime/multipart"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of an upload's form. It has one part that is the file, and at most one that says who may fetch it.
const (
	formBetween    = 16 << 10 // bytes between the contents of parts: boundaries, headers, what stands before the first
	formVisibility = 16       // bytes of that part
	formLeast      = 50       // bytes that are around a file at any rate, beside two boundaries
)

// formReader reads a form as it comes and bounds what is not contents.
type formReader struct {
	from    io.Reader
	between int // bytes that may still come; not counted while a part is read
	inPart  bool
}

func (f *formReader) Read(p []byte) (int, error) {
	if f.inPart {
		return f.from.Read(p)
	}
	if f.between <= 0 {
		return 0, errFileForm
	}
	n, err := f.from.Read(p[:min(len(p), f.between)])
	f.between -= n
	return n, err
}

// uploadFile answers POST /api/storage/upload: a multipart form with the part `file`, and perhaps `visibility`.
func uploadFile(r *request) error {
	boundary := string(r.http.Request.Header.MultipartFormBoundary())
	if boundary == "" {
		return errNoFile
	}
	most := r.state.Config.Files.MaxBytes
	announced := int64(r.http.Request.Header.ContentLength()) // -1: in chunks
	if announced > most+formBetween {
		return errFileTooLarge
	}
	reader := &formReader{from: r.newUpload(most + formBetween), between: formBetween}
	up := &formUpload{r: r, form: multipart.NewReader(reader, boundary), reader: reader, most: most}
	if most = announced - formLeast - 2*int64(len(boundary)); announced >= 0 {
		up.most = min(up.most, max(most, 0))
		up.least = max(announced-formBetween-formVisibility, 0)
	}
	f, err := up.run()
	if err != nil {
		return err
	}
	return r.answerFile(fasthttp.StatusCreated, "File uploaded successfully", f)
}

// formUpload is an upload by a form.
type formUpload struct {
	r           *request
	form        *multipart.Reader
	reader      *formReader
	most, least int64 // bytes that the file can have, by what was announced
	visibility  string
	reservation *project.Reservation // of the file, once it was met
	reserved    bool                 // it is stored
	hooked      bool                 // hooks were asked about it
	lease       *blobs.Lease
}

// run reads the form to its end and stores the file. Whatever goes wrong, nothing is left of it.
func (u *formUpload) run() (*project.File, error) {
	f, err := u.file()
	if err == nil {
		return f, nil
	}
	ctx, cancel := u.r.during(u.r.server.opt.Timeout)
	defer cancel()
	if u.reserved {
		// An error here leaves the reservation to the sweep; what the caller is told is why the upload failed.
		_ = u.r.server.registry.CancelUpload(ctx, u.r.project, u.reservation)
	}
	if u.lease != nil {
		u.lease.Release()
		u.r.server.registry.DropBytes(ctx, u.r.project, u.lease.Hash)
	}
	return nil, err
}

func (u *formUpload) file() (*project.File, error) {
	for {
		u.reader.inPart = false
		part, err := u.form.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, u.formError(err)
		}
		u.reader.inPart = true
		switch name := part.FormName(); {
		case name == "file" && u.reservation == nil:
			err = u.receive(part)
		case name == "visibility" && u.hooked: // whether it may come was said of a file that may be seen by others
			err = errUnexpectedField.saying("Send visibility before the file.")
		case name == "visibility" && u.visibility == "":
			err = u.readVisibility(part)
		default:
			err = errUnexpectedField
		}
		if err != nil {
			return nil, err
		}
	}
	if u.lease == nil {
		return nil, errNoFile
	}
	var err error
	if u.reservation.Private, err = u.r.isPrivate(u.visibility); err != nil {
		return nil, err
	}
	lease := u.lease
	u.lease = nil // settleLeased lets go of it
	ctx, cancel := u.r.during(project.UploadTime)
	defer cancel()
	return u.r.settleLeased(ctx, lease, u.reservation, u.reserved)
}

// formError says what was wrong with a form that could not be read.
func (u *formUpload) formError(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return errFileForm
}

func (u *formUpload) readVisibility(part io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(part, formVisibility+1))
	if err != nil {
		return u.formError(err)
	}
	if u.visibility = string(raw); len(raw) == 0 || len(raw) > formVisibility {
		return errFileVisibility
	}
	_, err = u.r.isPrivate(u.visibility)
	return err
}

// receive stores the bytes of the file's part, once its room is reserved.
func (u *formUpload) receive(part *multipart.Part) error {
	r := u.r
	name := part.FileName()
	if name == "" {
		return errNoFile // a field without a file, or one in which none was chosen
	}
	v, err := r.newReservation(name, part.Header.Get("Content-Type"), "")
	if err != nil {
		return err
	}
	u.reservation = v
	limit := r.state.Config.Files.MaxBytes
	if u.hooked = r.asksUploads() || r.state.Config.Files.Upload == project.UploadHook; u.hooked {
		if v.Private, err = r.isPrivate(u.visibility); err != nil {
			return err
		}
	}
	if u.hooked || r.state.Config.Files.TotalBytes > 0 {
		v.Size = u.most
		if err := r.reserve(v, u.least); err != nil {
			return err
		}
		u.reserved = true
	}
	tooMuch := errFileTooLarge
	if u.reserved && v.Size < min(u.most, limit) {
		limit, tooMuch = v.Size, errQuotaFiles // what was left
	}
	ctx, cancel := r.during(project.UploadTime)
	defer cancel()
	var form *blobs.SourceError
	u.lease, err = r.project.Blobs.Put(ctx, part, limit)
	switch {
	case errors.Is(err, blobs.ErrTooLarge):
		return tooMuch
	case errors.As(err, &form):
		return u.formError(err)
	}
	return err
}
