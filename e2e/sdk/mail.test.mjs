// What needs a code by mail, with the official client: the code is read where a node without a mail server puts its mail.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import urBackend, { AuthError, RateLimitError, ValidationError } from "@urbackend/sdk";

const outbox = join(process.env.SLUICE_TEST_DIR, "outbox");
const connect = () => urBackend({ apiKey: process.env.SLUICE_TEST_PUBLISHABLE_KEY, baseUrl: process.env.SLUICE_TEST_URL });

// code waits for the next mail to an address and returns the code in it.
const read = new Set();
async function code(address) {
  for (let i = 0; i < 200; i++, await pause(50)) {
    let files = [];
    try {
      files = readdirSync(outbox).filter((name) => name.endsWith(".eml") && !read.has(name)).sort();
    } catch {} // not there before the first mail
    for (const name of files) {
      const mail = readFileSync(join(outbox, name), "utf8");
      if (!mail.toLowerCase().includes(address)) continue;
      read.add(name);
      const found = /^ {4}([0-9]{6})\r?$/m.exec(mail);
      if (found) return found[1];
    }
  }
  throw new Error(`no mail with a code to ${address} in ${outbox}`);
}

async function refused(promise, Class, statusCode, message) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.message, message);
    assert.equal(error.statusCode, statusCode);
    assert.ok(error instanceof Class, `${error.name} is not a ${Class.name}`);
    return true;
  });
}

const wrong = (otp) => (otp[0] === "9" ? "0" : String(Number(otp[0]) + 1)) + otp.slice(1);

test("a sign-up is verified by the code of its mail, once", async () => {
  const { auth } = connect();
  const email = "verify@example.com";
  await auth.signUp({ email, password: "correct horse" });
  const otp = await code(email);
  await refused(auth.verifyEmail({ email, otp: wrong(otp) }), ValidationError, 400, "Invalid or expired OTP");
  await refused(auth.verifyEmail({ email, otp: "12345" }), ValidationError, 400, "OTP must be 6 digits");
  assert.equal((await auth.verifyEmail({ email, otp })).message, "Email verified successfully");
  assert.equal((await auth.me()).emailVerified, true);
  await refused(auth.verifyEmail({ email, otp }), ValidationError, 400, "Invalid or expired OTP");
});

test("another code can be asked for, but not twice at once", async () => {
  const { auth } = connect();
  await auth.signUp({ email: "again@example.com", password: "correct horse" });
  assert.equal((await auth.resendVerificationOtp({ email: "again@example.com" })).message, "Verification code sent successfully.");
  await assert.rejects(auth.resendVerificationOtp({ email: "again@example.com" }), (error) => {
    assert.ok(error instanceof RateLimitError, String(error));
    assert.match(error.message, /^Please wait \d+ seconds before requesting another code\.$/);
    assert.ok(error.retryAfter > 0 && error.retryAfter <= 60);
    return true;
  });
});

test("a forgotten password is replaced, and every login of before ends", async () => {
  const email = "forgot@example.com";
  const before = connect(), after = connect();
  const { refreshToken } = await before.auth.signUp({ email, password: "correct horse" });
  await code(email);
  const constant = (await after.auth.requestPasswordReset({ email })).message;
  assert.equal(constant, "If that email exists, a reset code has been sent.");
  assert.equal((await after.auth.requestPasswordReset({ email: "nobody@example.com" })).message, constant);
  const otp = await code(email);
  await refused(after.auth.resetPassword({ email, otp: wrong(otp), newPassword: "battery staple" }), ValidationError, 400, "Invalid or expired OTP");
  assert.equal((await after.auth.resetPassword({ email, otp, newPassword: "battery staple" })).message, "Password updated successfully");
  await refused(connect().auth.login({ email, password: "correct horse" }), ValidationError, 400, "Invalid email or password");
  await refused(connect().auth.refreshToken(refreshToken), AuthError, 403, "Refresh token is invalid or already used");
  await after.auth.login({ email, password: "battery staple" });
  assert.equal((await after.auth.me()).emailVerified, true, "the code has proved the address as well");
});
