// An app's life with the official client, unmodified: accounts, documents, and what an app is told when it is wrong.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import urBackend, { AuthError, NotFoundError, UrBackendError, ValidationError } from "@urbackend/sdk";

const baseUrl = process.env.SLUICE_TEST_URL;
const publishable = process.env.SLUICE_TEST_PUBLISHABLE_KEY;
const secret = process.env.SLUICE_TEST_SECRET_KEY;

const connect = (apiKey = publishable) => urBackend({ apiKey, baseUrl });
const isId = (id) => assert.match(id, /^[0-9a-f]{24}$/);
const isDate = (date) => assert.match(date, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const titles = (posts) => posts.map((post) => post.title);

// refused asserts the class, the status and the whole text of an error.
async function refused(promise, Class, statusCode, message) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.message, message);
    assert.equal(error.statusCode, statusCode);
    assert.ok(error instanceof Class, `${error.name} is not a ${Class.name}`);
    assert.ok(error instanceof UrBackendError);
    return true;
  });
}

const credentials = (name) => ({ email: `${name}@example.com`, password: "correct horse" });

// member signs a new user up and returns the logged-in client.
async function member(name) {
  const app = connect();
  app.user = await app.auth.signUp({ ...credentials(name), username: name });
  return app;
}

describe("accounts", () => {
  test("signUp answers tokens and the user, and logs in", async () => {
    const app = connect();
    const answer = await app.auth.signUp({ ...credentials("ada"), username: "ada", bio: "Wrote the first program." });
    isId(answer.userId);
    assert.ok(answer.accessToken);
    assert.equal(answer.token, answer.accessToken);
    assert.ok(answer.refreshToken, "the client asked for the refresh token in the body");
    assert.equal(answer.expiresIn, "15m");
    assert.equal(answer.user.email, "ada@example.com");
    assert.equal(answer.user.password, undefined);
    assert.equal((await app.auth.me()).email, "ada@example.com");
  });

  test("login finds the account whatever the case of the address", async () => {
    const app = connect();
    const answer = await app.auth.login({ email: " Ada@Example.COM", password: "correct horse" });
    assert.ok(answer.accessToken && answer.refreshToken);
    const me = await app.auth.me();
    isId(me._id);
    assert.equal(me.email, "ada@example.com");
    assert.equal(me.username, "ada");
    assert.equal(me.bio, "Wrote the first program.", "declared fields are kept at sign-up");
    assert.equal(me.password, undefined);
    isDate(me.createdAt);
  });

  test("an access token can be passed by hand", async () => {
    const { accessToken } = await connect().auth.login(credentials("ada"));
    assert.equal((await connect().auth.me(accessToken)).username, "ada");
  });

  test("publicProfile shows declared fields and nothing sensitive", async () => {
    const profile = await connect().auth.publicProfile("ada");
    isId(profile._id);
    assert.equal(profile.username, "ada");
    assert.equal(profile.bio, "Wrote the first program.");
    assert.equal(profile.email, undefined);
    assert.equal(profile.password, undefined);
  });

  test("an expired access token is renewed behind the scenes", async () => {
    const app = connect();
    await app.auth.login(credentials("ada"));
    const before = app.auth.getRefreshToken();
    app.auth.setToken("not.a.token"); // as good as expired; the refresh token stays
    const posts = await app.db.getAll("notes");
    assert.deepEqual(posts, []);
    assert.notEqual(app.auth.getRefreshToken(), before, "a refresh token is used once");
  });

  test("logout ends the session", async () => {
    const app = connect();
    const { refreshToken } = await app.auth.login(credentials("ada"));
    const answer = await app.auth.logout();
    assert.equal(answer.message, "Logged out successfully");
    assert.equal(app.auth.getToken(), undefined);
    await refused(connect().auth.refreshToken(refreshToken), AuthError, 403, "Refresh token is invalid or already used");
  });

  test("updateProfile changes what users may change", async () => {
    const app = await member("sofia");
    assert.equal((await app.auth.updateProfile({ bio: "Hopped frequencies." })).message, "Profile updated successfully");
    const me = await app.auth.me();
    assert.equal(me.bio, "Hopped frequencies.");
    await refused(app.auth.updateProfile({ username: "h" }), ValidationError, 400, "Username must be between 3 and 50 characters.");
    await refused(app.auth.updateProfile({ bio: 7 }), ValidationError, 400, "Field 'bio' must be a String.");
  });

  test("changePassword ends the other logins and keeps this one", async () => {
    const app = await member("hypatia"), other = connect();
    const { refreshToken } = await other.auth.login(credentials("hypatia"));
    await refused(app.auth.changePassword({ currentPassword: "wrong horse", newPassword: "battery staple" }), ValidationError, 400, "Invalid current password");
    assert.equal((await app.auth.changePassword({ currentPassword: "correct horse", newPassword: "battery staple" })).message, "Password changed successfully");
    assert.equal((await app.auth.me()).username, "hypatia");
    await refused(connect().auth.refreshToken(refreshToken), AuthError, 403, "Refresh token is invalid or already used");
    await refused(connect().auth.login(credentials("hypatia")), ValidationError, 400, "Invalid email or password");
    await connect().auth.login({ email: "hypatia@example.com", password: "battery staple" });
  });

  test("mistakes say what to do", async () => {
    const { auth } = connect();
    await refused(auth.signUp(credentials("ada")), ValidationError, 400, "User already exists with this email.");
    await refused(auth.signUp({ email: "ADA@example.com", password: "correct horse" }), ValidationError, 400, "User already exists with this email.");
    await refused(auth.signUp({ email: "nobody", password: "correct horse" }), ValidationError, 400, "Invalid email format.");
    await refused(auth.signUp({ email: "", password: "correct horse" }), ValidationError, 400, "Email is required.");
    await refused(auth.signUp({ email: "bob@example.com", password: "short" }), ValidationError, 400, "Password must be at least 8 characters.");
    await refused(auth.signUp({ email: "bob@example.com", password: "x".repeat(129) }), ValidationError, 400, "Password is too long.");
    await refused(auth.signUp({ ...credentials("bob"), username: "b" }), ValidationError, 400, "Username must be at least 3 characters.");
    await refused(auth.login({ ...credentials("ada"), password: "wrong horse" }), ValidationError, 400, "Invalid email or password");
    await refused(auth.login(credentials("nobody-at-all")), ValidationError, 400, "Invalid email or password");
    await refused(auth.me("not.a.token"), AuthError, 401, "Invalid or Expired Token");
    await refused(auth.me(), AuthError, 401, "Authentication token is required for /me endpoint");
    await refused(auth.publicProfile("nobody-at-all"), NotFoundError, 404, "User not found");
  });
});

