// A real Chromium for journeys: pages of a test's own sites, on whatever host a case needs, and a way to tell whether a
// page ran a script. Tests are files here, `*.test.mjs`, that TestBrowser and its like start with the address of a node
// (../browser_test.go).
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The lock file of the clients is the one for this too: one place where npm packages are pinned.
const require = createRequire(new URL("../sdk/package.json", import.meta.url));
const { chromium } = require("playwright-core");

/** The official client as a module that a page can import, from where npm installed it. */
export const clientModule = readFileSync(new URL("../sdk/node_modules/@urbackend/sdk/dist/index.mjs", import.meta.url));

/**
 * launch starts Chromium, headless, without any profile. Every host name that ends in ".test" is this machine, so that a case can
 * have as many sites as it likes that are foreign to each other.
 */
export async function launch() {
  return chromium.launch({
    executablePath: process.env.SLUICE_TEST_CHROMIUM || "chromium",
    args: [
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), // its sandbox cannot be had by root
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--host-resolver-rules=MAP *.test 127.0.0.1",
    ],
  });
}

/**
 * site serves pages on a free port: an object of paths and bodies, or of paths and {type, headers, body}. `/client.mjs` is the
 * official client. url(host) is the site's origin under a name of this machine; seen holds "METHOD /path" of every request.
 */
export async function site(pages = {}) {
  const seen = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://site");
    seen.push(`${request.method} ${request.url}`);
    const known = { "/client.mjs": { type: "text/javascript", body: clientModule }, "/": "<!doctype html><title>site</title>", ...pages };
    const page = Object.hasOwn(known, pathname) ? known[pathname] : undefined;
    if (page === undefined) {
      response.writeHead(404).end();
      return;
    }
    const { type = "text/html; charset=utf-8", headers = {}, body } = typeof page === "string" ? { body: page } : page;
    response.writeHead(200, { "content-type": type, ...headers }).end(body);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address();
  return {
    seen,
    url: (host = "localhost") => `http://${host}:${port}`,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

/**
 * scriptsRun opens a URL as somebody who follows a link would, in a context of its own, and tells what ran there: every dialog, every
 * line on the console that a script wrote, and every call of `ran(what)`, which is there for hostile test files to call. A file
 * that the browser saves instead of showing is told as `saved`. It returns once the page and what it loads have come to rest,
 * or what `until` names: what a browser plays never does.
 */
export async function scriptsRun(browser, url, { html, until = "networkidle" } = {}) {
  const context = await browser.newContext({ acceptDownloads: true });
  const evidence = [];
  let saved = false;
  try {
    await context.exposeFunction("ran", (what) => void evidence.push(`ran: ${what}`));
    const watch = (page) => {
      page.on("dialog", (dialog) => (evidence.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
      page.on("console", (line) => line.type() === "log" && evidence.push(`console: ${line.text()}`));
      page.on("download", () => (saved = true));
    };
    context.on("page", watch);
    const page = await context.newPage();
    if (html !== undefined) {
      // A page of another site that embeds the file; html may use {url}.
      await page.setContent(html.replaceAll("{url}", url), { waitUntil: until });
    } else {
      const download = page.waitForEvent("download").catch(() => {});
      await page.goto(url, { waitUntil: until }).catch(async (error) => {
        if (!/Download is starting|net::ERR_ABORTED/.test(error.message)) throw error;
        await download; // it is told apart from a page that broke
      });
    }
    return { evidence, saved };
  } finally {
    await context.close();
  }
}
