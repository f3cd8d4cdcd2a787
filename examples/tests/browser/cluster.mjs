// Several nodes behind a balancer, in a real browser: the node of a window is killed, and another drains, while others write. The window
// comes to another node, and has all that was said, in order, once; the dashboard counts the nodes. Then Redis is killed.
//
//   npm ci && node cluster.mjs <url> <folder for screenshots>
//
// A line such as "kill node-2" or "terminate node-1" on stdout asks the caller to do that; a line "done" on stdin says that it is. They
// are to be started again after some 8 s, so that the page shows them as gone. Prints "ok" and exits with 0, or says what is wrong and
// exits with 1, within 150 s. CHROMIUM names the browser's program where it is not at one of the usual places.

import { createInterface } from "node:readline";
import { agree, chatter, check, connected, enter, fits, lines, now, present, say, shot, shown, sleep, state, talk, test, text, until, watch } from "./common.mjs";

const LIMIT = 145_000; // ms for all of it
const BACK = 40_000; // ms in which the chat goes on when Redis does
const GONE = 15_000; // ms in which a node that has ended is shown as gone, and in which it is there again

const [, , url] = process.argv;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(what) {
  console.log(what);
  const { value } = await answers.next();
  check(value?.trim() === "done", `"${what}" was not done`);
}

// On which node somebody is, as the page says.
const node = async ({ page }) => (await text(page, "status")).match(/^connected · (node-\d+)$/)?.[1];

// Loads the page again until its node is another than that of `other`.
async function apart(person, other) {
  for (let times = 0; (await node(person)) === (await node(other)); times += 1) {
    check(times < 30, `${person.name} never gets another node than ${other.name}`);
    await person.page.reload();
    await connected(person);
  }
}

// The code with which the connection to the chat that was there `before` has ended.
const mark = ({ page }) => page.evaluate(() => (window.last = window.sockets.findLast(({ url }) => url.includes("/chat/"))) && null);
const ended = ({ page }) => page.evaluate(() => window.last.ended);

// What the dashboard says of how many nodes there are.
const counted = (board) => board.locator("#count").innerText();

async function numbers(page) {
  const seen = {};
  for (const id of ["connections", "messages", "cpu", "memory"]) seen[id] = await text(page, id);
  const charts = page.locator(".gauge");
  seen.points = await charts.evaluateAll((all) => all.map((gauge) => Number(gauge.dataset.points ?? 0)));
  seen.lines = await charts.locator(".trace").evaluateAll((all) => all.map((path) => path.getAttribute("d")));
  return seen;
}

async function moves(page) {
  const values = new Set();
  let first;
  await until(async () => {
    const seen = await numbers(page);
    if (!/^\d/.test(seen.connections) || !/^\d/.test(seen.memory)) return false;
    first ??= seen;
    values.add([seen.connections, seen.messages, seen.cpu, seen.memory].join());
    const drawn = seen.lines.every((line, n) => line && line !== first.lines[n]);
    return drawn && values.size >= 2 && seen.points.every((points) => points >= 5);
  }, "each of the four charts draws five points, and a number changes", 15_000);
}

test(async (browser) => {
  const desktop = { viewport: { width: 1280, height: 800 } };

  now("two windows on two nodes see each other");
  const ada = await enter(browser, "ada", desktop);
  const bob = await enter(browser, "bob", { ...desktop, colorScheme: "dark" });
  await apart(bob, ada);
  await present([ada, bob], [ada, bob]);
  await talk(ada, bob, "Good morning");
  await talk(bob, ada, "And to you");

  now("both see all in one order");
  const stops = [chatter(ada, "a"), chatter(bob, "b")];
  await sleep(1_000);
  const [a, b] = [await stops[0](), await stops[1]()];
  await agree(ada, bob, ada, "a", a);
  await agree(ada, bob, bob, "b", b);

  now("the numbers of a node are drawn");
  await moves(ada.page);

  now("the dashboard shows three nodes and all together");
  const board = await watch(browser, "dashboard", { viewport: { width: 1280, height: 900 } });
  await board.goto(new URL("/dashboard", url).href);
  await until(async () => (await counted(board)) === "3 nodes", "three nodes are there", GONE);
  const heads = await board.locator("#nodes thead th").allInnerTexts();
  check(heads.join() === ",Total,node-1,node-2,node-3", `the columns are ${heads}`);
  await shot(board, "dashboard");

  // The node of ada ends while bob writes, and ada too.
  async function ends(how, code) {
    const before = await node(ada);
    await apart(bob, ada);
    const stop = chatter(bob, how);
    await mark(ada);
    await sleep(300);
    await ask(`${how} ${before}`);
    await until(async () => (await ended(ada)) !== undefined, "ada's connection ends");
    check((await ended(ada)) === code, `ada's connection ends with ${await ended(ada)}, not ${code}`);
    await say(ada, `written after ${how}`);
    await until(async () => (await state(ada.page)) === "open" && (await node(ada)) !== before, "ada is on another node");
    await sleep(500);
    await agree(bob, ada, bob, how, await stop());
    await shown([ada, bob], `written after ${how}`);
    const notes = [...(await bob.page.locator("#lines .note").allTextContents()), ...(await ada.page.locator("#lines .note").allTextContents())];
    check(notes.every((note) => / (joined|left)$/.test(note)), `somebody misses something: ${notes}`);
    check(!notes.some((note) => note.endsWith("ada left")), "who comes back was never away");
    await present([ada, bob], [ada, bob]);
    await until(async () => (await counted(board)) === "2 nodes, 1 gone", `${before} is gone`, GONE);
    if (how === "kill") await shot(board, "gone");
    await until(async () => (await counted(board)) === "3 nodes", `${before} is there again`, GONE);
  }

  now("the node of a window is killed while the other writes");
  await ends("kill", 1006);
  now("the node of a window drains while the other writes");
  await ends("terminate", 1012);

  now("Redis is killed, and starts again with all that it had");
  await ask("kill redis");
  await say(ada, "written without Redis");
  await until(async () => (await state(ada.page)) !== "open", "ada is not connected: nobody could be told");
  await say(ada, "and this too");
  await until(async () => {
    await ada.page.getByRole("button", { name: "Now", exact: true }).click({ timeout: 200 }).catch(() => {});
    return (await state(ada.page)) === "open";
  }, "ada is back", BACK);
  await connected(bob);
  for (const words of ["written without Redis", "and this too"]) await shown([ada, bob], words);
  check((await lines(ada)).join("\n") === (await lines(bob)).join("\n"), "they see different things");
  check((await lines(ada)).includes("ada: Good morning"), "what was said before is still there");

  now("it looks right");
  await talk(ada, bob, "Still there?");
  await talk(bob, ada, "Of course.");
  await shot(ada.page, "desktop");
  await shot(bob.page, "dark");
  await bob.page.setViewportSize({ width: 360, height: 740 });
  await fits(bob);
  await shot(bob.page, "phone");
  await board.setViewportSize({ width: 390, height: 844 });
  await fits({ name: "dashboard", page: board });
  await shot(board, "dashboard-phone");
}, LIMIT);
