//! What the host does for a guest, and what it expects of one.

use crate::edit::{Edit, Json};
use crate::value::{Object, Value};
use alloc::vec;
use alloc::vec::Vec;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// Writes one line to the project's log. The host keeps a few short lines of each event. Off WebAssembly it does nothing.
pub fn log(level: Level, line: &str) {
    imports::log(level as i32, line)
}

/// Asks for documents: all whose members are as the conditions have it. Conditions are objects: `{"price":{"gt":5}}` is made by
/// `Edit::new().set("price", Edit::new().set("gt", 5))`. docs/abi.md has the language.
#[derive(Clone, Default)]
pub struct Query<'a> {
    all: Option<Edit<'a>>,
    any: Vec<Edit<'a>>,
    sort: Option<&'a str>,
    limit: Option<u32>,
}

impl<'a> Query<'a> {
    /// Finds all documents.
    pub fn new() -> Query<'a> {
        Query::default()
    }

    /// All of these conditions must hold.
    pub fn all(mut self, conditions: Edit<'a>) -> Query<'a> {
        self.all = Some(conditions);
        self
    }

    /// Adds a group of conditions. One group, of those that were added, must hold as a whole.
    pub fn any(mut self, conditions: Edit<'a>) -> Query<'a> {
        self.any.push(conditions);
        self
    }

    /// Orders what is found by a member; one with a minus before its name downwards.
    pub fn sort(mut self, by: &'a str) -> Query<'a> {
        self.sort = Some(by);
        self
    }

    /// Bounds how many documents are found.
    pub fn limit(mut self, most: u32) -> Query<'a> {
        self.limit = Some(most);
        self
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        let mut query = Edit::new();
        if let Some(all) = &self.all {
            query = query.set("where", all);
        }
        if !self.any.is_empty() {
            query = query.set("any", &self.any);
        }
        if let Some(by) = self.sort {
            query = query.set("sort", by);
        }
        if let Some(most) = self.limit {
            query = query.set("limit", most);
        }
        let mut text = Vec::new();
        query.write(&mut text);
        text
    }
}

// What a guest reads comes from the state on which the request is judged: a write that was allowed by it takes place only if it
// still holds. The manifest must grant each collection (grants.read); reading any other refuses the operation, and so does
// reading too much.

/// Returns the document of a collection that has the given `_id`; the missing one if there is none.
pub fn get(collection: &str, id: &str) -> Object<'static> {
    Object::parse(read(|out| imports::get(collection, id, out)))
}

/// Walks the documents that a query finds, in its order.
pub fn find(collection: &str, query: &Query) -> impl Iterator<Item = Object<'static>> {
    let query = query.text();
    Value(read(|out| imports::find(collection, &query, out))).items().map(Value::as_object)
}

/// Returns how many documents a query finds.
pub fn count(collection: &str, query: &Query) -> i64 {
    imports::count(collection, &query.text())
}

/// Returns what the bundle's manifest has under config. It may be read in init.
pub fn config() -> Object<'static> {
    Object::parse(read(imports::config))
}

/// Most documents fit at once; for one that does not, the host is asked again.
const ROOM: usize = 4096;

fn read(ask: impl Fn(&mut [u8]) -> i32) -> &'static [u8] {
    let mut text = vec![0; ROOM];
    let mut n = ask(&mut text);
    if n > ROOM as i32 {
        text = vec![0; n as usize];
        n = ask(&mut text);
    }
    text.truncate(n.max(0) as usize); // -1: there is no document
    text.leak()
}

#[cfg(target_arch = "wasm32")]
mod imports {
    mod sluice {
        #[link(wasm_import_module = "sluice")]
        extern "C" {
            pub fn log(level: i32, line: *const u8, n: usize);
            pub fn get(collection: *const u8, n: usize, id: *const u8, id_n: usize, out: *mut u8, room: usize) -> i32;
            pub fn find(collection: *const u8, n: usize, query: *const u8, query_n: usize, out: *mut u8, room: usize) -> i32;
            pub fn count(collection: *const u8, n: usize, query: *const u8, query_n: usize) -> i64;
            pub fn config(out: *mut u8, room: usize) -> i32;
        }
    }

    // In each of these the host reads and writes only within the slices that it is given.

    pub fn log(level: i32, line: &str) {
        unsafe { sluice::log(level, line.as_ptr(), line.len()) }
    }

    pub fn get(collection: &str, id: &str, out: &mut [u8]) -> i32 {
        unsafe { sluice::get(collection.as_ptr(), collection.len(), id.as_ptr(), id.len(), out.as_mut_ptr(), out.len()) }
    }

    pub fn find(collection: &str, query: &[u8], out: &mut [u8]) -> i32 {
        unsafe { sluice::find(collection.as_ptr(), collection.len(), query.as_ptr(), query.len(), out.as_mut_ptr(), out.len()) }
    }

    pub fn count(collection: &str, query: &[u8]) -> i64 {
        unsafe { sluice::count(collection.as_ptr(), collection.len(), query.as_ptr(), query.len()) }
    }

