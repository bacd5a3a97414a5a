// The chat page in headless Chromium, against a real `llm api`: what it asks for, what it shows, and how it is used.
//
// Skips itself (77) where Chromium or playwright-core is missing (see page.mjs).
//   page_client.mjs                        every claim
//   page_client.mjs --screenshot FILE.png  a short conversation, light, on a desktop
import { createServer } from "node:http";
import path from "node:path";

import { answered, lastAnswer, launch, open, piece, send, set, sse, whole } from "./page.mjs";
import { colours, keyboard, phone } from "./page_use.mjs";
import { Server, claim, finish, same, soon } from "./served.mjs";

const HARM = `<img src=x onerror="window.harm=1"><script>window.harm=1</script><b>bold</b>`;

async function streams(browser, server) {
  const page = await open(browser, server);
  await set(page, { temperature: 0, max_tokens: 1500 });
  await page.evaluate(() => {
    window.lengths = [];
    new MutationObserver(() => window.lengths.push(document.querySelector("article.assistant")?.textContent.length ?? 0))
      .observe(document.getElementById("talk"), { subtree: true, childList: true, characterData: true });
  });
  await send(page, "Line 7: the cat");
  await answered(page);
  const lengths = (await page.evaluate(() => window.lengths)).filter(length => length > 0);
  const wanted = await whole(server, page.bodies.at(-1));
  claim("the text grows in several steps", new Set(lengths).size >= 4, lengths);
  claim("it only grows", lengths.every((length, i) => i === 0 || length >= lengths[i - 1]), lengths);
  same("the streamed text is the server's whole answer", await lastAnswer(page), wanted.text);
  const speed = await page.textContent("#speed");
  claim("tokens a second are shown, and the number of tokens is the server's",
        new RegExp(`^${wanted.tokens} tokens, \\d+\\.\\d tokens/s, first after \\d+ ms; cut off at the limit$`).test(speed), speed);
  same("nothing was asked of another host", page.elsewhere, []);
  same("no errors in the console", page.errors, []);
  await page.context().close();
}

async function stops(browser, server) {
  for (const how of ["the button", "Escape", "New chat"]) {
    const page = await open(browser, server);
    const before = (await server.get("/stats")).generated_tokens;
    await set(page, { temperature: 1, max_tokens: 15000 });
    await send(page, "Line 7");
    await page.locator("article.assistant", { hasText: /.{20}/s }).waitFor();
    claim(`${how}: the server is at work`, (await server.running()) === 1);
    if (how === "Escape") await page.keyboard.press("Escape");
    else await page.click(how === "New chat" ? "#clear" : "#stop");
    claim(`${how}: then nothing runs`, await soon(async () => (await server.running()) === 0, 10));
    const made = (await server.get("/stats")).generated_tokens - before;
    claim(`${how}: long before the end`, made < 15000, made);
    await page.locator("#send").waitFor();
    if (how === "New chat") {
      same("a new chat is empty", await page.locator("article").count(), 0);
      await send(page, "Line 8");
      await page.locator("#stop").click();
      same("and knows nothing of the last one", page.bodies.at(-1).messages, [{ role: "user", content: "Line 8" }]);
    } else {
      const text = await lastAnswer(page);
      claim(`${how}: what was there stays`, text.length >= 20, text);
      claim(`${how}: it is no error`, (await page.locator(".failed").count()) === 0);
      await send(page, "and on");
      await soon(() => page.bodies.length === 2);
      same(`${how}: the chat goes on from there`, page.bodies.at(-1).messages,
           [{ role: "user", content: "Line 7" }, { role: "assistant", content: text }, { role: "user", content: "and on" }]);
      await page.click("#stop");
    }
    same(`${how}: no errors in the console`, page.errors, []);
    await page.context().close();
  }
  claim("nothing is left running", await soon(async () => (await server.running()) === 0, 10));
}

async function regenerates(browser, server) {
  const page = await open(browser, server);
  await set(page, { temperature: 1.5, max_tokens: 40 });
  await send(page, "Line 7");
  await answered(page);
  const first = await lastAnswer(page);
  await page.click("#again");
  await answered(page);
  const second = await lastAnswer(page);
  same("the answer is replaced, not added", await page.locator("article").count(), 2);
  claim("by another", second !== first && second !== "", [first, second]);
  same("asked with the same words", page.bodies[1], page.bodies[0]);
  await page.context().close();
}

