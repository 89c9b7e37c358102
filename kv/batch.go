package kv

// BatchID names a batch. It is chosen by the author, random or derived from
// an idempotency key, and is never zero. A batch whose id was judged before
// (within the newest LogRows batches) is answered with its first result.
type BatchID [16]byte

// Batch is everything one request changes: it is decided before the commit
// and means the same on every node, for ever. The slices it holds must not be
// changed until Commit or Apply has returned.
type Batch struct {
	ID BatchID
	// Time is unix milliseconds, chosen by the author; Apply never asks a clock.
	Time int64
	// Needs must all hold at the moment of the commit, or nothing happens.
	Needs []Need
	// Ops take effect together or not at all.
	Ops []Op
	// Meta is carried into the change log and never interpreted.
	Meta []byte
}

// NeedKind says what a Need demands.
type NeedKind uint8

// The kinds of need.
const (
	// NeedDoc: document ID of Collection is at exactly revision Rev; Rev 0
	// means that it is absent.
	NeedDoc NeedKind = iota + 1
	// NeedUnique: in index Name of Collection the key of Value (a JSON array
	// of the indexed values, one for each field) is free or held by ID.
	NeedUnique
	// NeedCollection: nothing in Collection changed after commit Rev: no
	// document of it and not its definition. It also covers the collection's
	// being absent.
	NeedCollection
	// NeedSetting: setting Name is at exactly revision Rev; 0 means absent.
	NeedSetting
)

// Need is one precondition of a batch, judged by Apply from the file alone.
type Need struct {
	Kind       NeedKind
	Collection string
	ID         DocID
	Name       string
	Value      []byte
	Rev        uint64
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of operation.
const (
	// OpPut stores Value as document ID of Collection, replacing what was
	// there. Value is the document's JSON as a GET returns it, in the
	// canonical text of kv/jsondoc.
	OpPut OpKind = iota + 1
	// OpDelete removes document ID of Collection; absence is not an error.
	OpDelete
	// OpAdd adds Delta to the counter Name (absent counts as 0). With
	// HasFloor, a sum below Floor refuses the batch.
	OpAdd
	// OpSetting stores Value as setting Name; a nil Value deletes it.
	OpSetting
	// OpCollection creates or redefines collection Name. Value is its JSON
	// definition: {"indexes":[{"name":"email","fields":["email"],"unique":true}]}.
	OpCollection
	// OpDropCollection removes collection Name with all its documents;
	// absence is not an error.
	OpDropCollection
)

// Op is one change of a batch.
//
// One batch may name a document, setting, counter or collection only once. It
// may fill a collection that it creates, but not one that it redefines or
// drops.
type Op struct {
	Kind       OpKind
	Collection string
	ID         DocID
	Name       string
	Value      []byte
	Delta      int64
	Floor      int64
	HasFloor   bool
}

// Result is the answer to one batch.
type Result struct {
	// Commit is the commit that the batch became: the revision of every
	// document and setting that it put. 0 when Err is not nil.
	Commit uint64
	// Err says why the batch was refused.
	Err error
}

// Limits of a batch. A batch beyond them is refused with ErrBatch.
const (
	MaxBatchOps   = 10_000
	MaxBatchNeeds = 10_000
	MaxBatchBytes = 16 << 20 // of its encoding
	MaxMeta       = 64 << 10
	MaxNameLength = 256 // bytes, of a collection, index, setting or counter
)
