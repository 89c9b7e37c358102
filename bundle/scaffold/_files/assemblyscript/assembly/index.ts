// Guards the collection posts: a policy on its prices, and a hook that makes slugs and keeps locked posts as they are.

import { allow, answer, Decision, deny, Edit, Event, replace } from "../sdk/assembly/index";

export { abi_version, alloc } from "../sdk/assembly/index";

export function policy(op: i32, size: i32): i64 { return answer(op, size, judge); }

export function hook(op: i32, size: i32): i64 { return answer(op, size, change); }

/** The highest price that a post may ask. */
const maxPrice: f64 = 100;

/** Answers: may this caller do this? */
function judge(e: Event): Decision {
  if (e.after.number("price") > maxPrice) return deny("posts.price_too_high", "Set a price of 100 or less.");
  return allow();
}

/** Answers: shall the document be so? */
function change(e: Event): Decision {
  if (e.before.isTrue("locked") && e.after.isTrue("locked")) return deny("posts.locked", "Unlock the post first.", 409);
  const title = e.after.str("title");
  if (title == null) return allow(); // the schema refuses a post without a title, in better words
  return replace(new Edit(e.after).setString("slug", slug(title)).object());
}

/** Turns a title into the last part of an address: ASCII letters in lower case and digits, with one dash between words. */
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
