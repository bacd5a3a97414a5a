// The chat page in a headless Chromium, and the hands that use it.
//
// NODE_PACKAGES names a folder whose node_modules has playwright-core; CHROMIUM a browser, else one of the PATH is taken. Where either is missing the script
// skips itself.
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { skip } from "./served.mjs";

function findBrowser() {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const places = (process.env.PATH ?? "").split(":").flatMap(folder => names.map(name => path.join(folder, name)));
  for (const place of process.env.CHROMIUM ? [process.env.CHROMIUM] : places) {
    try { accessSync(place, constants.X_OK); return place; } catch { /* not there */ }
  }
  return skip("no chromium");
}

function findPlaywright() {
  const folder = path.resolve(process.env.NODE_PACKAGES ?? ".");
  try { return createRequire(path.join(folder, "here.js"))("playwright-core").chromium; } catch {
    return skip(`no playwright-core in ${folder} (npm install --prefix ${folder} playwright-core)`);
  }
}

/** Chromium itself. */
export async function launch() {
  const executablePath = findBrowser();
  return findPlaywright().launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

/** A page of its own context that keeps what it sent, what it logged and where it went. It is there once `begun` is. */
export async function open(browser, server, options = {}, prepare = async () => {}, begun = "#model option") {
  const context = await browser.newContext({ viewport: { width: 1000, height: 720 }, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  Object.assign(page, { bodies: [], errors: [], elsewhere: [] });
  page.on("request", request => {
    if (!request.url().startsWith(server.url + "/") && !request.url().startsWith("data:")) page.elsewhere.push(request.url());
    if (request.method() === "POST") page.bodies.push(request.postDataJSON());
  });
  page.on("console", message => { if (message.type() === "error") page.errors.push(message.text()); });
  page.on("pageerror", error => page.errors.push(String(error)));
  await prepare(page);
  await page.goto(server.url + "/");
  await page.locator(begun).first().waitFor({ state: "attached" });
  return page;
}

export async function set(page, values) {
  if (!(await page.locator("#settings").evaluate(details => details.open))) await page.click("summary");
  for (const [id, value] of Object.entries(values)) await page.fill("#" + id, String(value));
}

export async function send(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

export async function answered(page) {
  await page.locator("#again").waitFor();
  await page.locator("#send").waitFor();
}

export const lastAnswer = page => page.locator("article.assistant").last().evaluate(article => article.textContent);
export const sse = (...events) => ({ contentType: "text/event-stream", body: events.map(event => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`).join("") });
export const piece = content => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });

/** What the server says to a body of the page that is not streamed. */
export async function whole(server, body) {
  const { stream, stream_options, ...plain } = body;
  const answer = await server.post("/v1/chat/completions", plain);
  return { text: answer.choices[0].message.content, tokens: answer.usage.completion_tokens };
}
