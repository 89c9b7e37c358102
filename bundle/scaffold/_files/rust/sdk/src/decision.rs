use crate::event::Event;
use crate::host::Query;
use crate::scan;
use crate::value::Object;
use alloc::vec::Vec;

/// A guest's answer. The default says no without a reason, so that a forgotten answer refuses.
#[derive(Clone, Default)]
pub struct Decision {
    yes: bool,
    text: Vec<u8>, // JSON: the reason of a no, or what a yes brings along
}

/// Says yes. A hook leaves the document as it is.
pub fn allow() -> Decision {
    Decision { yes: true, text: Vec::new() }
}

/// Says no with a reason for the caller. code is stable and for programs: at most 64 bytes of a to z, 0 to 9, dot and
/// underscore, as in `posts.price_too_high`. message is for people and says what to do; over 500 bytes it is cut.
pub fn deny(code: &str, message: &str) -> Decision {
    let mut end = message.len().min(500);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut text = Vec::with_capacity(code.len() + end + 64);
    text.extend_from_slice(b"{\"code\":");
    scan::quote(&mut text, code);
    text.extend_from_slice(b",\"message\":");
    scan::quote(&mut text, &message[..end]);
    text.push(b'}');
    Decision { yes: false, text }
}

/// From a hook before an insert, an update or a signup: says yes with another document.
pub fn replace(document: Object) -> Decision {
    Decision { yes: true, text: document.raw().to_vec() }
}

/// From a filter: lists find only documents that the query finds, of which sort and limit have no meaning.
pub fn restrict(query: &Query) -> Decision {
    Decision { yes: true, text: query.text() }
}

/// From claims: puts the members of an object into the user's access token.
pub fn grant(claims: Object) -> Decision {
    replace(claims)
}

/// From a policy on read: says for each document of the page whether the caller may see it.
pub fn allow_each<'a>(e: &Event<'a>, mut may: impl FnMut(Object<'a>) -> bool) -> Decision {
    let mut text = b"{\"allow\":[".to_vec();
    for (i, document) in e.documents().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        text.extend_from_slice(if may(document) { b"true" } else { b"false" });
    }
    text.extend_from_slice(b"]}");
    Decision { yes: true, text }
}

impl Decision {
    /// Sets the HTTP status of a no, 400 to 499. Without it the host answers 422 before a change and 403 else.
    pub fn status(mut self, status: u16) -> Decision {
        if !self.yes && self.text.pop().is_some() {
            self.text.extend_from_slice(b",\"status\":");
            scan::put_int(&mut self.text, status as i64);
            self.text.push(b'}');
        }
        self
    }

    /// Tells whether the decision is a yes; for tests.
    pub fn allows(&self) -> bool {
        self.yes
    }

    /// Returns the code of a no; for tests.
    pub fn code(&self) -> Option<&str> {
        if self.yes {
            return None;
        }
        Object(&self.text).str("code")
    }

    /// Returns what a yes brings along: a document, a query or claims; for tests.
    pub fn document(&self) -> Object<'_> {
        Object(if self.yes { &self.text } else { &[] })
    }

    /// Returns the result of the guest contract, with an address in the guest's memory.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn pack(self) -> i64 {
        let yes = self.yes as i64;
        if self.text.is_empty() {
            return yes;
        }
        let text = self.text.leak();
        (1 - yes) << 63 | (text.as_ptr() as usize as i64) << 32 | text.len() as i64
    }
}
