use crate::scan::{self, Cursor};
use crate::value::{Object, Value};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// What a member can be set to.
pub trait Json {
    /// Writes the value as JSON text.
    fn write(&self, out: &mut Vec<u8>);
}

impl Json for str {
    fn write(&self, out: &mut Vec<u8>) {
        scan::quote(out, self)
    }
}

impl Json for String {
    fn write(&self, out: &mut Vec<u8>) {
        scan::quote(out, self)
    }
}

impl Json for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" })
    }
}

impl Json for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        scan::put_int(out, *self)
    }
}

impl Json for i32 {
    fn write(&self, out: &mut Vec<u8>) {
        scan::put_int(out, *self as i64)
    }
}

impl Json for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        scan::put_int(out, *self as i64)
    }
}

/// Null if JSON cannot write the number (an infinity, not a number).
impl Json for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        if !self.is_finite() {
            return out.extend_from_slice(b"null");
        }
        if (-9e15..9e15).contains(self) && *self as i64 as f64 == *self && (*self != 0.0 || self.is_sign_positive()) {
            return scan::put_int(out, *self as i64);
        }
        let mut text = String::new();
        let _ = write!(text, "{:?}", self); // a String takes everything
        out.extend_from_slice(text.as_bytes())
    }
}

/// Null if the object is missing.
impl Json for Object<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        Value(self.0).write(out)
    }
}

/// Null if the value is missing.
impl Json for Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.0.is_empty() { b"null" } else { self.0 })
    }
}

impl Json for Edit<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        self.append(out)
    }
}

/// Null for None.
impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: Json> Json for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, item) in self.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

impl<T: Json, const N: usize> Json for [T; N] {
    fn write(&self, out: &mut Vec<u8>) {
        self[..].write(out)
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self[..].write(out)
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out)
    }
}

/// Makes a new object, usually from an old one: members keep their place and text unless they are set or removed, new ones come
/// last.
#[derive(Clone, Default)]
pub struct Edit<'a> {
    base: Object<'a>,
    changes: Vec<Change<'a>>,
}

/// The last word on one member.
#[derive(Clone)]
struct Change<'a> {
    name: &'a str,
    value: Option<Vec<u8>>, // None: remove the member
}

impl<'a> Edit<'a> {
    /// Begins with the members of an object; with none if it is missing.
    pub fn of(base: Object<'a>) -> Edit<'a> {
        Edit { base, changes: Vec::new() }
    }

    /// Begins with no members.
    pub fn new() -> Edit<'a> {
        Edit::default()
    }

    /// Sets a member. The last word on a name counts.
    pub fn set(self, name: &'a str, value: impl Json) -> Edit<'a> {
        let mut text = Vec::with_capacity(32);
        value.write(&mut text);
        self.change(name, Some(text))
    }

    /// Leaves a member out.
    pub fn remove(self, name: &'a str) -> Edit<'a> {
        self.change(name, None)
    }

    fn change(mut self, name: &'a str, value: Option<Vec<u8>>) -> Edit<'a> {
        match self.changes.iter_mut().find(|c| c.name == name) {
            Some(c) => c.value = value,
            None => self.changes.push(Change { name, value }),
        }
        self
    }

    /// Returns what was made.
    pub fn object(&self) -> Object<'static> {
        let more: usize = self.changes.iter().map(|c| c.name.len() + c.value.as_ref().map_or(0, Vec::len) + 8).sum();
        let mut out = Vec::with_capacity(self.base.0.len() + more + 2);
        self.append(&mut out);
        Object(out.leak())
    }

    fn append(&self, out: &mut Vec<u8>) {
        let start = out.len() + 1;
        let comma = |out: &mut Vec<u8>| {
            if out.len() > start {
                out.push(b',');
            }
        };
        out.push(b'{');
        let mut cursor = Cursor::enter(self.base.0, b'{');
        let mut left: Vec<&Change> = self.changes.iter().collect(); // those that base has no member for
        while let Some((name, value)) = cursor.member() {
            let value = match self.changes.iter().find(|c| scan::same_name(name, c.name)) {
                Some(change) => {
                    left.retain(|c| c.name != change.name);
                    match &change.value {
                        Some(value) => value,
                        None => continue,
                    }
                }
                None => value,
            };
            comma(out);
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
        }
        for c in left {
            if let Some(value) = &c.value {
                comma(out);
                scan::quote(out, c.name);
                out.push(b':');
                out.extend_from_slice(value);
            }
        }
        out.push(b'}');
    }
}
