// How the chat page is used: by keyboard alone, on a phone, in light and dark.
import { answered, open, send, set } from "./page.mjs";
import { claim, same, soon } from "./served.mjs";

/** Walks by Tab from the top until it comes round: the ids on the way, and those without a visible focus. */
async function walk(page) {
  const ids = [], unseen = [];
  await page.evaluate(() => { document.activeElement.blur(); getSelection().removeAllRanges(); });
  await page.mouse.click(2, 2);
  for (let i = 0; i < 40; ++i) {
    await page.keyboard.press("Tab");
    const [id, seen] = await page.evaluate(() => {
      const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
      return [element === document.body ? "" : element.id || element.localName,
              style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.height > 0 && box.top >= 0 && box.bottom <= innerHeight];
    });
    if (id === "" || ids.includes(id)) break;
    ids.push(id);
    if (!seen) unseen.push(id);
  }
  return { ids, unseen };
}

export async function keyboard(browser, server) {
  const page = await open(browser, server);
  same("one can write at once", await page.evaluate(() => document.activeElement.id), "text");
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  same("Shift+Enter breaks the line", [await page.inputValue("#text"), page.bodies.length], ["one\ntwo", 0]);
  claim("and the field grows", (await page.locator("#text").evaluate(text => text.scrollHeight <= text.clientHeight)) === true);
  await page.keyboard.press("Enter");
  await answered(page);
  same("Enter sends", page.bodies[0].messages, [{ role: "user", content: "one\ntwo" }]);
  same("and empties the field", await page.inputValue("#text"), "");
  same("which keeps the focus", await page.evaluate(() => document.activeElement.id), "text");
  await page.keyboard.press("Enter");
  same("nothing is sent for nothing", page.bodies.length, 1);
  const closed = await walk(page);
  same("Tab goes everywhere", closed, { ids: ["model", "clear", "talk", "again", "text", "send", "summary"], unseen: [] });
  await page.keyboard.press("Shift+Tab");
  await page.focus("summary");
  await page.keyboard.press("Enter");
  const opened = await walk(page);
  same("and through the settings", opened, { ids: [...closed.ids, "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "seed", "key", "system"], unseen: [] });
  await page.focus("#again");
  await page.keyboard.press("Enter");
  await soon(() => page.bodies.length === 2);
  await answered(page);
  same("a button is pressed by Enter", page.bodies[1], page.bodies[0]);
  const unnamed = await page.locator("button, input, select, textarea").evaluateAll(all =>
    all.filter(one => !(one.getAttribute("aria-label") || one.labels?.[0]?.textContent.trim() || one.textContent.trim())).map(one => one.id));
  same("everything has a name", unnamed, []);
  await page.context().close();
}

export async function phone(browser, server) {
  const page = await open(browser, server, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  const measured = () => page.evaluate(() => {
    const box = document.getElementById("text").getBoundingClientRect(), talk = document.getElementById("talk");
    return { wide: document.documentElement.scrollWidth, talk: talk.scrollWidth - talk.clientWidth, page: document.documentElement.scrollHeight,
             inside: box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight && box.height >= 40 };
  });
  const fits = { wide: 390, talk: 0, page: 844, inside: true };
  same("the page fits a phone", await measured(), fits);
  await set(page, { max_tokens: 300 });
  same("with its settings open too", await measured(), fits);
  await page.tap("summary");
  await page.fill("#text", "wide".repeat(200));
  same("and with a long word being written", await measured(), fits);
  await page.tap("#send");
  await answered(page);
  same("and with a long conversation", await measured(), fits);
  const small = await page.locator("button:visible, select:visible, textarea").evaluateAll(all => all.filter(one => one.getBoundingClientRect().height < 32).map(one => one.id));
  same("fingers find the buttons", small, []);
  const text = await page.locator("#text, #key, #temperature").evaluateAll(all => all.filter(one => parseFloat(getComputedStyle(one).fontSize) < 16).map(one => one.id));
  same("writing does not zoom the page", text, []);
  same("no errors in the console", page.errors, []);
  await page.context().close();
}

export async function colours(browser, server) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(browser, server, { colorScheme });
    await set(page, { max_tokens: 20000 });
    await send(page, "Line 7");
    await answered(page);
    const seen = await page.evaluate(() => {
      const numbers = colour => colour.match(/[\d.]+/g).map(Number);
      const light = colour => numbers(colour).slice(0, 3).map(x => x / 255).map(x => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)).reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = element => { for (; element; element = element.parentElement) { const colour = getComputedStyle(element).backgroundColor; if (numbers(colour)[3] !== 0) return colour; } };
      const contrast = element => { const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
      const poor = [...document.querySelectorAll("h1, button, select, textarea, article, label, summary, input, #speed, #keys")]
        .filter(one => one.offsetParent && contrast(one) < 4.5).map(one => [one.id || one.localName, contrast(one)]);
      return { page: light(getComputedStyle(document.body).backgroundColor), poor };
    });
    claim(`${colorScheme}: the page is`, colorScheme === "dark" ? seen.page < 0.05 : seen.page > 0.8, seen);
    same(`${colorScheme}: all text has a contrast of 4.5 at least`, seen.poor, []);
    await page.context().close();
  }
}
