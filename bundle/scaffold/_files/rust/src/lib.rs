//! Guards the collection posts: a policy on its prices, and a hook that makes slugs and keeps locked posts as they are.

use sluice::{allow, deny, replace, Decision, Edit, Event};

sluice::guest! { policy: policy, hook: hook }

/// The highest price that a post may ask.
const MAX_PRICE: f64 = 100.0;

/// Answers: may this caller do this?
fn policy(e: &Event) -> Decision {
    if e.after.number("price") > Some(MAX_PRICE) {
        return deny("posts.price_too_high", "Set a price of 100 or less.");
    }
    allow()
}

/// Answers: shall the document be so?
fn hook(e: &Event) -> Decision {
    if e.before.bool("locked") == Some(true) && e.after.bool("locked") == Some(true) {
        return deny("posts.locked", "Unlock the post first.").status(409);
    }
    match e.after.str("title") {
        Some(title) => replace(Edit::of(e.after).set("slug", slug(title)).object()),
        None => allow(), // the schema refuses a post without a title, in better words
    }
}

/// Turns a title into the last part of an address: ASCII letters in lower case and digits, with one dash between words.
fn slug(title: &str) -> String {
    let mut slug = String::with_capacity(title.len());
    let mut dash = false;
    for c in title.bytes() {
        if !c.is_ascii_alphanumeric() {
            dash = !slug.is_empty();
            continue;
        }
        if dash {
            slug.push('-');
        }
        dash = false;
        slug.push(c.to_ascii_lowercase() as char);
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice::Op;

    #[test]
    fn slugs_are_lower_case_with_single_dashes() {
        assert_eq!(slug("  Hello, World! "), "hello-world");
    }

    #[test]
    fn a_price_above_100_is_refused() {
        let e = Event::parse(Op::Insert, br#"{"after":{"price":101}}"#).unwrap();
        assert_eq!(policy(&e).code(), Some("posts.price_too_high"));
    }
}
