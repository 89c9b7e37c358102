package runtime

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Error is what a caller is told. Status is the HTTP status, Reason a stable dotted code that programs may match and
// Message the contract's text. The cause, if any, goes to the log under the request id and never to the caller.
type Error struct {
	Status     int
	Reason     string
	Message    string
	RetryAfter time.Duration // sent as Retry-After when positive
	cause      error

	denial bool     // by a rule or a guest: the developer finds it in the project's log of decisions
	hides  *Error   // the true reason, which the caller must not be able to tell from this one
	guest  *guestNo // of the guest that said no, or broke
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Reason, e.Message, e.cause)
	}
	return e.Reason + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// saying returns the same error with another text, for the reasons whose text names a field or an index.
func (e *Error) saying(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// after returns the same error with the time after which trying again makes sense.
func (e *Error) after(wait time.Duration) *Error {
	c := *e
	c.RetryAfter = wait
	return &c
}

// because returns the same error with a cause for the log.
func (e *Error) because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// hiding returns the same error in place of another one, which only the developer is told.
func (e *Error) hiding(truth error) *Error {
	c := *e
	c.hides = errorFrom(truth)
	return &c
}

// errorTable lists every reason a caller can meet, in the order of docs/errors.md, which a test keeps equal to it.
var errorTable []*Error

// reason declares one row of the table. It runs while the package's variables are made, and nowhere else.
func reason(status int, code, message string) *Error {
	e := &Error{Status: status, Reason: code, Message: message}
	errorTable = append(errorTable, e)
	return e
}

// denial declares a row that says what a rule or a guest does not allow.
func denial(status int, code, message string) *Error {
	e := reason(status, code, message)
	e.denial = true
	return e
}

// retry declares a row for a moment's overload: 503 with Retry-After.
func retry(code, message string) *Error {
	e := reason(503, code, message)
	e.RetryAfter = time.Second
	return e
}

// The request itself.
var (
	errMalformedRequest = reason(400, "request.malformed", "Malformed HTTP request.")
	errMalformedPath    = reason(400, "request.malformed_path", "Malformed URL path.")
	errDuplicateHeader  = reason(400, "request.duplicate_header", "A header that may be sent once was sent twice.")
	errRouteNotFound    = reason(404, "route.not_found", "Not Found")
	errMethod           = reason(405, "route.method_not_allowed", "Method Not Allowed")
	errHeaderTooLarge   = reason(431, "request.header_too_large", "Request header fields too large.")
	errConnections      = retry("busy.connections", "The server has too many connections. Please try again shortly.")
	errTimeout          = reason(408, "request.timeout", "The request was not received in time.")
)

// The body.
var (
	errMalformedJSON   = reason(400, "body.malformed_json", "Invalid JSON format")
	errDuplicateKey    = reason(400, "body.duplicate_key", "A JSON object holds the same key twice.")
	errTooDeep         = reason(400, "body.too_deep", "The JSON body is nested too deeply (32 levels at most).")
	errTooMany         = reason(400, "body.too_many_values", "A JSON object or array in the body holds too many values.")
	errBadText         = reason(400, "body.bad_text", "The JSON body holds text that is not valid UTF-8 or a NUL character.")
	errBadNumber       = reason(400, "body.bad_number", "The JSON body holds a number out of range.")
	errBodyMissing     = reason(400, "body.missing", "Request body is required.")
	errBodyNotObject   = reason(400, "body.not_object", "Item at index 0 must be a valid object")
	errBodyEmptyArray  = reason(400, "body.empty_array", "Request body cannot be an empty array.")
	errBodyTooLarge    = reason(413, "body.too_large", "Request body too large.")
	errBodyUnsupported = reason(415, "body.unsupported_type", "Content-Type must be application/json.")
)

// The key and the origin.
var (
	errKeyMissing        = reason(401, "key.missing", "API key not found")
	errKeyUnknown        = reason(401, "key.unknown", "API key is expired or invalid.")
	errKeySecretRequired = reason(403, "key.secret_required", "Forbidden. This action requires a Secret Key (sk_live_...).")
	errOriginMissing     = reason(403, "origin.missing", "Forbidden: Origin header missing and this key is restricted to specific domains.")
	errOriginForbidden   = reason(403, "origin.forbidden", "Forbidden: Origin is not allowed by this project's CORS policy.")
	errOriginMalformed   = reason(400, "origin.malformed", "Invalid Origin header format.")
)

// Logging in elsewhere. What the browser is sent back with says the reason as error.
var (
	errSocialUnknown     = reason(404, "social.unknown_provider", "Unsupported social auth provider")
	errSocialIncomplete  = reason(422, "social.incomplete", "Social auth is disabled or incomplete for this project.")
	errSocialMissing     = reason(400, "social.missing", "Missing code or state")
	errSocialState       = reason(400, "social.state", "Invalid or expired OAuth state")
	errSocialDenied      = reason(403, "social.denied", "The login was cancelled at the provider.")
	errSocialRefused     = reason(403, "social.refused", "The provider's answer could not be verified. Please try again.")
	errSocialUnverified  = reason(403, "social.unverified_email", "The provider does not say that your e-mail address is verified. Verify it there, and try again.")
	errSocialUnavailable = reason(502, "social.unavailable", "The provider cannot be reached at the moment. Please try again later.")
	errExchangeMissing   = reason(400, "social.exchange_missing", "rtCode and token are required")
	errExchangeInvalid   = reason(400, "social.exchange_invalid", "Invalid or expired refresh token exchange code")
)

// Limits on how often.
var (
	errRateAddress    = reason(429, "rate.address", "Too many requests, please try again later.")
	errRateMinute     = reason(429, "rate.project_minute", "Rate limit exceeded (per minute). Please slow down or upgrade your plan.")
	errRateLogin      = reason(429, "rate.login", "Too many failed logins. Please try again later.")
	errRefreshAddress = reason(429, "rate.refresh_address", "Too many refresh attempts from this IP")
	errRefreshUser    = reason(429, "rate.refresh_user", "Too many refresh attempts for this user")
	errRefreshSession = reason(429, "rate.refresh_session", "Too many refresh attempts for this token")
	errRateDay        = reason(429, "rate.project_day", "Daily request limit reached. Upgrade your plan to increase limits.")
)

// Accounts.
var (
	errAuthDisabled       = reason(403, "auth.disabled", "Please enable Auth in the urBackend dashboard for this project to use this endpoint.")
	errAuthNoUsers        = reason(403, "auth.users_missing", "Authentication is enabled, but the 'users' collection schema has not been defined. Please create a 'users' collection in the dashboard to define your custom user fields.")
	errTokenMissing       = reason(401, "token.missing", "Access Denied: No Token Provided")
	errTokenInvalid       = reason(401, "token.invalid", "Invalid or Expired Token")
	errTokenForWrite      = denial(401, "token.required_for_write", "Provide a valid user Bearer token for write operations.")
	errTokenForRead       = reason(401, "token.required_for_read", "Provide a valid user Bearer token for private reads.")
	errAccountInvalid     = reason(400, "account.invalid", "The account's fields are not valid.")
	errAccountExists      = reason(400, "account.exists", "User already exists with this email.")
	errCredentials        = reason(400, "account.bad_credentials", "Invalid email or password")
	errPasswordWrong      = reason(400, "account.wrong_password", "Invalid current password")
	errProfileField       = reason(400, "account.field_protected", "This field of an account is not for its user to change.")
	errAccountDisabled    = reason(403, "account.disabled", "This account is disabled.")
	errUserNotFound       = reason(404, "account.not_found", "User not found")
	errUsernameRequired   = reason(400, "account.username_required", "Username is required")
	errCodeInvalid        = reason(400, "code.invalid", "Invalid or expired OTP")
	errCodeWait           = reason(429, "code.wait", "Please wait 60 seconds before requesting another code.")
	errRefreshMissing     = reason(401, "refresh.missing", "Refresh token missing")
	errRefreshMalformed   = reason(401, "refresh.malformed", "Invalid refresh token format")
	errRefreshUnknown     = reason(401, "refresh.unknown", "Refresh session not found")
	errRefreshUsed        = reason(403, "refresh.used", "Refresh token is invalid or already used")
	errRefreshMismatch    = reason(403, "refresh.mismatch", "Refresh token mismatch")
	errCookieOrigin       = reason(403, "refresh.foreign_origin", "The refresh cookie counts only for pages of this site, of siteUrl or of an allowed domain.")
	errRefreshUserMissing = reason(401, "refresh.user_missing", "User not found for refresh token")
	errSignupRejected     = denial(422, "signup.rejected", "The project does not accept this account.")
	errSignupFailed       = denial(422, "signup.error", "The project could not judge the account, so it was not made.")
	errClaimsDenied       = denial(403, "claims.denied", "The project does not let this account log in.")
	errClaimsFailed       = denial(403, "claims.error", "The project could not say what this account may do, so it was not logged in.")
	errHashingBusy        = retry("busy.passwords", "Too many logins at once. Please try again shortly.")
)

// Documents.
var (
	errUsersReserved      = reason(403, "collection.users_reserved", "Use /api/userAuth endpoints for users collection operations.")
	errCollectionNotFound = reason(404, "collection.not_found", "Collection not found")
	errSchemaNotFound     = reason(404, "collection.schema_not_found", "Schema/Collection not found")
	errInvalidID          = reason(400, "document.invalid_id", "Invalid ID format.")
	errDocumentNotFound   = reason(404, "document.not_found", "Document not found.")
	errDocumentExists     = reason(409, "document.exists", "A document with this _id already exists.")
	errUnique             = reason(409, "document.duplicate", "Duplicate value violates unique constraint.")
	errPrecondition       = reason(412, "document.precondition_failed", "The document has changed since the revision named by If-Match.")
	errSchemaInvalid      = reason(400, "schema.invalid", "The document does not fit the collection's schema.")
	errWriteContended     = reason(409, "write.contended", "Too many writers changed the same document at once. Please try again.")
	errQuotaDatabase      = reason(403, "quota.database", "Database limit exceeded.")
)

// Files. The texts are the contract's where it has one.
var (
	errNoFile          = reason(400, "file.none", "No file uploaded.")
	errUnexpectedField = reason(400, "file.unexpected_field", "Unexpected field")
	errFileForm        = reason(400, "file.malformed_form", "The multipart body is malformed.")
	errFileTooLarge    = reason(413, "file.too_large", "File too large")
	errFileSize        = reason(413, "file.size_exceeds_limit", "File size exceeds limit.")
	errFileName        = reason(400, "file.bad_name", "The file name must be valid UTF-8 without control characters, and at most 200 bytes long.")
	errFileVisibility  = reason(400, "file.bad_visibility", "visibility must be public or private.")
	errUploadRequest   = reason(400, "file.request_incomplete", "filename, contentType, and size are required.")
	errUploadConfirm   = reason(400, "file.confirm_incomplete", "filePath and size are required.")
	errUploadPending   = reason(409, "file.not_uploaded", "Uploaded file is not visible yet. Please retry confirmation.")
	errUploadMismatch  = reason(400, "file.size_mismatch", "Declared file size does not match uploaded file size.")
	errUploadTwice     = reason(409, "file.uploaded", "This file was uploaded already.")
	errUploadRejected  = denial(422, "upload.rejected", "The project does not accept this file.")
	errUploadFailed    = denial(422, "upload.error", "The project could not judge the file, so it was not stored.")
	errUploadNoHook    = denial(403, "upload.no_hook", "This project leaves it to a hook who may store files, and no deployed bundle has beforeUpload.")
	errFilePath        = reason(400, "file.path_missing", "File path is required.")
	errFileDenied      = denial(403, "file.denied", "Access denied.")
	errFileLink        = denial(403, "file.bad_signature", "The link is not valid, or no longer.")
	errFileNotFound    = reason(404, "file.not_found", "File not found.")
	errFileRange       = reason(416, "file.range", "The file has no such range.")
	errFileExpiry      = reason(400, "file.bad_expiry", "expiresIn must be a whole number of seconds from 1 to 604800.")
	errQuotaFiles      = reason(403, "quota.files", "Storage limit exceeded. Please upgrade your plan or delete some files.")
	errQuotaReserve    = reason(403, "quota.files_reserved", "Internal storage limit exceeded.")
	errFileStore       = retry("files.unavailable", "Files cannot be reached at the moment. Please try again.")
	errFileFull        = reason(507, "files.full", "The server has no space left for files. Nothing was stored.")
	errFileDamaged     = reason(500, "files.damaged", "Something went wrong!")
)

// Access rules and guests.
var (
	errRLSRequired     = denial(403, "rls.required", "Enable RLS for this collection to allow publishable-key writes.")
	errOwnerMismatch   = denial(403, "rls.owner_mismatch", "Item at index 0 must have userId equal to your user id")
	errOwnerImmutable  = denial(403, "rls.owner_immutable", "userId cannot be changed under RLS.")
	errNotOwner        = denial(403, "rls.not_owner", "You can only modify your own document.")
	errNoPolicy        = denial(403, "rls.no_policy", "This collection leaves it to a policy who may do this, and no deployed policy is bound to it.")
	errPolicyDenied    = denial(403, "policy.denied", "The project's policy does not allow this.")
	errNotCountable    = denial(403, "policy.not_countable", "A read policy decides here about each document, so that they cannot be aggregated. A filter can take its place.")
	errPolicyFailed    = denial(403, "policy.error", "The project's policy could not decide, so the request was refused.")
	errHookRejected    = denial(422, "hook.rejected", "The project's write hook refused this document.")
	errHookFailed      = denial(422, "hook.error", "The project's write hook failed, so nothing was written.")
	errBundleDown      = denial(503, "bundle.unavailable", "The project's policies could not be loaded, so writes are refused. See the server's log.")
	errGuestBusy       = retry("busy.guests", "The project's policies are overloaded. Please try again shortly.")
	errGuestTooLarge   = denial(413, "guest.event_too_large", "The document is too large for the project's policies and hooks (256 KiB before and after together).")
	errQueryInvalid    = reason(400, "query.invalid", "The query is not valid.")
	errQueryTooCostly  = reason(400, "query.too_expensive", "The query would examine too many documents. Narrow it, or add an index.")
	errBusy            = retry("busy.writes", "Too many writes are waiting. Please try again shortly.")
	errReadOnly        = reason(503, "store.read_only", "The project does not accept writes at the moment.")
	errStoreFull       = retry("store.full", "The server's disk is full. Nothing was written; the project takes writes again as soon as there is space.")
	errUnknownOutcome  = reason(503, "store.unknown_outcome", "The write may or may not have been stored. Read the document before trying again.")
	errShuttingDown    = reason(503, "server.shutting_down", "The server is shutting down.")
	errServerTimeout   = reason(503, "server.timeout", "The request took too long.")
	errInternal        = reason(500, "internal", "Something went wrong!")
	errPanic           = reason(500, "internal.panic", "Something went wrong!")
	errProjectNotFound = reason(404, "project.not_found", "Project not found.")
	errProjectDown     = reason(503, "project.unavailable", "The project is not available at the moment.")
	errProjectInvalid  = reason(400, "project.invalid", "The project file is not valid.")
	errBackupRunning   = reason(409, "node.backing_up", "Another backup is being made; try again when it is done.")
	errCompacting      = reason(409, "project.compacting", "A compaction of this project is running already.")
	errProjectWouldCut = reason(409, "project.would_drop", "Applying this file would drop collections that hold documents.")
	errBundleInvalid   = reason(422, "bundle.invalid", "The bundle was refused.")
	errBundleVersion   = reason(404, "bundle.no_version", "No such bundle version is kept.")
	errAdminToken      = reason(401, "admin.token", "A valid admin token is required (Authorization: Bearer …).")
)

// errorFrom maps what a room returned to what the caller is told. What it does not know is an internal error.
func errorFrom(err error) *Error {
	var (
		edge     *Error
		schema   *project.SchemaError
		config   *project.ConfigError
		bundle   *project.BundleError
		drop     *project.DropError
		syntax   *jsondoc.SyntaxError
		unique   *kv.UniqueError
		conflict *kv.ConflictError
		quota    *kv.QuotaError
		budget   *kv.BudgetError
		files    *project.FileQuotaError
	)
	switch {
	case errors.As(err, &edge):
		return edge
	case errors.As(err, &schema):
		return errSchemaInvalid.saying("%s", schema.Message)
	case errors.As(err, &syntax):
		return syntaxError(syntax)
	case errors.As(err, &unique):
		return errUnique.because(err)
	case errors.As(err, &conflict):
		return errWriteContended.because(err)
	case errors.As(err, &quota):
		return errQuotaDatabase
	case errors.As(err, &files):
		return errQuotaFiles
	case errors.Is(err, blobs.ErrTooLarge):
		return errFileTooLarge
	case errors.Is(err, blobs.ErrFull):
		return errFileFull.because(err)
	case errors.Is(err, blobs.ErrUnavailable):
		return errFileStore.because(err)
	case errors.Is(err, blobs.ErrDamaged), errors.Is(err, blobs.ErrNotFound):
		return errFileDamaged.because(err)
	case errors.As(err, &budget):
		return tooCostly(budget)
	case errors.Is(err, kv.ErrNotFound):
		return errDocumentNotFound
	case errors.Is(err, kv.ErrBusy):
		return errBusy
	case errors.Is(err, kv.ErrUnknownOutcome):
		return errUnknownOutcome.because(err)
	case errors.Is(err, kv.ErrFull):
		return errStoreFull.because(err)
	case errors.Is(err, kv.ErrReadOnly), errors.Is(err, kv.ErrClosed):
		return errReadOnly.because(err)
	case errors.Is(err, auth.ErrBusy):
		return errHashingBusy
	case errors.As(err, &config):
		return errProjectInvalid.saying("%s", config.Error())
	case errors.As(err, &bundle):
		return errBundleInvalid.saying("%s", bundle.Error())
	case errors.As(err, &drop):
		return errProjectWouldCut.saying("%s", drop.Error())
	case errors.Is(err, project.ErrNoVersion):
		return errBundleVersion
	case errors.Is(err, project.ErrCompacting):
		return errCompacting
	case errors.Is(err, project.ErrClosing):
		return errShuttingDown
	case errors.Is(err, project.ErrNotFound):
		return errProjectNotFound
	case errors.Is(err, project.ErrBroken):
		return errProjectDown.because(err)
	case isDeadline(err):
		return errServerTimeout.because(err)
	}
	return errInternal.because(err)
}

// tooCostly says which index would have helped.
func tooCostly(err *kv.BudgetError) *Error {
	if len(err.Suggest) == 0 {
		return errQueryTooCostly.saying("The query examined %d documents and was stopped. Narrow it.", err.Examined)
	}
	return errQueryTooCostly.saying("The query examined %d documents and was stopped. Narrow it, or add the index [%s].", err.Examined, strings.Join(err.Suggest, ", "))
}

// syntaxError chooses the row for a body that the strict parser refused.
func syntaxError(err *jsondoc.SyntaxError) *Error {
	switch err.Reason {
	case jsondoc.DuplicateKey:
		return errDuplicateKey
	case jsondoc.TooDeep:
		return errTooDeep
	case jsondoc.TooManyMembers, jsondoc.TooManyItems:
		return errTooMany
	case jsondoc.BadUTF8, jsondoc.BadSurrogate, jsondoc.ControlChar:
		return errBadText
	case jsondoc.BadNumber:
		return errBadNumber
	}
	return errMalformedJSON
}

// statusTitle is the short name of a status for problem+json.
func statusTitle(status int) string {
	if t := http.StatusText(status); t != "" {
		return t
	}
	return "Error"
}