describe("documents", () => {
  test("insert fills in the owner, trims strings and keeps numbers", async () => {
    const app = await member("grace");
    const post = await app.db.insert("posts", { title: "  Compilers ", price: 12.5, tags: ["a", "b"], meta: { likes: 3 }, extra: { kept: true } });
    isId(post._id);
    isDate(post.createdAt);
    isDate(post.updatedAt);
    assert.equal(post.title, "Compilers");
    assert.equal(post.price, 12.5);
    assert.deepEqual(post.tags, ["a", "b"]);
    assert.deepEqual(post.meta, { likes: 3 });
    assert.deepEqual(post.extra, { kept: true });
    assert.equal(post.userId, app.user.userId);
    assert.deepEqual(await app.db.getOne("posts", post._id), post);
    const bare = await app.db.insert("posts", { title: "No tags" });
    assert.deepEqual(bare.tags, [], "a declared array that is missing is empty");
  });

  test("getAll filters, sorts, limits and pages; count agrees", async () => {
    const app = await member("linus");
    for (const [i, title] of ["delta", "alpha", "charlie", "bravo", "echo"].entries()) {
      await app.db.insert("posts", { title, price: i * 10, published: i % 2 === 0, tags: ["phonetic", title[0]] });
    }
    const mine = { userId: app.user.userId };
    const { db } = connect(); // reading is public
    assert.deepEqual(titles(await db.getAll("posts", { filter: mine })), ["echo", "bravo", "charlie", "alpha", "delta"], "newest first");
    assert.deepEqual(titles(await db.getAll("posts", { filter: mine, sort: "title:asc", limit: 3 })), ["alpha", "bravo", "charlie"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: mine, sort: "title", limit: 2, page: 2 })), ["charlie", "delta"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: mine, sort: "-price", limit: 1 })), ["echo"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: { ...mine, price_gte: 20, price_lt: 40 }, sort: "price" })), ["charlie", "bravo"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: { ...mine, title_in: "alpha,echo" }, sort: "title" })), ["alpha", "echo"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: { ...mine, published: true, price_ne: 0 }, sort: "price" })), ["charlie", "echo"]);
    assert.deepEqual(titles(await db.getAll("posts", { filter: { ...mine, tags: "b" } })), ["bravo"], "an array matches by an element");
    assert.deepEqual(titles(await db.getAll("posts", { filter: { ...mine, title_regex: "^C" } })), ["charlie"]);
    assert.deepEqual(await db.getAll("posts", { filter: { ...mine, title: "foxtrot" } }), []);
    assert.equal(await db.count("posts", { filter: mine }), 5);
    assert.equal(await db.count("posts", { filter: { ...mine, price_gt: 20 } }), 2);
    assert.equal(await db.count("posts", { filter: { ...mine, title: "foxtrot" } }), 0);
  });

  test("update and patch replace the fields that are sent", async () => {
    const app = await member("barbara");
    const { _id, createdAt } = await app.db.insert("posts", { title: "CLU", price: 1, tags: ["old"] });
    const updated = await app.db.update("posts", _id, { title: "Argus", tags: ["new"] });
    assert.equal(updated.title, "Argus");
    assert.equal(updated.price, 1, "what was not sent stays");
    assert.deepEqual(updated.tags, ["new"]);
    assert.equal(updated.createdAt, createdAt);
    const patched = await app.db.patch("posts", _id, { price: 2, userId: app.user.userId });
    assert.equal(patched.price, 2);
    assert.deepEqual(await app.db.getOne("posts", _id), patched);
  });

  test("delete takes the document away", async () => {
    const app = await member("edsger");
    const { _id } = await app.db.insert("posts", { title: "goto" });
    assert.deepEqual(await app.db.delete("posts", _id), { deleted: true });
    await refused(app.db.getOne("posts", _id), NotFoundError, 404, "Document not found.");
    await refused(app.db.delete("posts", _id), NotFoundError, 404, "Document not found.");
  });

  test("private documents exist for their owner only", async () => {
    const owner = await member("alan");
    const other = await member("eve");
    const { _id } = await owner.db.insert("notes", { text: "enigma" });
    assert.equal((await owner.db.getOne("notes", _id)).text, "enigma");
    assert.deepEqual((await owner.db.getAll("notes")).map((note) => note.text), ["enigma"]);
    assert.deepEqual(await other.db.getAll("notes"), []);
    assert.equal(await other.db.count("notes"), 0);
    await refused(other.db.getOne("notes", _id), NotFoundError, 404, "Document not found.");
    await refused(other.db.update("notes", _id, { text: "mine" }), NotFoundError, 404, "Document not found.");
    await refused(other.db.delete("notes", _id), NotFoundError, 404, "Document not found.");
    await refused(connect().db.getAll("notes"), AuthError, 401, "Provide a valid user Bearer token for private reads.");
    assert.equal((await owner.db.getOne("notes", _id)).text, "enigma");
  });

  test("others' posts can be read and not changed", async () => {
    const owner = await member("margaret");
    const other = await member("mallory");
    const { _id } = await owner.db.insert("posts", { title: "Apollo" });
    assert.equal((await other.db.getOne("posts", _id)).title, "Apollo");
    await refused(other.db.update("posts", _id, { title: "mine" }), AuthError, 403, "You can only modify your own document.");
    await refused(other.db.patch("posts", _id, { userId: other.user.userId }), AuthError, 403, "You can only modify your own document.");
    await refused(owner.db.patch("posts", _id, { userId: other.user.userId }), AuthError, 403, "userId cannot be changed under RLS.");
    await refused(other.db.delete("posts", _id), AuthError, 403, "You can only modify your own document.");
    await refused(other.db.insert("posts", { title: "forged", userId: owner.user.userId }), AuthError, 403, "Item at index 0 must have userId equal to your user id");
    assert.equal((await owner.db.getOne("posts", _id)).title, "Apollo");
  });

  test("a policy's denial reaches the app in its own words, on insert and on update", async () => {
    const app = await member("katherine");
    const denial = "The price of a post can be at most 100. Lower it and try again.";
    await refused(app.db.insert("posts", { title: "Gold plated", price: 500 }), AuthError, 403, denial);
    const { _id, slug } = await app.db.insert("posts", { title: "Spanning Trees", price: 100 });
    assert.equal(slug, "spanning-trees", "the write hook made it");
    await refused(app.db.patch("posts", _id, { price: 101 }), AuthError, 403, denial);
    assert.equal((await app.db.getOne("posts", _id)).price, 100);
    assert.equal((await app.db.patch("posts", _id, { title: "Bridges" })).slug, "bridges");
    const trusted = await connect(secret).db.patch("posts", _id, { price: 101 });
    assert.equal(trusted.price, 101, "a secret key skips policies");
  });

  test("aggregations, which the client has no method for, go through its request", async () => {
    const app = await member("sophie");
    for (const [title, price] of [["ant", 0.1], ["bee", 0.2], ["cow", 30]]) {
      await app.db.insert("posts", { title, price, tags: ["animal", title[0]] });
      await app.db.insert("notes", { text: title });
    }
    const aggregate = (client, collection, pipeline) => client.request("POST", `/api/data/${collection}/aggregate`, { body: { pipeline }, token: client.auth.getToken() });
    const mine = { $match: { userId: app.user.userId } };
    assert.deepEqual(await aggregate(app, "posts", [mine, { $match: { price: { $lt: 1 } } }, { $group: { _id: null, sum: { $sum: "$price" }, titles: { $push: "$title" } } }]), [{ _id: null, sum: 0.3, titles: ["ant", "bee"] }]);
    assert.deepEqual(await aggregate(app, "posts", [mine, { $unwind: "$tags" }, { $sortByCount: "$tags" }, { $limit: 1 }]), [{ _id: "animal", count: 3 }]);
    assert.deepEqual(await aggregate(app, "notes", [{ $count: "notes" }]), [{ notes: 3 }], "one's own private documents, as a list shows them");
    assert.deepEqual(await aggregate(await member("emmy"), "notes", [{ $count: "notes" }]), []);
    await refused(aggregate(app, "posts", []), ValidationError, 400, "Pipeline must contain at least one stage.");
    await refused(aggregate(app, "posts", [{ $lookup: { from: "users", as: "u" } }]), ValidationError, 400, "Aggregation pipeline contains blocked stage.");
    await refused(aggregate(connect(), "notes", [{ $count: "notes" }]), AuthError, 401, "Provide a valid user Bearer token for private reads.");
  });

  test("mistakes say what to do", async () => {
    const app = await member("niklaus");
    const { db } = app;
    await refused(db.insert("posts", { price: 1 }), ValidationError, 400, "Field 'title' is required.");
    await refused(db.insert("posts", { title: "   " }), ValidationError, 400, "Field 'title' is required.");
    await refused(db.insert("posts", { title: 5 }), ValidationError, 400, "Field 'title' must be a String.");
    await refused(db.insert("posts", { title: "a", price: "5" }), ValidationError, 400, "Field 'price' must be a Number.");
    await refused(db.insert("posts", { title: "a", published: "yes" }), ValidationError, 400, "Field 'published' must be a Boolean.");
    await refused(db.insert("posts", { title: "a", tags: "x" }), ValidationError, 400, "Field 'tags' must be an Array.");
    await refused(db.insert("posts", { title: "a", tags: ["x", 1] }), ValidationError, 400, "Field 'tags[1]' must be a String.");
    await refused(db.insert("posts", { title: "a", meta: { likes: "3" } }), ValidationError, 400, "Field 'likes' must be a Number.");
    await refused(db.insert("posts", { title: "a", author: "nobody" }), ValidationError, 400, "Field 'author' must be a valid reference ID (ObjectId).");
    await refused(db.insert("nowhere", { title: "a" }), NotFoundError, 404, "Collection not found");
    await refused(db.getOne("posts", "42"), ValidationError, 400, "Invalid ID format.");
    await refused(db.getOne("posts", "0".repeat(24)), NotFoundError, 404, "Document not found.");
    assert.deepEqual(await db.getAll("nowhere"), [], "the client turns a missing collection into an empty list");
    await refused(connect().db.insert("posts", { title: "a" }), AuthError, 401, "Provide a valid user Bearer token for write operations.");
    await refused(app.db.insert("settings", { name: "a" }), AuthError, 403, "Enable RLS for this collection to allow publishable-key writes.");
    await refused(app.db.getAll("users"), AuthError, 403, "Use /api/userAuth endpoints for users collection operations.");
    await refused(connect("pk_live_wrong").db.getAll("posts"), AuthError, 401, "API key is expired or invalid.");
  });
});

describe("a server with the secret key", () => {
  test("writes without a user, and unique fields stay unique", async () => {
    const { db } = connect(secret);
    const theme = await db.insert("settings", { name: "theme", value: "dark" });
    assert.equal(theme.userId, undefined, "a secret key owns nothing");
    await refused(db.insert("settings", { name: "theme" }), UrBackendError, 409, "Duplicate value violates unique constraint.");
    const font = await db.insert("settings", { name: "font" });
    await refused(db.patch("settings", font._id, { name: "theme" }), UrBackendError, 409, "Duplicate value violates unique constraint.");
    assert.deepEqual(await db.delete("settings", theme._id), { deleted: true });
    assert.equal((await db.patch("settings", font._id, { name: "theme" })).name, "theme", "a freed name can be taken");
  });

  test("reads the schema", async () => {
    const schema = await connect(secret).schema.getSchema("posts");
    assert.equal(schema.name, "posts");
    assert.ok(schema.model.some((field) => field.key === "title" && field.required));
  });
});