    pub fn config(out: &mut [u8]) -> i32 {
        unsafe { sluice::config(out.as_mut_ptr(), out.len()) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use imports::stub;

/// Off WebAssembly tests are the host.
#[cfg(not(target_arch = "wasm32"))]
mod imports {
    use alloc::string::String;
    use core::mem;
    use core::sync::atomic::{AtomicUsize, Ordering};

    type Stub = fn(function: &str, collection: &str, question: &str) -> Option<String>;

    static STUB: AtomicUsize = AtomicUsize::new(0); // a Stub, or 0

    /// Gives tests of a policy the documents that it reads: answer is called with get and an id, with find or count and a query, or
    /// with config, and returns JSON text; None is no document, an empty array, 0 or {}. It is set for all threads.
    pub fn stub(answer: Stub) {
        STUB.store(answer as usize, Ordering::SeqCst);
    }

    fn ask(function: &str, collection: &str, question: &str) -> Option<String> {
        let stub = STUB.load(Ordering::SeqCst);
        if stub == 0 {
            return None;
        }
        let stub: Stub = unsafe { mem::transmute(stub) }; // it was stored as one
        stub(function, collection, question)
    }

    fn give(text: &str, out: &mut [u8]) -> i32 {
        if let Some(out) = out.get_mut(..text.len()) {
            out.copy_from_slice(text.as_bytes());
        }
        text.len() as i32
    }

    pub fn log(_: i32, _: &str) {}

    pub fn get(collection: &str, id: &str, out: &mut [u8]) -> i32 {
        ask("get", collection, id).map_or(-1, |text| give(&text, out))
    }

    pub fn find(collection: &str, query: &[u8], out: &mut [u8]) -> i32 {
        let query = core::str::from_utf8(query).unwrap_or("");
        give(ask("find", collection, query).as_deref().unwrap_or("[]"), out)
    }

    pub fn count(collection: &str, query: &[u8]) -> i64 {
        let query = core::str::from_utf8(query).unwrap_or("");
        ask("count", collection, query).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    pub fn config(out: &mut [u8]) -> i32 {
        give(ask("config", "", "").as_deref().unwrap_or("{}"), out)
    }
}

/// What the macros of this crate call. It is not for others.
pub mod guest {
    #[cfg(target_arch = "wasm32")]
    pub use self::wasm::{alloc, answer};

    #[cfg(target_arch = "wasm32")]
    mod wasm {
        use crate::{Decision, Event, Op};
        use core::alloc::{GlobalAlloc, Layout};
        use core::arch::wasm32::{memory_grow, memory_size, unreachable};
        use core::cell::Cell;
        use core::{ptr, slice};

        /// Hands memory out and never takes it back: after each event the host puts all of it back as it was.
        struct Bump {
            top: Cell<usize>, // first free byte; 0: nothing was handed out yet
        }

        unsafe impl Sync for Bump {} // a module has one thread

        #[global_allocator]
        static BUMP: Bump = Bump { top: Cell::new(0) };

        extern "C" {
            static __heap_base: u8; // the linker puts it behind statics
        }

        const PAGE: usize = 65536;

        /// Fuel for growing would be charged wherever this were inlined, whether it is needed or not.
        #[cold]
        #[inline(never)]
        fn grow(pages: usize) {
            if memory_grow(0, pages) == usize::MAX {
                unreachable()
            }
        }

        /// Makes sure that the memory reaches up to end. Growing costs the instance: alloc has taken room for most events.
        fn reach(end: usize) {
            let have = memory_size(0) * PAGE;
            if end > have {
                grow((end - have + PAGE - 1) / PAGE)
            }
        }

        unsafe impl GlobalAlloc for Bump {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                let top = if self.top.get() == 0 { &__heap_base as *const u8 as usize } else { self.top.get() };
                let start = (top + layout.align() - 1) & !(layout.align() - 1);
                match start.checked_add(layout.size()) {
                    Some(end) => {
                        self.top.set(end);
                        reach(end);
                        start as *mut u8
                    }
                    None => ptr::null_mut(),
                }
            }

            #[inline]
            unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

            unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
                if old as usize + layout.size() == self.top.get() && size <= usize::MAX - old as usize {
                    self.top.set(old as usize + size); // the last one grows in place
                    reach(self.top.get());
                    return old;
                }
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(old, new, layout.size().min(size));
                }
                new
            }

            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                self.alloc(layout) // what has never been handed out is zero
            }
        }

        static mut EVENTS: *mut u8 = ptr::null_mut(); // the host writes them here

        pub fn alloc(n: usize) -> *mut u8 {
            unsafe {
                EVENTS = BUMP.alloc(Layout::from_size_align_unchecked(n, 8));
                reach(BUMP.top.get() + n + PAGE); // an answer as large as an event, and some room to make it in
                EVENTS
            }
        }

        pub fn answer(op: i32, n: usize, decide: fn(&Event) -> Decision) -> i64 {
            // The host has written n bytes into what alloc gave it, and waits.
            let text = unsafe { slice::from_raw_parts(EVENTS, n) };
            match Event::parse(Op::from(op), text) {
                Some(e) => decide(&e).pack(),
                None => {
                    crate::log(crate::Level::Error, "sluice: the event is not a JSON object");
                    unreachable()
                }
            }
        }
    }
}
