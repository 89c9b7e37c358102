// Files with the official client, unmodified: upload, fetch, delete, and what it is told when it is wrong.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import urBackend, { AuthError, UrBackendError, ValidationError } from "@urbackend/sdk";

const baseUrl = process.env.SLUICE_TEST_URL;
const connect = (apiKey) => urBackend({ apiKey, baseUrl });
const secret = connect(process.env.SLUICE_TEST_SECRET_KEY);

async function refused(promise, Class, statusCode, message) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.message, message);
    assert.equal(error.statusCode, statusCode);
    assert.ok(error instanceof Class, `${error.name} is not a ${Class.name}`);
    return true;
  });
}

describe("files", () => {
  for (const [kind, file, name] of [
    ["a Buffer", Buffer.from("hello, file"), "greeting.txt"],
    ["a Blob", new Blob([new Uint8Array(3_000_000).fill(7)], { type: "application/octet-stream" }), "big.bin"],
    ["a File", new File(["ünïcode"], "My Füle 1.txt", { type: "text/plain" }), undefined],
  ]) {
    test(`${kind} is uploaded, fetched and deleted`, async () => {
      const stored = await secret.storage.upload(file, name);
      assert.equal(stored.message, "Upload confirmed");
      assert.equal(stored.provider, "internal");
      assert.match(stored.path, /^[0-9a-f]{24}\/[0-9a-f-]{36}_.+$/);
      assert.ok(stored.path.endsWith(`_${(name ?? file.name).replaceAll(" ", "_")}`), stored.path);
      const answer = await fetch(stored.url);
      assert.equal(answer.status, 200);
      const bytes = Buffer.from(await answer.arrayBuffer());
      assert.ok(bytes.equals(Buffer.isBuffer(file) ? file : Buffer.from(await file.arrayBuffer())));
      assert.equal((await secret.storage.deleteFile(stored.path)).message, "File deleted successfully");
      assert.equal((await secret.storage.deleteFile(stored.path)).message, "File deleted successfully", "also when it is gone");
      assert.equal((await fetch(stored.url)).status, 404);
    });
  }

  test("an upload can be handed to a client that has no key", async () => {
    const { signedUrl, filePath, token } = await secret.storage.requestUploadUrl("photo.png", "image/png", 8);
    assert.ok(token);
    await refused(secret.storage.confirmUpload(filePath, 8), UrBackendError, 409, "Uploaded file is not visible yet. Please retry confirmation.");
    await secret.storage.constructor.uploadToPresignedUrl(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), signedUrl, "image/png");
    const { url, path } = await secret.storage.confirmUpload(filePath, 8);
    assert.equal(path, filePath);
    assert.equal((await secret.storage.confirmUpload(filePath, 8)).url, url, "confirming twice changes nothing");
    assert.equal((await fetch(url)).headers.get("content-type"), "image/png");
  });

  test("users have files of their own where the project says so", async () => {
    const app = connect(process.env.SLUICE_TEST_PUBLISHABLE_KEY);
    await refused(app.storage.upload(Buffer.from("x"), "a"), AuthError, 401, "Provide a valid user Bearer token for write operations.");
    await app.auth.signUp({ email: "ada@example.com", password: "correct horse" });
    const token = app.auth.getToken();
    const asUser = (method, path, body) => app.request(method, path, { body, token });
    const { signedUrl, filePath } = await asUser("POST", "/api/storage/upload-request", { filename: "a.txt", contentType: "text/plain", size: 4 });
    await fetch(signedUrl, { method: "PUT", body: "mine" });
    const { url } = await asUser("POST", "/api/storage/upload-confirm", { filePath, size: 4 });
    assert.equal(await (await fetch(url)).text(), "mine");
    assert.equal((await asUser("DELETE", "/api/storage/file", { path: filePath })).message, "File deleted successfully");
  });

  test("mistakes say what to do", async () => {
    const { storage } = secret;
    await refused(storage.upload(Buffer.alloc(0), "empty"), ValidationError, 400, "filename, contentType, and size are required.");
    await refused(storage.requestUploadUrl("a", "text/plain", 10 * 1024 * 1024 + 1), UrBackendError, 413, "File size exceeds limit.");
    await storage.requestUploadUrl("a", "text/plain", 10 * 1024 * 1024);
    await refused(storage.deleteFile(""), ValidationError, 400, "File path is required.");
    await refused(storage.deleteFile("../other/file"), AuthError, 403, "Access denied.");
    await refused(storage.confirmUpload("nobody/else", 1), AuthError, 403, "Access denied.");
  });
});
