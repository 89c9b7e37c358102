//! A guest for tests of the crate: its hook gives a document back, made anew from all that the scanner reads in it. If the two
//! differ, the scanner or the writer is wrong. Package hooktest asks it about documents of all kinds, broken ones too.

use sluice::{replace, Decision, Edit, Event, Json, Object, Value};

sluice::guest! { hook: hook }

struct Read<'a>(Value<'a>);

impl Json for Read<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let v = self.0;
        if let Some(text) = v.as_str() {
            text.write(out)
        } else if let Some(number) = v.as_number() {
            assert!(v.as_int().map_or(true, |whole| whole as f64 == number), "a whole number is not itself");
            number.write(out)
        } else if let Some(truth) = v.as_bool() {
            truth.write(out)
        } else if v.is_null() {
            None::<i64>.write(out)
        } else if v.as_object().exists() {
            Edit::of(v.as_object()).write(out)
        } else if v.raw().starts_with(b"[") {
            v.items().collect::<Vec<Value>>().write(out)
        } else {
            v.write(out) // a number that is too large, or no JSON
        }
    }
}

fn hook(e: &Event) -> Decision {
    let mut text = vec![b'{'];
    for (name, value) in e.after.members() {
        if text.len() > 1 {
            text.push(b',');
        }
        name.write(&mut text);
        text.push(b':');
        Read(value).write(&mut text);
    }
    text.push(b'}');
    replace(Object::parse(&text))
}
