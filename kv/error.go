package kv

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of opening a project's file. See also DamagedError.
var (
	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("the database is in use by another process")
)

// Errors of any call.
var (
	// ErrClosed: the handle was closed.
	ErrClosed = errors.New("the database is closed")
	// ErrNotFound: no such document.
	ErrNotFound = errors.New("no such document")
	// ErrTrimmed: the changes asked for are no longer in the log.
	ErrTrimmed = errors.New("the change log no longer reaches back that far")
	// ErrNoIndex: the collection has no unique index of that name.
	ErrNoIndex = errors.New("no such unique index")
)

// Errors of a commit.
var (
	// ErrBusy: the queue of batches is full; nothing happened, try again.
	ErrBusy = errors.New("too many writes are waiting")
	// ErrReadOnly: no writes are taken at the moment; this one had no effect.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrFull: no writes are taken until there is space on the disk; this one
	// had no effect. It is an ErrReadOnly.
	ErrFull = fmt.Errorf("%w: the disk is full", ErrReadOnly)
	// ErrUnknownOutcome: the disk failed while the batch was written. It may
	// or may not be there once the file was opened anew, which the handle does
	// by itself; repeat it with the same id.
	ErrUnknownOutcome = errors.New("the outcome of the write is unknown")
	// ErrBatch: the batch makes no sense; the text says why.
	ErrBatch = errors.New("malformed batch")
	// ErrNoCollection: an operation names a collection that does not exist.
	ErrNoCollection = errors.New("no such collection")
	// ErrTooManyDocuments: a unique index can only be added to a collection
	// of at most MaxIndexBuild documents.
	ErrTooManyDocuments = errors.New("too many documents to build a unique index on")
)

// ConflictError: a need of the batch did not hold.
type ConflictError struct {
	Need Need // without its Value
}

func (e *ConflictError) Error() string {
	n := e.Need
	switch n.Kind {
	case NeedDoc:
		if n.Rev == 0 {
			return fmt.Sprintf("document %s/%s exists already", n.Collection, n.ID)
		}
		return fmt.Sprintf("document %s/%s is no longer at revision %d", n.Collection, n.ID, n.Rev)
	case NeedUnique:
		return fmt.Sprintf("a key of unique index %s of %s is taken", n.Name, n.Collection)
	case NeedCollection:
		return fmt.Sprintf("collection %s changed after commit %d", n.Collection, n.Rev)
	case NeedSetting:
		if n.Rev == 0 {
			return fmt.Sprintf("setting %s exists already", n.Name)
		}
		return fmt.Sprintf("setting %s is no longer at revision %d", n.Name, n.Rev)
	}
	return "a need of the batch does not hold"
}

// UniqueError: a document would hold a key of a unique index that another
// document holds.
type UniqueError struct {
	Collection string
	Index      string
	Fields     []string
	ID         DocID // the document that holds the key
	Other      DocID // the document that wanted it
}

func (e *UniqueError) Error() string {
	return fmt.Sprintf("documents %s and %s of %s have the same %s",
		e.ID, e.Other, e.Collection, strings.Join(e.Fields, ", "))
}

// QuotaError: the documents' bytes would pass the setting kv.maxBytes, or those
// of the file the setting kv.maxFileBytes. Nothing happened.
type QuotaError struct {
	Limit int64 // bytes
	Want  int64 // bytes after the batch; at least so many, of the file
	File  bool
}

func (e *QuotaError) Error() string {
	if e.File {
		return fmt.Sprintf("the file would take more than %d bytes, which is its quota", e.Limit)
	}
	return fmt.Sprintf("documents would take %d bytes, the quota is %d", e.Want, e.Limit)
}

// FloorError: a counter would fall below the floor that its OpAdd set, or
// leave the range of an int64.
type FloorError struct {
	Name  string
	Floor int64
	Value int64 // before the batch
	Delta int64
}

func (e *FloorError) Error() string {
	return fmt.Sprintf("counter %s is %d; adding %d would pass its bound %d", e.Name, e.Value, e.Delta, e.Floor)
}

// BudgetError: a query looked at more documents than it was allowed to.
type BudgetError struct {
	Examined int
	// Fields are paths of the query that no index helped with.
	Fields []string
	// Suggest are the fields, in order, of the index that would help most.
	Suggest []string
}

func (e *BudgetError) Error() string {
	if len(e.Suggest) == 0 {
		return fmt.Sprintf("the query examined %d documents and was stopped", e.Examined)
	}
	return fmt.Sprintf("the query examined %d documents and was stopped; an index on %s would help",
		e.Examined, strings.Join(e.Suggest, ", "))
}

// CorruptError: stored bytes do not match their checksum or their form. The
// value is never returned.
type CorruptError struct {
	Where string // which value
	Why   string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Where, e.Why) }

// DamagedError: the project's files cannot be opened as they are. Nothing was
// changed on disk.
type DamagedError struct {
	Path string // the project's directory
	Why  string
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s cannot be opened: %s", e.Path, e.Why) }
