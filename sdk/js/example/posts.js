// The example guest of the JavaScript SDK, and its conformance guest: docs/abi.md says what it must do.
import { allow, config, count, deny, find, get } from "sluice";

/** May the caller do this? Asked before each insert, update and delete, and for each page of documents that is read. */
export function policy({ op, caller, before, after, documents }) {
  switch (op) {
    case "insert":
    case "update":
      if (typeof after.price === "number" && after.price > 100) {
        return deny("example.price_too_high", "Set a price of 100 or less.");
      }
      if (typeof after.teamId === "string" && !isMember(caller.userId, after.teamId)) {
        return deny("example.not_a_member", "Join the team first.");
      }
      return allow();
    case "delete":
      if (caller.userId === null || before.userId !== caller.userId) {
        return deny("example.not_yours", "Only its owner can delete this.", { status: 404 });
      }
      if (typeof before._id === "string" && find("comments", { where: { postId: before._id }, limit: 1 }).length > 0) {
        return deny("example.has_comments", "Delete its comments first.", { status: 409 });
      }
      return allow();
    case "read":
      return documents.map((doc) => doc.public === true || (caller.userId !== null && doc.userId === caller.userId));
  }
  return false;
}

/** What may a list find? Asked once for each list, and joined with its query. */
export function filter({ caller }) {
  return caller.userId === null ? { where: { public: true } } : { any: [{ public: true }, { userId: caller.userId }] };
}

/** Shall the document be so? What is changed in event.after is what will be stored. */
export function beforeInsert({ after, now }) {
  if (typeof after.title !== "string") return deny("example.title_missing", "Give the document a title.");
  after.slug = slug(after.title);
  after.seenAt = now;
  delete after.draft;
  return allow();
}

export function beforeUpdate({ before, after }) {
  if (before.locked === true) return deny("example.locked", "Unlock the document first.", { status: 409 });
  if (typeof after?.copyOf === "string" && get("posts", after.copyOf) === null) {
    return deny("example.no_original", "Copy something that exists.");
  }
  return allow();
}

export const beforeDelete = beforeUpdate;

/** A new account: event.after is its profile. */
export function beforeSignup({ after }) {
  if (typeof after.email !== "string") return deny("example.no_email", "Give an email address.");
  after.plan = "free";
  return allow();
}

/** What goes into the user's access token. */
export function claims({ before }) {
  if (before.blocked === true) return deny("example.blocked", "This account is blocked.");
  return { role: typeof before.role === "string" ? before.role : undefined, site: config().site };
}

/** May this file come? Of its bytes there are none yet. */
export function beforeUpload({ after }) {
  return after.size > 1_000_000 ? deny("example.file_too_large", "Make the file smaller.", { status: 413 }) : allow();
}

function isMember(userId, teamId) {
  return userId !== null && count("members", { where: { teamId, userId } }) > 0;
}

function slug(text) {
  return text.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
}