async function settings(browser, server) {
  const page = await open(browser, server);
  const given = { temperature: 0.7, top_p: 0.9, top_k: 20, min_p: 0.05, repetition_penalty: 1.2, max_tokens: 9, seed: 11 };
  const plain = { model: "small", stream: true, stream_options: { include_usage: true } };
  await set(page, { ...given, system: "Be brief" });
  await send(page, "Line 7");
  await answered(page);
  same("every setting is in the request", page.bodies[0],
       { ...plain, ...given, messages: [{ role: "system", content: "Be brief" }, { role: "user", content: "Line 7" }] });
  same("a seed gives the server's text", await lastAnswer(page), (await whole(server, page.bodies[0])).text);
  await page.click("#clear");
  await set(page, { ...Object.fromEntries(Object.keys(given).map(id => [id, ""])), max_tokens: 5, system: "" });
  await send(page, "Line 8");
  await answered(page);
  same("what is left empty is the server's", page.bodies[1], { ...plain, max_tokens: 5, messages: [{ role: "user", content: "Line 8" }] });
  const defaults = (await server.get("/props")).default_generation_settings.params;
  same("and the page tells what that is", await page.getAttribute("#temperature", "placeholder"), String(defaults.temperature));
  await page.context().close();
  const props = await server.get("/props");
  for (const context of [256, 16384]) {
    props.default_generation_settings.n_ctx = context;
    const small = await open(browser, server, {}, page => page.route("**/props", route => route.fulfill({ json: props })));
    same(`no more is asked for than a context of ${context} holds`, await small.inputValue("#max_tokens"), String(Math.min(512, context)));
    await small.context().close();
  }
  let arrive;
  const late = await open(browser, server, {}, page => page.route("**/props", async route => { await new Promise(done => (arrive = done)); await route.fulfill({ json: props }); }), "#max_tokens");
  await set(late, { max_tokens: 20000 });
  while (!arrive) await late.waitForTimeout(10);
  arrive();
  await late.locator("#model option").first().waitFor({ state: "attached" });
  same("what was typed before the settings came stays", await late.inputValue("#max_tokens"), "20000");
  await late.context().close();
}

async function models(browser, server) {
  const page = await open(browser, server);
  const names = await page.locator("#model option").allTextContents();
  same("the models are the server's", names, (await server.get("/v1/models")).data.map(model => model.id));
  await page.context().close();
  const more = await open(browser, server, {}, page => page.route("**/v1/models", route => route.fulfill({ json: { data: [{ id: "small" }, { id: HARM }] } })));
  same("a model's name is text", await more.locator("#model option").allTextContents(), ["small", HARM]);
  await more.selectOption("#model", HARM);
  await send(more, "Line 7");
  await answered(more);
  same("the chosen one is asked for", more.bodies[0].model, HARM);
  same("the server's refusal is shown as it is", await more.textContent(".failed"), `model '${HARM}' is not served; available: small`);
  claim("and is no markup", (await more.evaluate(() => window.harm)) === undefined && (await more.locator("#talk img, #talk b").count()) === 0);
  await more.context().close();
}

async function markup(browser, server) {
  const page = await open(browser, server, {}, page => page.route("**/v1/chat/completions", route => route.fulfill(sse(piece(HARM.slice(0, 9)), piece(HARM.slice(9)), "[DONE]"))));
  await send(page, HARM);
  await answered(page);
  same("both are shown as they were written", await page.locator("article").allTextContents(), [HARM, HARM]);
  same("and make no elements", await page.locator("article *").count(), 0);
  same("nothing of it ran", await page.evaluate(() => window.harm ?? "nothing"), "nothing");
  same("nor was anything loaded", page.elsewhere, []);
  same("nor refused by the browser", page.errors, []);
  await page.context().close();
}

async function refusals(browser, server) {
  const page = await open(browser, server);
  await set(page, { max_tokens: 20000 });
  await send(page, "Line 7");
  await answered(page);
  same("a refused field is named", await page.textContent(".failed"), "max_tokens must be between 0 and 16384");
  same("to screen readers too", await page.getAttribute(".failed", "role"), "alert");
  await set(page, { max_tokens: 5 });
  same("one can try again", await page.textContent("#again"), "Try again");
  await page.click("#again");
  await page.locator("article.assistant").waitFor();
  await answered(page);
  same("then it is answered", await page.locator("article").evaluateAll(all => all.map(one => one.className)), ["user", "assistant"]);
  same("and nothing was said twice", page.bodies[1].messages, [{ role: "user", content: "Line 7" }]);
  const faults = {
    "The server cannot be reached.": route => route.abort(),
    "The answer broke off.": route => route.fulfill(sse(piece("half"))),
    "out of memory": route => route.fulfill(sse(piece("half"), { error: { message: "out of memory" } })),
    "The server answered with status 502.": route => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }),
    "The server is busy: queue is full Try again in 3 s.": route => route.fulfill({ status: 429, headers: { "Retry-After": "3" }, json: { error: { message: "queue is full" } } })
  };
  for (const [told, fault] of Object.entries(faults)) {
    await page.click("#clear");
    await page.route("**/v1/chat/completions", fault);
    await send(page, "Line 7");
    await answered(page);
    same("what went wrong is told", await page.locator(".failed").allTextContents(), [told]);
    await page.unroute("**/v1/chat/completions");
  }
  await page.context().close();
}

