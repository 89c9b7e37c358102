package hooks

// What a guest exports and imports: the host's side of docs/abi.md, version 1. These names and numbers never change.
const (
	abiVersion = 1

	exportMemory     = "memory"
	exportVersion    = "abi_version" // () -> i32
	exportAlloc      = "alloc"       // (n i32) -> i32
	exportInitialize = "_initialize" // () -> (), optional
	exportInit       = "init"        // () -> (), optional
	exportPolicy     = "policy"      // (op i32, len i32) -> i64
	exportHook       = "hook"        // (op i32, len i32) -> i64

	importModule = "sluice"
	importWASI   = "wasi_snapshot_preview1"
)

// A result is one i64. Two values are whole answers; any other value carries a JSON text.
const (
	resultNo  = 0       // no, without a reason; what a guest returns that forgot to answer
	resultYes = 1       // yes, as it stands
	noBit     = 1 << 63 // set: the text is a reason for no; clear: it is a value that goes with yes
)

// splitResult takes a result that carries a text apart.
func splitResult(r uint64) (no bool, ptr, size uint32) {
	return r&noBit != 0, uint32(r>>32) &^ (1 << 31), uint32(r)
}

// Limits that the contract itself sets on an answer.
const (
	maxCodeBytes    = 64
	maxMessageBytes = 500
	maxReasonBytes  = 8 << 10  // of a no's text: code and message, however they are escaped, and members that nobody reads
	maxClaimsBytes  = 2 << 10  // of claims, which travel in every access token
	maxFilterBytes  = 16 << 10 // of a predicate
	minStatus       = 400
	maxStatus       = 499
	policyStatus    = 403 // of a no without a status, but a hook's
	hookStatus      = 422 // of a hook's no without a status
)
