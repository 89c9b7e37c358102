//! Walks JSON text that the host wrote and that is therefore valid. On anything else it stops early; it never panics and never
//! reads past the end.

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

/// Returns the first position from i on that holds no white space. The host writes next to none.
#[inline]
pub fn skip_space(text: &[u8], mut i: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(i) {
        i += 1;
    }
    i
}

/// Marks, of eight bytes, the lowest one that is c, and none below it.
#[inline]
fn mark(word: u64, c: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let x = word ^ (ONES * c as u64);
    x.wrapping_sub(ONES) & !x & (ONES << 7)
}

/// Returns the position of the first quote or backslash from i on; the end if there is none.
pub fn find_special(text: &[u8], mut i: usize) -> usize {
    while let Some(bytes) = text.get(i..i + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        let found = mark(word, b'"') | mark(word, b'\\');
        if found != 0 {
            return i + (found.trailing_zeros() >> 3) as usize;
        }
        i += 8;
    }
    while i < text.len() && text[i] != b'"' && text[i] != b'\\' {
        i += 1;
    }
    i
}

/// Returns the position after the string whose first quote is at i.
pub fn skip_string(text: &[u8], i: usize) -> Option<usize> {
    let mut i = find_special(text, i + 1);
    loop {
        match *text.get(i)? {
            b'"' => return Some(i + 1),
            _ => i = find_special(text, (i + 2).min(text.len())),
        }
    }
}

/// Returns the position after the value that starts at i.
pub fn skip_value(text: &[u8], i: usize) -> Option<usize> {
    let mut at = i;
    match *text.get(i)? {
        b'"' => return skip_string(text, i),
        b'{' | b'[' => {}
        _ => {
            while at < text.len() && !matches!(text[at], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' | b':' | b'"' | b'{' | b'[') {
                at += 1;
            }
            return if at > i { Some(at) } else { None };
        }
    }
    let mut depth = 0;
    loop {
        match *text.get(at)? {
            b'"' => {
                at = skip_string(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Walks the members of an object or the items of an array.
#[derive(Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: Option<usize>, // the next member or item; None: there is none
}

impl<'a> Cursor<'a> {
    /// Enters text if it is a container that begins with open.
    pub fn enter(text: &'a [u8], open: u8) -> Cursor<'a> {
        let i = skip_space(text, 0);
        if text.get(i) != Some(&open) {
            return Cursor { text, at: None };
        }
        let i = skip_space(text, i + 1);
        match text.get(i) {
            Some(&c) if c != open + 2 => Cursor { text, at: Some(i) }, // b'{' + 2 is b'}', b'[' + 2 is b']'
            _ => Cursor { text, at: None },
        }
    }

    /// Returns the next value's text and moves on.
    pub fn item(&mut self) -> Option<&'a [u8]> {
        let start = self.at.take()?;
        let text = self.text;
        let end = skip_value(text, start)?;
        let i = skip_space(text, end);
        if text.get(i) == Some(&b',') {
            self.at = Some(skip_space(text, i + 1));
        }
        text.get(start..end)
    }

    /// Returns the next member: its name's text with the quotes, and its value's text.
    pub fn member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let start = self.at.take()?;
        let text = self.text;
        if text.get(start) != Some(&b'"') {
            return None;
        }
        let end = skip_string(text, start)?;
        let i = skip_space(text, end);
        if text.get(i) != Some(&b':') {
            return None;
        }
        self.at = Some(skip_space(text, i + 1));
        Some((text.get(start..end)?, self.item()?))
    }
}

/// Tells whether a member's name, with its quotes, is want.
pub fn same_name(quoted: &[u8], want: &str) -> bool {
    let inner = inside(quoted);
    if inner.len() <= want.len() {
        return inner == want.as_bytes();
    }
    // A name with escapes is longer than what it stands for.
    inner.contains(&b'\\') && unquote(quoted) == Some(want)
}

fn inside(quoted: &[u8]) -> &[u8] {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or(&[])
}

/// Returns what a JSON string with its quotes stands for, borrowed if nothing is escaped. Half surrogate pairs become U+FFFD.
pub fn unquote(quoted: &[u8]) -> Option<&str> {
    let inner = inside(quoted);
    let plain = find_special(inner, 0);
    if plain == inner.len() {
        return str::from_utf8(inner).ok();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut i = 0;
    while i < inner.len() {
        let next = find_special(inner, i);
        out.extend_from_slice(&inner[i..next]);
        i = next + 2;
        match inner.get(next + 1) {
            None => break,
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'u') => {
                let mut c = hex4(inner, i);
                i += 4;
                if c >> 10 == 0xd800 >> 10 && inner.get(i..i + 2) == Some(b"\\u") {
                    let low = hex4(inner, i + 2);
                    if low >> 10 == 0xdc00 >> 10 {
                        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                        i += 6;
                    }
                }
                let c = char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(&c) => out.push(c),
        }
    }
    // What was made stays: nothing is freed in a guest.
    Some(alloc::boxed::Box::leak(String::from_utf8(out).ok()?.into_boxed_str()))
}

/// Reads four hexadecimal digits; what is none counts as U+FFFD.
fn hex4(text: &[u8], i: usize) -> u32 {
    let mut value = 0;
    for k in 0..4 {
        match text.get(i + k).and_then(|&c| (c as char).to_digit(16)) {
            Some(digit) => value = value << 4 | digit,
            None => return 0xfffd,
        }
    }
    value
}

/// Writes a JSON string.
pub fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &c) in bytes.iter().enumerate() {
        if c >= 0x20 && c != b'"' && c != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        start = i + 1;
        if c >= 0x20 {
            out.extend_from_slice(&[b'\\', c]);
        } else {
            let low = b"0123456789abcdef"[(c & 15) as usize];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (c >> 4), low]);
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Writes a whole number, without the weight of core::fmt.
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut left = value.unsigned_abs();
    let mut i = digits.len();
    loop {
        i -= 1;
        digits[i] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[i..]);
}
