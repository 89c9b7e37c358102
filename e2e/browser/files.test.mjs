// Files in a browser: the official client uploads them from a page, and none that anybody stored runs as a page or a script,
// however it is opened (SEC-84).
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, scriptsRun, site } from "./browser.mjs";

const node = process.env.SLUICE_TEST_URL;
const publishable = process.env.SLUICE_TEST_PUBLISHABLE_KEY;
const secret = process.env.SLUICE_TEST_SECRET_KEY;

const run = (what) => `try { ran(${JSON.stringify(what)}) } catch (e) { alert(${JSON.stringify(what)}) }`;
const script = (what) => `<script>${run(what)}</script>`;
const bytes = (text) => Buffer.from(text, "latin1");

// Files that are two things at once, or say that they are another. Each is stored as [name, declared type, bytes].
const hostile = [
  ["page.html", "text/html", bytes(`<!doctype html>${script("html")}`)],
  ["page.txt", "text/plain", bytes(`<html><body>${script("html as text")}`)],
  ["late.txt", "text/plain", bytes(`${" ".repeat(600)}<script>${run("html behind what is sniffed")}</script>`)],
  ["page", "", bytes(script("html without a type"))],
  ["page.png", "image/png", bytes(script("html as a picture"))],
  ["page.xhtml", "application/xhtml+xml", bytes(`<html xmlns="http://www.w3.org/1999/xhtml"><script>${run("xhtml")}</script></html>`)],
  ["logo.svg", "image/svg+xml", bytes(`<svg xmlns="http://www.w3.org/2000/svg" onload="ran('svg')"><script>ran('svg script')</script></svg>`)],
  ["logo.png", "image/png", bytes(`<svg xmlns="http://www.w3.org/2000/svg" onload="ran('svg as png')"/>`)],
  ["style.xml", "text/xml", bytes(`<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="#x"?><x xmlns:h="http://www.w3.org/1999/xhtml"><h:script>${run("xml")}</h:script></x>`)],
  ["code.js", "text/javascript", bytes(run("js"))],
  ["code.mjs", "application/javascript", bytes(run("module"))],
  ["code.json", "application/json", bytes(`/*{*/${run("js as json")}/*}*/`)],
  ["code.txt", "text/plain", bytes(run("js as text"))],
  ["code.csv", "text/csv", bytes(`a=1;${run("js as csv")}`)],
  ["gif.gif", "image/gif", bytes(`GIF89a/*\x00\x00*/=1;${run("gif and js")}`)],
  ["gif.html", "image/gif", bytes(`GIF89a${script("gif and html")}`)],
  ["jpeg.jpg", "image/jpeg", bytes(`\xff\xd8\xff\xe0/*JFIF*/=1;${script("jpeg and html")}`)],
  ["png.png", "image/png", bytes(`\x89PNG\r\n\x1a\n<!-- -->${script("png and html")}`)],
  ["bmp.bmp", "image/bmp", bytes(`BM/*\x00*/=1;${run("bmp and js")}`)],
  ["wave.wav", "audio/wav", bytes(`RIFF=1/*WAVE*/;${run("wave and js")}`)],
  ["doc.pdf", "application/pdf", bytes(`%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert('pdf'))>>>>endobj\n${script("pdf and html")}`)],
  ["utf7.txt", "text/html; charset=utf-7", bytes(`+ADw-script+AD4-ran('utf-7')+ADw-/script+AD4-`)],
  ["utf16.txt", "text/plain; charset=utf-16", Buffer.from(`\ufeff${script("utf-16")}`, "utf16le")],
  ["mail.eml", "message/rfc822", bytes(`MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n${script("mhtml")}`)],
  ["app.appcache", "text/cache-manifest", bytes("CACHE MANIFEST\nFALLBACK:\n/ /files/x")],
];

// Every way in which a page of another site can take in a file.
const embedded = `<iframe src="{url}"></iframe><embed src="{url}"><object data="{url}"></object><img src="{url}">
<video src="{url}"></video><script src="{url}"></script><script type="module" src="{url}"></script>
<link rel="stylesheet" href="{url}"><link rel="manifest" href="{url}">`;

async function store(name, type, contents) {
  const form = new FormData();
  form.append("file", new Blob([contents], { type }), name);
  const answer = await fetch(`${node}/api/storage/upload`, { method: "POST", headers: { "x-api-key": secret }, body: form });
  const stored = await answer.json();
  assert.equal(answer.status, 201, JSON.stringify(stored));
  return stored;
}

describe("files in a browser", { concurrency: 6 }, () => {
  let browser, app;
  before(async () => {
    browser = await launch();
    app = await site();
  });
  after(async () => {
    await browser?.close();
    await app?.close();
  });

  test("a page uploads with the official client, shows the picture and deletes it", async () => {
    const page = await browser.newPage();
    await page.goto(app.url("app.test"));
    const told = await page.evaluate(
      async ({ node, publishable }) => {
        const { default: urBackend } = await import("/client.mjs");
        const client = urBackend({ apiKey: publishable, baseUrl: node });
        await client.auth.signUp({ email: "grace@example.com", password: "correct horse" });
        const token = client.auth.getToken();
        // The client's storage module sends no user; this is the same three steps with one.
        const plain = client.request.bind(client);
        client.request = (method, path, options = {}) => plain(method, path, { ...options, token });
        const canvas = new OffscreenCanvas(3, 2);
        canvas.getContext("2d").fillRect(0, 0, 3, 2);
        const file = new File([await canvas.convertToBlob()], "my picture.png", { type: "image/png" });
        const stored = await client.storage.upload(file);
        const picture = new Image();
        picture.src = stored.url;
        await picture.decode();
        const read = await (await fetch(stored.url)).blob();
        const deleted = await client.storage.deleteFile(stored.path);
        return { stored, width: picture.naturalWidth, size: read.size, same: read.size === file.size, type: read.type, deleted, after: (await fetch(stored.url, { cache: "no-store" })).status };
      },
      { node, publishable },
    );
    assert.equal(told.stored.message, "Upload confirmed");
    assert.equal(told.width, 3);
    assert.ok(told.same, `${told.size} bytes came back`);
    assert.equal(told.type, "image/png");
    assert.equal(told.deleted.message, "File deleted successfully");
    assert.equal(told.after, 404);
    await page.close();
  });

  test("the case itself is one: the same bytes run where nobody takes care", async () => {
    const careless = await site({ "/page.html": { type: "text/html", body: hostile[0][2] }, "/code.js": { type: "text/javascript", body: hostile[9][2] } });
    assert.deepEqual((await scriptsRun(browser, `${careless.url()}/page.html`)).evidence, ["ran: html"]);
    assert.ok((await scriptsRun(browser, `${careless.url()}/code.js`, { html: embedded })).evidence.includes("ran: js"));
    await careless.close();
  });

  for (const [name, type, contents] of hostile) {
    test(`${name} as ${type || "nothing"} does not run`, async () => {
      const { url } = await store(name, type, contents);
      const until = type.startsWith("audio/") ? "domcontentloaded" : "networkidle"; // a player goes on asking
      assert.deepEqual((await scriptsRun(browser, url, { until })).evidence, []);
      assert.deepEqual((await scriptsRun(browser, url, { html: embedded, until })).evidence, []);
    });
  }
});
