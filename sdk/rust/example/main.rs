//! A guest that shows each thing that a policy and a hook can do. It is also the conformance guest of this SDK: package
//! hooktest runs it over vectors that every SDK's example must pass.

use sluice::{allow, allow_each, count, deny, find, get, grant, log, replace, restrict, Decision, Edit, Event, Level, Object, Op, Query};

sluice::guest! { policy: policy, hook: hook, init: init }

/// Members write for their teams, anybody reads what is public, owners read and delete what is theirs, nobody asks for more
/// than 100.
fn policy(e: &Event) -> Decision {
    match e.op {
        Op::Insert | Op::Update => {
            if e.after.number("price") > Some(100.0) {
                return deny("example.price_too_high", "Set a price of 100 or less.");
            }
            match e.after.str("teamId") {
                Some(team) if !member_of(team, e) => deny("example.not_a_member", "Join the team first."),
                _ => allow(),
            }
        }
        Op::Delete => {
            if !owns(e, e.before) {
                return deny("example.not_yours", "Only its owner can delete this.").status(404);
            }
            match e.before.str("_id") {
                Some(id) if has_comments(id) => deny("example.has_comments", "Delete its comments first.").status(409),
                _ => allow(),
            }
        }
        Op::Read => allow_each(e, |document| document.bool("public") == Some(true) || owns(e, document)),
        Op::Filter => {
            let public = Edit::new().set("public", true);
            match e.caller.user_id {
                Some(user) => restrict(&Query::new().any(public).any(Edit::new().set("userId", user))),
                None => restrict(&Query::new().all(public)),
            }
        }
        _ => Decision::default(), // an operation that this policy does not know: no
    }
}

fn owns(e: &Event, document: Object) -> bool {
    e.caller.user_id.is_some() && document.str("userId") == e.caller.user_id
}

fn member_of(team: &str, e: &Event) -> bool {
    match e.caller.user_id {
        Some(user) => count("members", &Query::new().all(Edit::new().set("teamId", team).set("userId", user))) > 0,
        None => false,
    }
}

fn has_comments(post: &str) -> bool {
    find("comments", &Query::new().all(Edit::new().set("postId", post)).limit(1)).next().is_some()
}

/// New documents get a slug and the time, locked ones stay as they are, new accounts get a plan.
fn hook(e: &Event) -> Decision {
    match e.op {
        Op::Insert => match e.after.str("title") {
            Some(title) => replace(Edit::of(e.after).set("slug", slug(title)).set("seenAt", e.now).remove("draft").object()),
            None => deny("example.title_missing", "Give the document a title."),
        },
        Op::Update | Op::Delete => {
            if e.before.bool("locked") == Some(true) {
                log(Level::Info, "refused to touch a locked document");
                return deny("example.locked", "Unlock the document first.").status(409);
            }
            match e.after.str("copyOf") {
                Some(original) if !get("posts", original).exists() => deny("example.no_original", "Copy something that exists."),
                _ => allow(),
            }
        }
        Op::Signup => match e.after.str("email") {
            Some(_) => replace(Edit::of(e.after).set("plan", "free").object()),
            None => deny("example.no_email", "Give an email address."),
        },
        Op::Claims => claims(e),
        Op::Upload if e.after.number("size") > Some(1_000_000.0) => deny("example.file_too_large", "Make the file smaller.").status(413),
        Op::Upload => allow(),
        _ => Decision::default(),
    }
}

/// A token says what role a user has, and where.
fn claims(e: &Event) -> Decision {
    if e.before.bool("blocked") == Some(true) {
        return deny("example.blocked", "This account is blocked.");
    }
    let mut token = Edit::new();
    if let Some(role) = e.before.str("role") {
        token = token.set("role", role);
    }
    if let Some(site) = unsafe { SITE } {
        token = token.set("site", site);
    }
    grant(token.object())
}

/// What the manifest's config says, read once. A module has one thread.
static mut SITE: Option<&str> = None;

fn init() {
    unsafe { SITE = sluice::config().str("site") }
}

/// Keeps letters and digits of ASCII, in lower case, and puts one dash in place of anything else between them.
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
