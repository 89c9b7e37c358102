// What the official client makes of a node's limits: an error of its own class, with the time to wait.
import assert from "node:assert/strict";
import { test } from "node:test";
import urBackend, { RateLimitError } from "@urbackend/sdk";

const connect = () => urBackend({ apiKey: process.env.SLUICE_TEST_PUBLISHABLE_KEY, baseUrl: process.env.SLUICE_TEST_URL });

test("a project's limit is a RateLimitError that says when to come back", async () => {
  const { db } = connect();
  let refusal;
  for (let i = 0; i < 20 && !refusal; i++) {
    await db.getAll("posts").catch((error) => (refusal = error));
  }
  assert.ok(refusal instanceof RateLimitError, String(refusal));
  assert.equal(refusal.statusCode, 429);
  assert.equal(refusal.message, "Too many requests, please try again later.");
  assert.ok(refusal.retryAfter >= 1 && refusal.retryAfter <= 60, String(refusal.retryAfter));
});

test("the address of a login elsewhere is the node's", () => {
  const { auth } = connect();
  assert.equal(auth.socialStart("github"), `${process.env.SLUICE_TEST_URL}/api/userAuth/social/github/start?key=${process.env.SLUICE_TEST_PUBLISHABLE_KEY}`);
});
