use crate::scan::Cursor;
use crate::value::{Items, Object, Value};

/// What a caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Policies and hooks.
    Insert,
    /// Policies and hooks.
    Update,
    /// Policies and hooks.
    Delete,
    /// A policy on a page of documents.
    Read,
    /// Before a list is read.
    Filter,
    /// A new account.
    Signup,
    /// What goes into an access token.
    Claims,
    /// A file that is to be stored.
    Upload,
    /// One that this version of the crate does not know. A guest answers no.
    Unknown,
}

impl From<i32> for Op {
    fn from(op: i32) -> Op {
        match op {
            1 => Op::Insert,
            2 => Op::Update,
            3 => Op::Delete,
            4 => Op::Read,
            5 => Op::Filter,
            6 => Op::Signup,
            7 => Op::Claims,
            8 => Op::Upload,
            _ => Op::Unknown,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'a> {
    /// publishable or secret.
    pub role: &'a str,
    /// None: nobody is logged in.
    pub user_id: Option<&'a str>,
    /// Of the caller's token.
    pub claims: Object<'a>,
}

/// What a guest is asked to judge.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// policy, filter, beforeInsert, beforeUpdate, beforeDelete, beforeSignup, claims or beforeUpload.
    pub name: &'a str,
    pub op: Op,
    pub collection: &'a str,
    pub caller: Caller<'a>,
    /// The stored document, the user's profile on claims; missing if there is none.
    pub before: Object<'a>,
    /// The document as it would be stored, the profile on signup, what is known of the file on upload; missing if there is none.
    pub after: Object<'a>,
    /// Unix milliseconds: the only clock there is.
    pub now: i64,
    pub request_id: &'a str,
    documents: Value<'a>,
}

impl<'a> Event<'a> {
    /// Reads an event from its JSON text, as docs/abi.md describes it. What it does not know is ignored. None if the text is no
    /// object.
    pub fn parse(op: Op, text: &'a [u8]) -> Option<Event<'a>> {
        let none = Object(&[]);
        let mut e = Event { name: "", op, collection: "", caller: Caller::default(), before: none, after: none, now: 0, request_id: "", documents: Value(&[]) };
        if !text.starts_with(b"{") {
            return None;
        }
        let mut cursor = Cursor::enter(text, b'{');
        while let Some((name, value)) = cursor.member() {
            let value = Value(value);
            match name {
                b"\"event\"" => e.name = value.as_str().unwrap_or(""),
                b"\"collection\"" => e.collection = value.as_str().unwrap_or(""),
                b"\"caller\"" => e.caller = Caller::parse(value.as_object()),
                b"\"before\"" => e.before = value.as_object(),
                b"\"after\"" => e.after = value.as_object(),
                b"\"documents\"" => e.documents = value,
                b"\"now\"" => e.now = value.as_int().unwrap_or(0),
                b"\"requestId\"" => e.request_id = value.as_str().unwrap_or(""),
                _ => {}
            }
        }
        Some(e)
    }

    /// Walks the documents of the page that a policy on read is asked about; there are none on other operations.
    pub fn documents(&self) -> impl Iterator<Item = Object<'a>> {
        let items: Items<'a> = self.documents.items();
        items.map(Value::as_object)
    }
}

impl<'a> Caller<'a> {
    fn parse(object: Object<'a>) -> Caller<'a> {
        let mut caller = Caller::default();
        let mut cursor = Cursor::enter(object.0, b'{');
        while let Some((name, value)) = cursor.member() {
            let value = Value(value);
            match name {
                b"\"role\"" => caller.role = value.as_str().unwrap_or(""),
                b"\"userId\"" => caller.user_id = value.as_str().filter(|id| !id.is_empty()),
                b"\"claims\"" => caller.claims = value.as_object(),
                _ => {}
            }
        }
        caller
    }
}
