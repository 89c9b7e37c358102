// A login elsewhere as a person sees it: an app's page, a provider of OpenID Connect, back to the page, in a real Chromium with the official
// client. The provider is a small one of our own; the node finds it by discovery and checks it as it would any.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, site } from "./browser.mjs";

const { SLUICE_TEST_URL: node, SLUICE_TEST_DIR: dir, SLUICE_TEST_BINARY: binary } = process.env;
const clientId = "the-client", clientSecret = randomBytes(16).toString("hex");

// provider is a provider of OpenID Connect that lets everybody in as ada.
async function provider() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const codes = new Map();
  const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://provider");
    const answer = (value, status = 200) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return answer({ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`, id_token_signing_alg_values_supported: ["RS256"] });
      case "/keys":
        return answer({ keys: [{ ...publicKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "1" }] });
      case "/authorize": // a page with a button, as providers have
        return response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><form action="/consent"><input type="hidden" name="q" value="${encodeURIComponent(url.search)}"><button>Continue as Ada</button></form>`);
      case "/consent": {
        const asked = new URLSearchParams(decodeURIComponent(url.searchParams.get("q")));
        const code = randomBytes(16).toString("hex");
        codes.set(code, asked);
        return response.writeHead(302, { location: `${asked.get("redirect_uri")}?${new URLSearchParams({ code, state: asked.get("state") })}` }).end();
      }
      case "/token": {
        let body = "";
        for await (const part of request) body += part;
        const form = new URLSearchParams(body);
        const asked = codes.get(form.get("code"));
        codes.delete(form.get("code"));
        const basic = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`;
        if (!asked || request.headers.authorization !== basic || createHash("sha256").update(form.get("code_verifier")).digest("base64url") !== asked.get("code_challenge")) {
          return answer({ error: "invalid_grant" }, 400);
        }
        const now = Math.floor(Date.now() / 1000);
        const claims = { iss: issuer, aud: clientId, sub: "ada-1", iat: now, exp: now + 60, nonce: asked.get("nonce"), email: "ada@example.com", email_verified: true, preferred_username: "ada", name: "Ada" };
        const signed = `${text({ alg: "RS256", kid: "1" })}.${text(claims)}`;
        return answer({ access_token: "opaque", token_type: "Bearer", id_token: `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}` });
      }
      default:
        return answer({}, 404);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  return { issuer, close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))) };
}

let browser, pages, house, apiKey;
before(async () => {
  browser = await launch();
  // The app's page after a login, as the client's documentation has it.
  pages = await site({ "/auth/callback": "<!doctype html><title>callback</title>" });
  house = await provider();
  mkdirSync(join(dir, "secrets"), { mode: 0o700 });
  writeFileSync(join(dir, "secrets", "house"), clientSecret, { mode: 0o600 });
  const file = join(mkdtempSync(join(tmpdir(), "sluice-")), "sluice.yaml");
  writeFileSync(file, `
name: social
siteUrl: ${pages.url()}
auth:
  enabled: true
  providers:
    - {name: house, clientId: ${clientId}, clientSecret: "file:house", issuer: "${house.issuer}", private: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
      - {key: username, type: String}
      - {key: emailVerified, type: Boolean}
`);
  apiKey = JSON.parse(execFileSync(binary, ["project", "apply", file, "--dir", dir, "--json"])).publishableKey;
});
after(async () => {
  await browser?.close();
  await pages?.close();
  await house?.close();
});

// toProvider opens the app in a fresh browser and goes as far as the provider's page. The app knows the node by another name than the node does itself.
async function toProvider() {
  const page = await (await browser.newContext()).newPage();
  await page.goto(pages.url());
  await page.evaluate(async ([baseUrl, apiKey]) => {
    const { default: urBackend } = await import("/client.mjs");
    location.href = urBackend({ apiKey, baseUrl }).auth.socialStart("house");
  }, [node.replace("127.0.0.1", "localhost"), apiKey]);
  await page.waitForURL(`${house.issuer}/authorize*`);
  return page;
}

test("a person logs in elsewhere, and the client goes on with what the page is given", async () => {
  const page = await toProvider();
  await page.click("button");
  await page.waitForURL(`${pages.url()}/auth/callback*`);
  const result = await page.evaluate(async ([baseUrl, apiKey]) => {
    const { default: urBackend } = await import("/client.mjs");
    const rtCode = new URLSearchParams(location.search).get("rtCode");
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    history.replaceState(null, "", location.pathname);
    const { auth } = urBackend({ apiKey, baseUrl });
    const exchanged = await auth.socialExchange({ token, rtCode });
    const first = await auth.me(token);
    await auth.refreshToken();
    const again = await auth.socialExchange({ token, rtCode }).catch((error) => error.message);
    return { exchanged, first, me: await auth.me(), again, referrer: document.referrer };
  }, [node, apiKey]);
  assert.ok(result.exchanged.refreshToken);
  assert.equal(result.first.email, "ada@example.com");
  assert.equal(result.me.username, "ada");
  assert.equal(result.me.emailVerified, true);
  assert.equal(result.again, "Invalid or expired refresh token exchange code");
  assert.equal(result.referrer, "", "the page is not told the address that held the provider's code");
  assert.deepEqual(await page.context().cookies(), [], "no cookie of the login is left");
});

test("SEC-91: a link that logs a victim in as the attacker leads nowhere", async () => {
  const attacker = await toProvider();
  // The attacker consents and keeps the address that the provider sends the browser to.
  const consent = await attacker.evaluate(() => `/consent?${new URLSearchParams(new FormData(document.forms[0]))}`);
  const link = (await fetch(house.issuer + consent, { redirect: "manual" })).headers.get("location");
  assert.ok(link.includes("state="));
  const victim = await (await browser.newContext()).newPage();
  const answer = await victim.goto(link);
  assert.equal(answer.status(), 400);
  assert.equal((await answer.json()).reason, "social.state");
});
