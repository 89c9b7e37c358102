// A guest that shows each thing that a policy and a hook can do. It is also the conformance guest of this SDK: package
// hooktest runs it over vectors that every SDK's example must pass.

import {
  allow, allowEach, answer, config, count, Decision, deny, Edit, Event, find, get, grant, Level, log, Obj, Op, Query, replace, restrict,
} from "../assembly/index";

export { abi_version, alloc } from "../assembly/index";

export function policy(op: i32, size: i32): i64 { return answer(op, size, judge); }

export function hook(op: i32, size: i32): i64 { return answer(op, size, change); }

/** What the manifest's config says, read once. */
let site: string | null = null;

export function init(): void { site = config().str("site"); }

/** Members write for their teams, anybody reads what is public, owners read and delete what is theirs, nobody asks for more than 100. */
function judge(e: Event): Decision {
  switch (e.op) {
    case Op.Insert:
    case Op.Update: {
      if (e.after.number("price") > 100) return deny("example.price_too_high", "Set a price of 100 or less.");
      const team = e.after.str("teamId");
      if (team != null && !memberOf(team, e)) return deny("example.not_a_member", "Join the team first.");
      return allow();
    }
    case Op.Delete: {
      if (!owns(e, e.before)) return deny("example.not_yours", "Only its owner can delete this.", 404);
      const id = e.before.str("_id");
      if (id != null && hasComments(id)) return deny("example.has_comments", "Delete its comments first.", 409);
      return allow();
    }
    case Op.Read:
      return allowEach(e, mayRead);
    case Op.Filter: {
      const anybody = new Edit().setBool("public", true).object(), user = e.caller.userId;
      if (user == null) return restrict(new Query().all(anybody));
      return restrict(new Query().any(anybody).any(new Edit().setString("userId", user).object()));
    }
    default:
      return new Decision(); // an operation that this policy does not know: no
  }
}

function mayRead(e: Event, document: Obj): bool { return document.isTrue("public") || owns(e, document); }

function owns(e: Event, document: Obj): bool {
  const owner = document.str("userId"), user = e.caller.userId;
  return owner != null && user != null && owner == user;
}

function memberOf(team: string, e: Event): bool {
  const user = e.caller.userId;
  if (user == null) return false;
  return count("members", new Query().all(new Edit().setString("teamId", team).setString("userId", user).object())) > 0;
}

function hasComments(post: string): bool {
  return find("comments", new Query().all(new Edit().setString("postId", post).object()).limit(1)).length > 0;
}

/** New documents get a slug and the time, locked ones stay as they are, new accounts get a plan. */
function change(e: Event): Decision {
  switch (e.op) {
    case Op.Insert: {
      const title = e.after.str("title");
      if (title == null) return deny("example.title_missing", "Give the document a title.");
      return replace(new Edit(e.after).setString("slug", slug(title)).setInt("seenAt", e.now).remove("draft").object());
    }
    case Op.Update:
    case Op.Delete: {
      if (e.before.isTrue("locked")) {
        log(Level.Info, "refused to touch a locked document");
        return deny("example.locked", "Unlock the document first.", 409);
      }
      const original = e.after.str("copyOf");
      if (original != null && !get("posts", original).exists) return deny("example.no_original", "Copy something that exists.");
      return allow();
    }
    case Op.Signup:
      if (!e.after.get("email").isString) return deny("example.no_email", "Give an email address.");
      return replace(new Edit(e.after).setString("plan", "free").object());
    case Op.Claims:
      return claims(e);
    case Op.Upload:
      return e.after.number("size") > 1_000_000 ? deny("example.file_too_large", "Make the file smaller.", 413) : allow();
    default:
      return new Decision();
  }
}

/** A token says what role a user has, and where. */
function claims(e: Event): Decision {
  if (e.before.isTrue("blocked")) return deny("example.blocked", "This account is blocked.");
  const token = new Edit(), role = e.before.str("role"), from = site;
  if (role != null) token.setString("role", role);
  if (from != null) token.setString("site", from);
  return grant(token.object());
}

/** Keeps letters and digits of ASCII, in lower case, and puts one dash in place of anything else between them. */
function slug(title: string): string {
  const out = new StaticArray<u16>(title.length);
  let n = 0, dash = false;
  for (let i = 0; i < title.length; i++) {
    let c = title.charCodeAt(i);
    if (c >= 0x41 && c <= 0x5a) c += 0x20;
    if (!(c >= 0x61 && c <= 0x7a) && !(c >= 0x30 && c <= 0x39)) {
      dash = n > 0;
      continue;
    }
    if (dash) out[n++] = 0x2d;
    dash = false;
    out[n++] = <u16>c;
  }
  return String.UTF16.decodeUnsafe(changetype<usize>(out), <usize>n << 1);
}
