use crate::*;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

const DOCUMENT: &str = " { \"title\" : \"a \\\"quoted\\\" \\u00e9\\ud83d\\ude00\\ud800x\" , \"n\":-12.5e1,\"big\":12345678901234567890,\"i\":-42,
\t\"yes\":true,\"no\":false,\"nil\":null,\"o\":{\"a\":{\"b\":[1,\"}\",{\"c\":\"]\"}]}},\"list\":[ 1 , \"two\" , [3] ,{\"four\":4}],\"\\u0065sc\":\"x\",\"empty\":{},\"none\":[],\"n\":\"second\"} ";

fn object(text: &str) -> Object {
    Object::parse(text.as_bytes())
}

fn text<'a>(o: Object<'a>) -> &'a str {
    core::str::from_utf8(o.raw()).unwrap()
}

#[test]
fn members_are_read() {
    let o = object(DOCUMENT);
    assert_eq!(o.str("title"), Some("a \"quoted\" é😀\u{fffd}x"));
    assert_eq!(o.number("n"), Some(-125.0), "the first of two members counts");
    assert_eq!(o.number("big"), Some(12345678901234567890.0));
    assert_eq!(o.int("big"), None, "it does not fit");
    assert_eq!(o.int("i"), Some(-42));
    assert_eq!(o.int("n"), None);
    assert_eq!((o.bool("yes"), o.bool("no"), o.bool("nil")), (Some(true), Some(false), None));
    assert!(o.get("nil").is_null() && o.has("nil") && !o.has("missing") && !o.get("missing").is_null());
    assert_eq!(o.str("esc"), Some("x"), "names may be escaped");
    let items: Vec<_> = o.items("list").map(|v| core::str::from_utf8(v.raw()).unwrap()).collect();
    assert_eq!(items, ["1", "\"two\"", "[3]", "{\"four\":4}"]);
    let inner = o.object("o").object("a").items("b").map(Value::as_object).find(|o| o.exists()).unwrap();
    assert_eq!(inner.str("c"), Some("]"));
    assert!(o.object("empty").exists() && !o.object("none").exists() && !o.object("title").exists());
    for name in ["n2", "yes", "title", "nil", "o", "list"] {
        assert_eq!(o.number(name), None, "{}", name);
    }
    let names: Vec<_> = o.members().map(|(name, _)| name).collect();
    assert_eq!(names, ["title", "n", "big", "i", "yes", "no", "nil", "o", "list", "esc", "empty", "none", "n"]);
}

#[test]
fn text_that_is_cut_off_is_no_reason_to_panic() {
    let odd = ["{\"a\"", "{\"a\":\"\\", "{\"a\":\"\\u12", "{\"a\":-}", "{\"a\":1,}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud83d\\u\"}", "{\"\\\":1}", "[", "\""];
    let cut = (0..DOCUMENT.len()).map(|n| &DOCUMENT.as_bytes()[..n]);
    for text in cut.chain(odd.iter().map(|s| s.as_bytes())) {
        for o in [Object::parse(text), Object(text)] {
            for (_, value) in o.members() {
                let _ = (value.as_str(), value.as_number(), value.as_int(), value.items().count());
            }
            let _ = Edit::of(o).set("esc", 1).object();
        }
        let _ = Event::parse(Op::Insert, text);
    }
}

#[test]
fn edits_keep_what_they_do_not_touch() {
    let base = object("{ \"a\" : 1.50, \"b\":\"x\", \"c\":{\"d\": 1} }");
    for (edit, want) in [
        (Edit::of(base), "{\"a\":1.50,\"b\":\"x\",\"c\":{\"d\": 1}}"),
        (Edit::of(base).set("b", "q\"\\\n\u{1f}é"), "{\"a\":1.50,\"b\":\"q\\\"\\\\\\u000a\\u001fé\",\"c\":{\"d\": 1}}"),
        (Edit::of(base).set("z", i64::MIN).set("y", true), "{\"a\":1.50,\"b\":\"x\",\"c\":{\"d\": 1},\"z\":-9223372036854775808,\"y\":true}"),
        (Edit::of(base).set("a", 1).set("a", None::<i64>), "{\"a\":null,\"b\":\"x\",\"c\":{\"d\": 1}}"),
        (Edit::of(base).remove("a").remove("c").remove("x"), "{\"b\":\"x\"}"),
        (Edit::of(base).remove("a").set("a", 0.5), "{\"a\":0.5,\"b\":\"x\",\"c\":{\"d\": 1}}"),
        (Edit::new(), "{}"),
        (Edit::new().set("o", base.object("c")).set("m", base.object("m")).set("v", base.get("a")), "{\"o\":{\"d\": 1},\"m\":null,\"v\":1.50}"),
        (Edit::new().set("n", f64::NAN).set("i", f64::INFINITY).set("e", 1e300).set("z", -0.0).set("w", 3.0), "{\"n\":null,\"i\":null,\"e\":1e300,\"z\":-0.0,\"w\":3}"),
        (Edit::new().set("l", vec!["a", "b"]).set("e", [0i64; 0]).set("in", Edit::new().set("x", [1, 2])), "{\"l\":[\"a\",\"b\"],\"e\":[],\"in\":{\"x\":[1,2]}}"),
    ] {
        assert_eq!(text(edit.object()), want);
    }
}

