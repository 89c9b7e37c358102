// Package quickjs holds the engine that runs guests in JavaScript: QuickJS, compiled to one guest module.
//
// The module has what every guest exports (docs/abi.md), and four functions more, by which the host turns the engine into
// a guest of its own for each script:
//
//	source(size i32) -> i32                      room for the script: its name, a zero byte, its text
//	load(source, name, text i32) -> i64          runs it. The lengths are of name and text. Bit i of the answer: it exports
//	                                             the i-th handler; bit 63: it does not load, and why (as in the guest contract)
//	failure() -> i64                             where the text of the exception is that ended the last call, 0 if none did
//	used() -> i32                                where the memory ends that was ever written to
//
// The host calls _initialize once and keeps the image of it. From there each script takes alloc, source and load; the image of that is
// where the script's calls begin. The handlers are policy, beforeInsert, beforeUpdate, beforeDelete, filter, beforeSignup,
// claims, beforeUpload, in this order.
//
// What the module does is in src. build.sh makes it with Debian's tools, byte for byte; it has not been changed otherwise, which
// SHA256SUMS shows. Its licences are in LICENSE.
package quickjs

import _ "embed"

// Wasm is the module. Nobody writes to it.
//
//go:embed quickjs.wasm
var Wasm []byte
