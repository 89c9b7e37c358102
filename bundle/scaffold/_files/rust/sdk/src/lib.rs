//! What a guest module for Sluice, written in Rust, uses. A guest decides about writes and reads of a project's documents, as
//! a policy (may this caller do this?) or as a hook (shall the document be so?):
//!
//! ```ignore
//! use sluice::{allow, deny, Decision, Event};
//!
//! sluice::guest! { policy: policy }
//!
//! fn policy(e: &Event) -> Decision {
//!     if e.after.number("price") > Some(100.0) {
//!         return deny("posts.price_too_high", "Set a price of 100 or less.");
//!     }
//!     allow()
//! }
//! ```
//!
//! A guest has no files, no network, no environment; its clock is [`Event::now`]. Every event finds the guest's statics as
//! `init` left them: what an event leaves is gone at the next one, whoever sent it. So nothing is ever freed in a guest: the
//! crate brings an allocator that only hands out, and text that had to be made stays. A panic refuses the operation.
//!
//! Documents are read by a small scanner, which parses nothing before it is asked for. Off WebAssembly the crate builds too,
//! so that policies can be tested with `cargo test`: make an event with [`Event::parse`] and call the policy.
#![no_std]

extern crate alloc;

mod decision;
mod edit;
mod event;
mod host;
mod number;
mod scan;
mod value;

pub use decision::{allow, allow_each, deny, grant, replace, restrict, Decision};
pub use edit::{Edit, Json};
pub use event::{Caller, Event, Op};
pub use host::{config, count, find, get, log, Level, Query};
pub use value::{Items, Members, Object, Value};

#[doc(hidden)]
pub use host::guest as __guest;

#[cfg(not(target_arch = "wasm32"))]
pub use host::stub;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;

/// Makes the module's exports. It is used once, at the top of the crate, and names the functions that answer: `policy` when
/// the manifest binds the module to `policy` or `filter`, `hook` when it binds it to any other event; `init` makes ready what
/// every event then finds. The text of a panic goes to the project's log.
#[macro_export]
macro_rules! guest {
    ($($export:ident: $function:path),* $(,)?) => {
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            #[export_name = "alloc"]
            extern "C" fn __sluice_alloc(n: usize) -> *mut u8 {
                ::std::panic::set_hook(::std::boxed::Box::new(|panic| {
                    $crate::log($crate::Level::Error, &::std::string::ToString::to_string(panic));
                }));
                $crate::__guest::alloc(n)
            }
        };
        $crate::__exports!($($export: $function),*);
    };
}

/// Is [`guest`] for a crate without the standard library, which brings a `#[panic_handler]` of its own.
#[macro_export]
macro_rules! guest_no_std {
    ($($export:ident: $function:path),* $(,)?) => {
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            #[export_name = "alloc"]
            extern "C" fn __sluice_alloc(n: usize) -> *mut u8 {
                $crate::__guest::alloc(n)
            }
        };
        $crate::__exports!($($export: $function),*);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __exports {
    ($($export:ident: $function:path),*) => {
        const _: () = {
            #[cfg(target_arch = "wasm32")]
            #[export_name = "abi_version"]
            extern "C" fn __sluice_abi_version() -> i32 {
                1
            }
        };
        $(const _: () = { $crate::__export!($export $function); };)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    (policy $function:path) => {
        #[cfg(target_arch = "wasm32")]
        #[export_name = "policy"]
        extern "C" fn __sluice_policy(op: i32, n: usize) -> i64 {
            $crate::__guest::answer(op, n, $function)
        }
        #[cfg(not(target_arch = "wasm32"))]
        #[used]
        static ANSWERS: fn(&$crate::Event) -> $crate::Decision = $function;
    };
    (hook $function:path) => {
        #[cfg(target_arch = "wasm32")]
        #[export_name = "hook"]
        extern "C" fn __sluice_hook(op: i32, n: usize) -> i64 {
            $crate::__guest::answer(op, n, $function)
        }
        #[cfg(not(target_arch = "wasm32"))]
        #[used]
        static ANSWERS: fn(&$crate::Event) -> $crate::Decision = $function;
    };
    (init $function:path) => {
        #[cfg(target_arch = "wasm32")]
        #[export_name = "init"]
        extern "C" fn __sluice_init() {
            $function()
        }
        #[cfg(not(target_arch = "wasm32"))]
        #[used]
        static PREPARES: fn() = $function;
    };
}
