// The official client in a real Chromium: what a browser sends, keeps and refuses, in both ways of keeping a refresh token.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, site } from "./browser.mjs";

// The node by a name that shares a site with the page's own, http://localhost: another port is another origin of the same site.
const node = process.env.SLUICE_TEST_URL.replace("127.0.0.1", "localhost");
const blog = process.env.SLUICE_TEST_PUBLISHABLE_KEY; // any page may use it, its cookie is SameSite=Lax
const cookies = process.env.SLUICE_TEST_COOKIES_KEY; // pages of friend.test and localhost, its cookie is SameSite=None

let browser, pages;
before(async () => {
  browser = await launch();
  pages = await site();
});
after(async () => {
  await browser?.close();
  await pages?.close();
});

// visit opens a page of a host in a browser of its own, or in one that was used before, and gives it window.api and window.connect.
async function visit(host, apiKey, context) {
  context ??= await browser.newContext();
  const page = await context.newPage();
  await page.goto(pages.url(host));
  await page.evaluate(async ([baseUrl, apiKey]) => {
    const { default: urBackend } = await import("/client.mjs");
    window.connect = () => urBackend({ apiKey, baseUrl });
    // A request without the client: answers status, body and the headers that a page may read.
    window.api = async (method, path, { body, headers = {} } = {}) => {
      try {
        const answer = await fetch(baseUrl + path, { method, credentials: "include", headers: { "x-api-key": apiKey, ...(body && { "content-type": "application/json" }), ...headers }, body: body && JSON.stringify(body) });
        return { status: answer.status, body: await answer.json(), id: answer.headers.get("x-request-id") };
      } catch (error) {
        return { blocked: error.name };
      }
    };
  }, [node, apiKey]);
  return page;
}

// submit lets a page of a host send a form to an account route, as a navigation, which third-party cookies come along with even where the
// browser keeps them from fetch. It returns the status.
async function submit(host, path, context, cookie) {
  const sender = await visit(host, cookies, context);
  const [request] = await Promise.all([
    sender.waitForEvent("requestfinished", (request) => request.url().includes(path)),
    sender.evaluate((action) => {
      document.body.innerHTML = `<form method="post" action="${action}"></form>`;
      document.forms[0].submit();
    }, `${node}/api/userAuth/${path}?key=${cookies}`),
  ]);
  const sent = await request.allHeaders();
  assert.ok(sent.cookie?.includes(cookie.value), "the browser did not send the cookie, so that this proves nothing");
  return (await request.response()).status();
}

const credentials = (name) => ({ email: `${name}@example.com`, password: "correct horse" });

describe("a page that keeps the refresh token itself", () => {
  test("the whole of the client's auth module works across origins", async () => {
    const page = await visit("localhost", blog);
    const result = await page.evaluate(async (who) => {
      const { auth } = connect();
      const signed = await auth.signUp({ ...who, username: "browser-ada", bio: "first" });
      const me = await auth.me();
      const kept = localStorage.getItem("ub_refresh_token");
      await auth.updateProfile({ bio: "second" });
      const renewed = await auth.refreshToken();
      const profile = await auth.publicProfile("browser-ada");
      await auth.changePassword({ currentPassword: who.password, newPassword: "battery staple" });
      const later = connect(); // as after a reload: nothing but the page's storage
      const again = await later.request("GET", "/api/userAuth/me");
      const out = await later.auth.logout();
      const left = localStorage.getItem("ub_refresh_token"); // the client forgets the access token alone
      const replay = await api("POST", "/api/userAuth/refresh-token", { headers: { "x-refresh-token": left } });
      return { signed, me, kept, renewed, profile, again, out, replay, token: localStorage.getItem("ub_auth_token"), cookie: document.cookie };
    }, credentials("browser-ada"));
    assert.equal(result.me.username, "browser-ada");
    assert.equal(result.kept, result.signed.refreshToken);
    assert.notEqual(result.renewed.refreshToken, result.kept);
    assert.equal(result.profile.bio, "second");
    assert.equal(result.again.bio, "second");
    assert.equal(result.out.message, "Logged out successfully");
    assert.equal(result.token, null);
    assert.equal(result.replay.status, 403, "what the client has left in the page is good for nothing");
    assert.equal(result.cookie, "");
    const jar = await page.context().cookies();
    assert.deepEqual(jar, [], "in this mode there is no cookie");
  });

  test("an access token that is no good is renewed behind the scenes", async () => {
    const page = await visit("localhost", blog);
    const result = await page.evaluate(async (who) => {
      const app = connect();
      await app.auth.signUp(who);
      app.auth.setToken("not.a.token");
      return { notes: await app.db.getAll("notes"), token: app.auth.getToken() };
    }, credentials("browser-bob"));
    assert.deepEqual(result.notes, []);
    assert.notEqual(result.token, "not.a.token");
  });

  test("what a limit and a mistake say reaches the page", async () => {
    const page = await visit("localhost", blog);
    const result = await page.evaluate(async (who) => {
      const { auth } = connect();
      const errors = [];
      for (let i = 0; i < 12 && errors.at(-1)?.name !== "RateLimitError"; i++) {
        try {
          await auth.login({ ...who, password: "wrong horse" });
        } catch (error) {
          errors.push({ name: error.name, status: error.statusCode, message: error.message, retryAfter: error.retryAfter });
        }
      }
      return errors;
    }, credentials("browser-nobody"));
    assert.equal(result[0].name, "ValidationError");
    assert.equal(result[0].message, "Invalid email or password");
    const last = result.at(-1);
    assert.equal(last.name, "RateLimitError", JSON.stringify(result));
    assert.ok(last.retryAfter >= 1, "Retry-After is a header that pages may read");
  });
});