#[test]
fn numbers_are_the_nearest() {
    // The standard library is the judge.
    let mut state = 88172645463325252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut texts: Vec<String> = [
        "0", "-0", "0.0", "1", "100.5", "0e999", "1e22", "1e23", "-1e-22", "123456789012345", "1234567890123456789012", "9007199254740993",
        "9007199254740992.9999999999999999999999999", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e309",
        "1e999999999999", "1e-999999999999", "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
        "2.2250738585072011e-308", "2.2250738585072014e-308", "0.1", "1e-5", "2.22507385850720113605740979670913197593481954635164564e-308",
    ]
    .iter()
    .map(|s| s.to_string())
    .collect();
    for i in 0..20000 {
        let v = f64::from_bits(random());
        if v.is_finite() {
            texts.push(format!("{:.*e}", i % 25, v));
        }
    }
    for v in [1.0f64, 1e100, 2.2250738585072014e-308, 5e-324, 9007199254740992.0] {
        // Exactly halfway to the next, and next to it; Rust writes doubles with all their digits.
        let half = format!("{:.1100}", v + (f64::from_bits(v.to_bits() + 1) - v) / 2.0);
        texts.extend([format!("{}1", half), half]);
    }
    for text in &texts {
        let want = text.parse::<f64>().ok().filter(|v| v.is_finite());
        assert_eq!(number::parse(text.as_bytes()).map(f64::to_bits), want.map(f64::to_bits), "{}", text);
    }
    for text in ["", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1x", "--1", "1.2.3", "0x10", "1e5.5", "inf", "nan", "true"] {
        assert_eq!(number::parse(text.as_bytes()), None, "{}", text);
    }
}

#[test]
fn events_are_read() {
    let text = br#"{"v":1,"event":"policy","op":"read","collection":"posts","caller":{"role":"publishable","userId":"u1","claims":{"team":"x"}},"before":null,"after":null,"documents":[{"a":1},{"a":2}],"now":1700000000000,"requestId":"r-1","later":[{}]}"#;
    let e = Event::parse(Op::from(4), text).unwrap();
    assert_eq!((e.name, e.op, e.collection, e.now, e.request_id), ("policy", Op::Read, "posts", 1700000000000, "r-1"));
    assert_eq!((e.caller.role, e.caller.user_id, e.caller.claims.str("team")), ("publishable", Some("u1"), Some("x")));
    assert!(!e.before.exists() && !e.after.exists());
    let d = allow_each(&e, |o| o.int("a") == Some(2));
    assert_eq!((d.allows(), self::text(d.document())), (true, "{\"allow\":[false,true]}"));
    assert_eq!(Event::parse(Op::Insert, b"{\"caller\":{\"userId\":null}}").unwrap().caller.user_id, None);
    assert!(Event::parse(Op::Insert, b"[]").is_none());
    assert_eq!(Op::from(99), Op::Unknown);
}

#[test]
fn decisions_are_made() {
    assert!(!Decision::default().allows() && allow().allows());
    let no = deny("a.b", "say \"no\"").status(409);
    assert_eq!((no.allows(), no.code()), (false, Some("a.b")));
    assert!(!no.document().exists());
    let long = "é".repeat(300);
    let reason = Edit::new().set("code", "a").set("message", &long[..500]);
    assert_eq!(deny("a", &long).code(), reason.object().str("code"));
    assert_eq!(text(replace(object("{\"a\":1}")).document()), "{\"a\":1}");
    let query = Query::new().all(Edit::new().set("price", Edit::new().set("gt", 5))).any(Edit::new().set("a", 1)).any(Edit::new().set("b", "x")).sort("-t").limit(2);
    let want = "{\"where\":{\"price\":{\"gt\":5}},\"any\":[{\"a\":1},{\"b\":\"x\"}],\"sort\":\"-t\",\"limit\":2}";
    assert_eq!(text(restrict(&query).document()), want);
}

#[test]
fn documents_are_read() {
    stub(|function, collection, question| match (function, collection, question) {
        ("config", _, _) => Some("{\"site\":\"demo\"}".to_string()),
        ("count", "members", "{\"where\":{\"team\":\"t\"}}") => Some("12".to_string()),
        ("find", "posts", "{\"limit\":2}") => Some("[{\"a\":1},{\"a\":2}]".to_string()),
        ("get", "posts", "large") => Some(format!("{{\"a\":{}1}}", " ".repeat(9000))),
        _ => None,
    });
    assert_eq!(config().str("site"), Some("demo"));
    assert_eq!(count("members", &Query::new().all(Edit::new().set("team", "t"))), 12);
    assert_eq!(count("members", &Query::new()), 0);
    assert_eq!(find("posts", &Query::new().limit(2)).map(|o| o.int("a").unwrap()).sum::<i64>(), 3);
    assert_eq!(find("posts", &Query::new()).count(), 0);
    assert_eq!(get("posts", "large").int("a"), Some(1), "asked again with more room");
    assert!(!get("posts", "none").exists());
}

mod exports {
    // What the macro makes compiles off WebAssembly, too.
    fn no(_: &crate::Event) -> crate::Decision {
        crate::Decision::default()
    }

    fn init() {}

    crate::guest! { policy: no, hook: no, init: init }
}
