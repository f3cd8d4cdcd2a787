// The demo page in a real browser, against any server of it: two people talk, the numbers move, the server restarts, both go on.
//
//   npm ci && node demo.mjs <url> <folder for screenshots> [command that restarts the server]
//
// Without a command the line "ready to restart" on stdout asks the caller to restart the server, and a line "restarted" on stdin
// says that it is done; the command is run instead of waiting for that line. Prints "ok" and exits with 0, or says what is
// wrong and exits with 1, within 60 s. CHROMIUM names the browser's program where it is not at one of the usual places.

import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { check, enter, fits, now, present, say, shot, shown, sleep, state, talk, test, text, until } from "./common.mjs";

const BACK = 35_000; // ms to come back: the page waits up to 30 s between two tries

const [, , , , restart] = process.argv;

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

async function restarted() {
  console.log("ready to restart");
  if (restart) return void execFileSync(resolve(restart), { stdio: ["ignore", "ignore", "inherit"], timeout: 30_000 });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === "restarted") return;
  }
  throw new Error('stdin ended without a line "restarted"');
}

test(async (browser) => {
  const mark = Date.now().toString(36); // the server may remember earlier runs

  now("two people join");
  const ada = await enter(browser, `ada-${mark}`, { viewport: { width: 1280, height: 800 } });
  const bob = await enter(browser, `bob-${mark}`, { viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  await present([ada, bob], [ada, bob]);
  for (const { name, page } of [ada, bob]) {
    check(/connected/.test(await text(page, "status")), `${name}: the status says "${await text(page, "status")}"`);
  }

  now("they talk");
  await talk(ada, bob, `Good morning ${mark}`);
  await talk(bob, ada, `And to you ${mark}`);
  await talk(ada, bob, `<b>plain</b> & <img src=x onerror="document.title='broken'"> ${mark}`);
  await talk(bob, ada, `${"long".repeat(60)}${mark}`);
  check((await ada.page.locator("#log img, #log .text *").count()) === 0, "markup of a message came alive");

  now("the dashboard draws");
  await moves(ada.page);
  await shot(ada.page, "desktop");
  await shot(bob.page, "dark");

  now("360 px");
  await bob.page.setViewportSize({ width: 360, height: 740 });
  await fits(bob);

  now("the server restarts");
  for (const person of [ada, bob]) person.before = person.chats;
  const offline = `Written meanwhile ${mark}`;
  let written = false;
  let asked = true;
  const meanwhile = (async () => {
    while (asked && !written) {
      if (["waiting", "connecting"].includes(await state(ada.page))) {
        await say(ada, offline);
        written = true;
      }
      await sleep(20);
    }
  })();
  await restarted();
  asked = false;
  await meanwhile;

  now("both come back");
  for (const { name, page, before } of [ada, bob]) {
    const person = page === ada.page ? ada : bob;
    await until(async () => {
      // One asks for it with the button, the other is patient.
      if (person === ada) await page.getByRole("button", { name: "Now", exact: true }).click({ timeout: 200 }).catch(() => {});
      return person.chats > before && (await state(page)) === "open";
    }, `${name} is connected again`, BACK);
  }
  // A restart may be too quick for anything to be written meanwhile. Bob need not have been there yet.
  if (written) await shown([ada], offline);
  await talk(ada, bob, `Still there ${mark}?`);
  await talk(bob, ada, `Here I am ${mark}`);
  for (const { name, page } of [ada, bob]) {
    const twice = await page.locator("#lines .text").evaluateAll((lines, mark) => {
      const mine = lines.map((line) => line.textContent).filter((line) => line.includes(mark));
      return mine.length - new Set(mine).size;
    }, mark);
    check(twice === 0, `${name} sees ${twice} lines twice`);
  }

  await fits(bob);
  await shot(bob.page, "phone");
});