/** A real adapter, chosen in the page, writes what the server says that it writes. */
async function adapters(browser) {
  const server = await Server.start("small", ["--adapter", "drawn=" + path.join(process.env.SERVED, "adapter")]);
  const page = await open(browser, server);
  same("the page offers the adapter", await page.locator("#model option").allTextContents(), ["small", "drawn"]);
  await set(page, { temperature: 0, max_tokens: 12 });
  const texts = {};
  for (const name of ["drawn", "small"]) {
    await page.click("#clear");
    await page.selectOption("#model", name);
    await send(page, "Line 7: the cat");
    await answered(page);
    texts[name] = await lastAnswer(page);
    same(`${name} is asked for`, page.bodies.at(-1).model, name);
    same(`${name} answers`, texts[name], (await whole(server, page.bodies.at(-1))).text);
  }
  claim("with a text of its own", texts.drawn !== texts.small, texts);
  same("no errors in the console", page.errors, []);
  await page.context().close();
  await server.stop();
}

async function keys(browser) {
  const server = await Server.start("small", [], "right-key");
  const page = await open(browser, server, {}, undefined, "#key[aria-invalid]");
  same("a key is asked for", await page.textContent("#speed"), "This server asks for an API key. Enter it under Settings.");
  same("where one can enter it", await page.evaluate(() => document.activeElement.id), "key");
  await page.keyboard.type("wrong-key");
  await page.keyboard.press("Tab");
  claim("a wrong one is told", await soon(async () => (await page.textContent("#speed")).includes("does not know this API key"), 5), await page.textContent("#speed"));
  await send(page, "Line 7");
  await answered(page);
  same("also of a message", await page.textContent(".failed"), "The server does not know this API key. Enter another under Settings.");
  await page.fill("#key", "right-key");
  await page.locator("#key").blur();
  await page.locator("#model option").first().waitFor({ state: "attached" });
  await set(page, { max_tokens: 5 });
  await page.click("#again");
  await page.locator("article.assistant").waitFor();
  await answered(page);
  claim("with the right one it answers", (await lastAnswer(page)) !== "" && (await page.locator(".failed").count()) === 0);
  const kept = await page.evaluate(() => [location.href, Object.keys(localStorage).length, Object.keys(sessionStorage).length, document.cookie]);
  same("the key is kept nowhere", kept, [server.url + "/", 0, 0, ""]);
  await page.context().close();
  await server.stop();
}

/** A page of another origin with headers of its own, as OpenAI's client in a browser sends them: what the browser lets it read. */
async function origins(browser) {
  const elsewhere = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html>"));
  await new Promise(resolve => elsewhere.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${elsewhere.address().port}`;
  const page = await browser.newPage();
  await page.goto(origin);
  const read = (url, body, key) => page.evaluate(async ([url, body, key]) => {
    const headers = { "Content-Type": "application/json", "X-Stainless-Lang": "js", Authorization: "Bearer " + key };
    const answer = await fetch(url + "/v1/completions", { method: "POST", headers, body: JSON.stringify(body) }).catch(error => error.name);
    return typeof answer === "string" ? answer : [answer.status, answer.headers.get("X-Request-ID") !== null, (await answer.text()).slice(0, 8)];
  }, [url, body, key]);
  const body = { prompt: "Line 7", max_tokens: 3 };
  const closed = await Server.start("small", [], "right-key");
  same("a page of another origin reads nothing", await read(closed.url, body, "right-key"), "TypeError");
  await closed.stop();
  for (const listed of [origin, "*"]) {
    const server = await Server.start("small", ["--cors-origin", listed], "right-key");
    same(`${listed}: it reads answers`, await read(server.url, body, "right-key"), [200, true, '{"id":"c']);
    same(`${listed}: and streams`, await read(server.url, { ...body, stream: true }, "right-key"), [200, true, 'data: {"']);
    same(`${listed}: and errors`, await read(server.url, body, "wrong-key"), [401, true, '{"error"']);
    await server.stop();
  }
  await page.close();
  elsewhere.close();
}

async function screenshot(browser, file) {
  const server = await Server.start();
  const page = await open(browser, server, { viewport: { width: 900, height: 520 } });
  await set(page, { temperature: 0.7, seed: 2 });
  await page.click("summary");
  for (const text of ["Where is the cat?", "And what did it look at?"]) {
    await send(page, text);
    await answered(page);
  }
  await page.screenshot({ path: file });
  await page.context().close();
  await server.stop();
}

const browser = await launch();
try {
  if (process.argv[2] === "--screenshot") {
    await screenshot(browser, process.argv[3]);
  } else {
    const groups = { slow: [streams, stops], small: [regenerates, settings, models, markup, keyboard, phone, colours, refusals] };
    for (const [model, group] of Object.entries(groups)) {
      const server = await Server.start(model, ["--ignore-eos", "true"]);
      for (const claims of group) await claims(browser, server);
      await server.stop();
    }
    await adapters(browser);
    await keys(browser);
    await origins(browser);
  }
} finally {
  await browser.close();
}
finish();
