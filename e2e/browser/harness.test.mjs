// The harness itself: it must see a script that runs, or "no script ran" would prove nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, scriptsRun, site } from "./browser.mjs";

describe("the browser of the tests", () => {
  let browser, pages;
  before(async () => {
    browser = await launch();
    const script = "<script>ran('inline'); console.log('hello'); alert('boo')</script>";
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="ran('svg')"/>`;
    pages = await site({
      "/page": script,
      "/late": `<img src="/missing.png" onerror="setTimeout(() => ran('late'), 50)">`,
      "/picture.svg": { type: "image/svg+xml", body: svg },
      "/sandboxed": { body: script, headers: { "content-security-policy": "sandbox" } },
      "/attached.svg": { type: "image/svg+xml", body: svg, headers: { "content-disposition": "attachment" } },
    });
  });
  after(async () => {
    await browser?.close();
    await pages?.close();
  });

  test("sees a script that runs", async () => {
    assert.deepEqual(await scriptsRun(browser, `${pages.url()}/page`), { evidence: ["ran: inline", "console: hello", "dialog: boo"], saved: false });
    assert.deepEqual((await scriptsRun(browser, `${pages.url()}/late`)).evidence, ["ran: late"]);
    assert.deepEqual((await scriptsRun(browser, `${pages.url()}/picture.svg`)).evidence, ["ran: svg"]);
    assert.deepEqual((await scriptsRun(browser, `${pages.url()}/picture.svg`, { html: `<iframe src="{url}"></iframe>` })).evidence, ["ran: svg"]);
  });

  test("sees that none runs where the browser is told so", async () => {
    assert.deepEqual(await scriptsRun(browser, `${pages.url()}/sandboxed`), { evidence: [], saved: false });
    assert.deepEqual(await scriptsRun(browser, `${pages.url()}/attached.svg`), { evidence: [], saved: true });
    assert.deepEqual((await scriptsRun(browser, `${pages.url()}/picture.svg`, { html: `<img src="{url}">` })).evidence, []);
  });

  test("has sites that are foreign to each other", async () => {
    const page = await browser.newPage();
    await page.goto(pages.url("one.test"));
    await page.evaluate(() => { document.cookie = "a=1"; });
    assert.equal(await page.evaluate(() => document.cookie), "a=1");
    await page.goto(pages.url("two.test"));
    assert.equal(await page.evaluate(() => document.cookie), "");
    await page.close();
  });
});
