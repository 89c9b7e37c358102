use crate::number;
use crate::scan::{self, Cursor};
use core::str;

/// A JSON object: a document, or one within a document. It is text that is read when asked; it borrows the event's memory. The
/// missing object, which is the default, has no members.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Object<'a>(pub(crate) &'a [u8]);

impl<'a> Object<'a> {
    /// Takes JSON text as an object; the missing one if it is none.
    pub fn parse(text: &'a [u8]) -> Object<'a> {
        let start = scan::skip_space(text, 0);
        match scan::skip_value(text, start) {
            Some(end) if text[start] == b'{' => Object(&text[start..end]),
            _ => Object(&[]),
        }
    }

    /// Tells whether there is an object at all: `before` of an insert is missing.
    pub fn exists(self) -> bool {
        !self.0.is_empty()
    }

    /// Returns the object's JSON text; empty if it is missing.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Returns a member's value; the missing one if there is no such member. The first of two of one name counts.
    pub fn get(self, name: &str) -> Value<'a> {
        let mut cursor = Cursor::enter(self.0, b'{');
        while let Some((key, value)) = cursor.member() {
            if scan::same_name(key, name) {
                return Value(value);
            }
        }
        Value(&[])
    }

    /// Tells whether there is a member of that name, whatever its value.
    pub fn has(self, name: &str) -> bool {
        self.get(name).exists()
    }

    /// Returns a member that is a string.
    pub fn str(self, name: &str) -> Option<&'a str> {
        self.get(name).as_str()
    }

    /// Returns a member that is a number.
    pub fn number(self, name: &str) -> Option<f64> {
        self.get(name).as_number()
    }

    /// Returns a member that is a whole number and fits.
    pub fn int(self, name: &str) -> Option<i64> {
        self.get(name).as_int()
    }

    /// Returns a member that is true or false.
    pub fn bool(self, name: &str) -> Option<bool> {
        self.get(name).as_bool()
    }

    /// Returns a member that is an object; the missing one otherwise.
    pub fn object(self, name: &str) -> Object<'a> {
        self.get(name).as_object()
    }

    /// Walks the items of a member that is an array; there are none otherwise.
    pub fn items(self, name: &str) -> Items<'a> {
        self.get(name).items()
    }

    /// Walks the names and values of the members in their order.
    pub fn members(self) -> Members<'a> {
        Members(Cursor::enter(self.0, b'{'))
    }
}

/// Any JSON value, as text. The missing value, which is the default, is not null.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Value<'a>(pub(crate) &'a [u8]);

impl<'a> Value<'a> {
    /// Tells whether there is a value; null is one.
    pub fn exists(self) -> bool {
        !self.0.is_empty()
    }

    /// Returns the value's JSON text; empty if it is missing.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Tells whether the value is there and null.
    pub fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// Returns the value if it is a string.
    pub fn as_str(self) -> Option<&'a str> {
        if self.0.len() < 2 || self.0[0] != b'"' {
            return None;
        }
        scan::unquote(self.0)
    }

    /// Returns the value if it is a number that a double can hold.
    pub fn as_number(self) -> Option<f64> {
        number::parse(self.0)
    }

    /// Returns the value if it is a number written without point and exponent that fits in 64 bits.
    pub fn as_int(self) -> Option<i64> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => str::from_utf8(self.0).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Returns the value if it is true or false.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Returns the value if it is an object; the missing one otherwise.
    pub fn as_object(self) -> Object<'a> {
        Object(if self.0.first() == Some(&b'{') { self.0 } else { &[] })
    }

    /// Walks the items of an array; there are none if the value is no array.
    pub fn items(self) -> Items<'a> {
        Items(Cursor::enter(self.0, b'['))
    }
}

/// The items of an array.
#[derive(Clone)]
pub struct Items<'a>(pub(crate) Cursor<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.0.item().map(Value)
    }
}

/// The names and values of an object's members.
#[derive(Clone)]
pub struct Members<'a>(Cursor<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<(&'a str, Value<'a>)> {
        let (name, value) = self.0.member()?;
        Some((scan::unquote(name)?, Value(value)))
    }
}
