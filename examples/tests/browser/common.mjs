// What the tests in a browser have in common: a limit of time, people with a window each, and what they do.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const LIMIT = 55_000; // ms for all of it, unless a test says otherwise
const STEP = 10_000; // ms for one step

const [url, folder] = process.argv.slice(2);
const mistakes = [];
let step = "start";

function fail(what) {
  console.log(`failed: ${what}`);
  process.exit(1);
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

export async function until(holds, what, limit = STEP) {
  const end = Date.now() + limit;
  while (!(await holds())) {
    check(Date.now() < end, `not within ${limit / 1000} s: ${what}`);
    await sleep(50);
  }
}

export function now(what) {
  step = what;
}

// Runs a test with a browser; says how it ended, by a line and by the exit code.
export async function test(work, limit = LIMIT) {
  if (!folder) fail(`usage: node ${process.argv[1]} <url> <folder for screenshots> …`);
  setTimeout(() => fail(`not done within ${limit / 1000} s, at: ${step}`), limit);
  try {
    mkdirSync(folder, { recursive: true });
    const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    const program = process.env.CHROMIUM ?? usual.find(existsSync);
    check(program, "no Chromium at the usual places; name it in CHROMIUM");
    const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
    await work(browser);
    check(mistakes.length === 0, mistakes.join("; "));
    await browser.close();
  } catch (error) {
    fail(`${step}: ${error.message}`);
  }
  console.log("ok");
  process.exit(0);
}

export const state = (page) => page.evaluate(() => document.documentElement.dataset.state);
export const text = (page, id) => page.getByTestId(id).innerText();
export const shot = (page, name, options) => page.screenshot({ path: join(folder, `${name}.png`), ...options });
export const connected = ({ name, page }) => until(async () => (await state(page)) === "open", `${name} is connected`);

// A window whose mistakes are noted.
export async function watch(browser, name, options) {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(STEP);
  page.on("pageerror", (error) => mistakes.push(`${name}: ${error.message}`));
  // So that a test can cut the connection.
  await page.addInitScript(() => {
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
      constructor(...all) {
        super(...all);
        window.sockets.push(this);
        this.addEventListener("close", ({ code }) => (this.ended = code));
      }
    };
  });
  return page;
}

// A window of somebody's own.
export async function enter(browser, name, options) {
  const page = await watch(browser, name, options);
  const person = { name, page, chats: 0 };
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).pathname.startsWith("/chat/")) person.chats += 1;
  });
  await page.goto(url);
  await page.getByTestId("name").fill(name);
  await page.getByTestId("join").click();
  await connected(person);
  return person;
}

export async function say({ page }, words) {
  await page.getByTestId("message").fill(words);
  await page.getByTestId("message").press("Enter");
}

// All see it, once, and nothing waits to be sent.
export async function shown(people, words) {
  for (const { name, page } of people) {
    const lines = page.getByTestId("log").getByText(words, { exact: true });
    await until(async () => (await lines.count()) > 0, `${name} sees "${words}"`);
    await until(async () => (await page.locator("#pending li").count()) === 0, `nothing of ${name} is left to send`);
    check((await lines.count()) === 1, `${name} sees "${words}" ${await lines.count()} times`);
  }
}

export async function talk(from, to, words) {
  await say(from, words);
  await shown([from, to], words);
}

// All that somebody sees: who said what, in its order.
export const lines = ({ page }) =>
  page.locator("#lines .line").evaluateAll((all) => all.map((line) => `${line.author}: ${line.querySelector(".text").textContent}`));

// Says numbers, one after the other, until it is told to stop; gives how many there were.
export function chatter(person, mark) {
  let goesOn = true;
  let count = 0;
  const talking = (async () => {
    while (goesOn) {
      await say(person, `${mark} ${count}`);
      count += 1;
      await sleep(20);
    }
    return count;
  })();
  return async () => {
    goesOn = false;
    return talking;
  };
}

// Both have the same lines in the same order, each once, and all that was said in a series.
export async function agree(one, other, author, mark, count) {
  await shown([one, other], `${mark} ${count - 1}`);
  const [ours, theirs] = [await lines(one), await lines(other)];
  check(ours.join("\n") === theirs.join("\n"), `they see different things: ${JSON.stringify([ours, theirs])}`);
  const want = Array.from({ length: count }, (_, number) => `${author.name}: ${mark} ${number}`);
  const series = ours.filter((line) => line.includes(`: ${mark} `));
  check(series.join("\n") === want.join("\n"), `not all of ${mark}, or not once: ${JSON.stringify(series)}`);
}

export async function present(people, others) {
  for (const { name, page } of people) {
    const want = others.map((other) => other.name).sort().join();
    const seen = async () => (await page.locator("#people bdi").allTextContents()).sort().join();
    await until(async () => (await seen()) === want, `${name} sees that ${want} are there, and not ${await seen()}`);
  }
}

export async function fits({ name, page }) {
  const [needs, has] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  check(needs <= has, `${name}: the page is ${needs} px wide on a screen of ${has} px`);
}
