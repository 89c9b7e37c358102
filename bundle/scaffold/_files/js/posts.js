// Guards the collection posts: a policy on its prices, and hooks that make slugs and keep locked posts as they are.
import { allow, deny } from "sluice";

/** The highest price that a post may ask. */
const maxPrice = 100;

/**
 * May this caller do this?
 * @param {import("sluice").Policy} event
 */
export function policy({ after }) {
  if (after !== null && after.price > maxPrice) {
    return deny("posts.price_too_high", `Set a price of ${maxPrice} or less.`);
  }
  return allow();
}

/**
 * Shall the document be so? What is changed in after is what will be stored.
 * @param {import("sluice").BeforeInsert | import("sluice").BeforeUpdate} event
 */
export function beforeInsert({ before, after }) {
  if (before?.locked === true && after.locked === true) {
    return deny("posts.locked", "Unlock the post first.", { status: 409 });
  }
  // The schema refuses a post without a title, in better words.
  if (typeof after.title === "string") after.slug = slug(after.title);
  return allow();
}

export const beforeUpdate = beforeInsert;

/** Turns a title into the last part of an address: ASCII letters in lower case and digits, with one dash between words. */
function slug(title) {
  return title.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
}