describe("a page that leaves the refresh token to a cookie", () => {
  test("logs in, refreshes after a reload and logs out; no script sees the token", async () => {
    const page = await visit("localhost", blog);
    const signed = await page.evaluate((who) => api("POST", "/api/userAuth/signup", { body: who }), credentials("cookie-ada"));
    assert.equal(signed.status, 201);
    assert.equal(signed.body.refreshToken, undefined);
    const [cookie, ...others] = await page.context().cookies();
    assert.deepEqual(others, []);
    assert.match(cookie.name, /^refreshToken-/);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, "Lax");
    assert.equal(cookie.path, "/api/userAuth");
    assert.equal(await page.evaluate(() => document.cookie), "");

    const reloaded = await visit("localhost", blog, page.context());
    const renewed = await reloaded.evaluate(async () => {
      const { auth } = connect();
      await auth.refreshToken(); // the client has none, so that it sends cookies
      return { me: await auth.me(), kept: auth.getRefreshToken() };
    });
    assert.equal(renewed.me.email, "cookie-ada@example.com");
    assert.equal(renewed.kept, undefined);
    const [next] = await page.context().cookies();
    assert.notEqual(next.value, cookie.value, "a refresh token is used once");

    const out = await reloaded.evaluate(() => api("POST", "/api/userAuth/logout"));
    assert.equal(out.status, 200);
    assert.deepEqual(await page.context().cookies(), []);
    assert.equal((await reloaded.evaluate(() => api("POST", "/api/userAuth/refresh-token"))).status, 401);
  });

  test("two projects on one host have a login each", async () => {
    const first = await visit("localhost", blog);
    const second = await visit("localhost", cookies, first.context());
    await first.evaluate((who) => api("POST", "/api/userAuth/signup", { body: who }), credentials("two-projects"));
    await second.evaluate((who) => api("POST", "/api/userAuth/signup", { body: who }), credentials("two-projects"));
    await first.evaluate(() => api("POST", "/api/userAuth/logout"));
    assert.equal((await first.evaluate(() => api("POST", "/api/userAuth/refresh-token"))).status, 401);
    assert.equal((await second.evaluate(() => api("POST", "/api/userAuth/refresh-token"))).status, 200);
  });

  test("SEC-36: a foreign page neither refreshes nor logs out, by fetch or by form", async () => {
    const mine = await visit("localhost", cookies);
    assert.equal((await mine.evaluate((who) => api("POST", "/api/userAuth/signup", { body: who }), credentials("victim"))).status, 201);
    const [cookie] = await mine.context().cookies();
    assert.equal(cookie.sameSite, "None");
    assert.equal(cookie.secure, true);

    const evil = await visit("evil.test", cookies, mine.context());
    for (const path of ["/api/userAuth/refresh-token", "/api/userAuth/logout"]) {
      const tried = await evil.evaluate((path) => api("POST", path), path);
      assert.deepEqual(tried, { blocked: "TypeError" }, "the page may not read an answer");
    }
    // A form needs no permission to be sent, and the browser sends the cookie with it: the node has to refuse it.
    for (const path of ["refresh-token", "logout"]) {
      assert.equal(await submit("evil.test", path, mine.context(), cookie), 403, path);
    }
    assert.equal((await mine.evaluate(() => api("POST", "/api/userAuth/refresh-token"))).status, 200, "the login is still there");
  });

  test("a page of another site that the project names may refresh", async () => {
    const mine = await visit("localhost", cookies);
    await mine.evaluate((who) => api("POST", "/api/userAuth/signup", { body: who }), credentials("friend"));
    const [cookie] = await mine.context().cookies();
    assert.equal(await submit("friend.test", "refresh-token", mine.context(), cookie), 200);
    const page = await visit("friend.test", cookies);
    const readable = await page.evaluate(() => api("POST", "/api/userAuth/refresh-token"));
    assert.equal(readable.status, 401, "without a login");
    assert.ok(readable.id, "x-request-id is a header that pages may read");
  });
});

describe("pages and keys", () => {
  test("SEC-81: a page of an origin that the project does not name can read nothing", async () => {
    const stranger = await visit("evil.test", cookies);
    for (const [method, path] of [["GET", "/api/userAuth/me"], ["POST", "/api/userAuth/login"], ["GET", "/api/schemas/users"]]) {
      assert.deepEqual(await stranger.evaluate(([method, path]) => api(method, path), [method, path]), { blocked: "TypeError" }, path);
    }
  });
});
