// The demo's page in a real browser: a chat with the public client library. Two people talk, one reloads, a name changes, the server
// restarts, and nothing is missed or doubled.
//
//   npm ci && node demo.mjs <url> <folder for screenshots>
//
// The line "ready to restart" on stdout asks the caller to restart the server; a line "restarted" on stdin says that it is done. Prints "ok"
// and exits with 0, or says what is wrong and exits with 1.

import { createInterface } from "node:readline";
import { check, fits, now, shot, state, test, until, watch } from "./common.mjs";

const url = process.argv[2];
const mark = Date.now().toString(36);
const status = ({ page }) => page.locator("#status").innerText();
const ready = (one) => until(async () => (await status(one)) === "connected", `${one.name} is connected`, 20_000);
const lines = ({ page }) => page.locator("#lines li").allTextContents();
const people = ({ page }) => page.locator("#people li").allTextContents();

async function rename(person, name) {
  person.name = name;
  await person.page.locator("#name").fill(name);
  await person.page.locator("#name").press("Tab");
}

async function enter(browser, name, options) {
  const person = { name, page: await watch(browser, name, options) };
  const answer = await person.page.goto(`${url}/#r-${mark}`);
  const absent = (await answer.text()).includes("library.sh");
  check(!absent, "the library is not there: run examples/tests/browser/setup.sh");
  await ready(person);
  await rename(person, name);
  await ready(person);
  return person;
}

async function say({ page }, words) {
  await page.locator("#message").fill(words);
  await page.locator("#message").press("Enter");
}

async function agree(all, want) {
  for (const one of all) {
    await until(async () => (await lines(one)).join("\n") === want.join("\n"), `${one.name} sees ${want.length} lines`, 20_000).catch(async (error) => {
      throw new Error(`${error.message}; but ${JSON.stringify(await lines(one))}`);
    });
  }
}

async function together(all) {
  const want = all.map(({ name }) => name).sort().join();
  for (const one of all) await until(async () => (await people(one)).join() === want, `${one.name} sees ${want}`, 20_000);
}

test(async (browser) => {
  now("two people join");
  const ada = await enter(browser, "ada", { viewport: { width: 1280, height: 800 } });
  const bob = await enter(browser, "bob", { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  const both = [ada, bob];
  await together(both);

  now("the dashboard is a click away");
  await ada.page.getByRole("link", { name: "Dashboard" }).click();
  await until(async () => (await state(ada.page)) === "open", "the dashboard is live");
  await ada.page.goBack();
  await ready(ada);
  await together(both);

  now("they talk");
  const said = [];
  const talk = async (one, words) => {
    await say(one, words);
    said.push(one.name + words);
    await agree(both, said);
  };
  await talk(ada, "Good morning");
  await talk(bob, "<b>plain</b> & <img src=x onerror=\"document.title='broken'\">");
  check((await ada.page.locator("#lines img, #lines b b").count()) === 0, "markup of a message came alive");
  await say(ada, "   ");
  await until(async () => /characters/.test(await ada.page.locator("#note").innerText()), "ada is told why nothing was sent");

  now("one reloads");
  await bob.page.reload();
  await ready(bob);
  await together(both);
  await agree(both, said);
  await talk(bob, "I am back");

  now("one is cut off meanwhile");
  await bob.page.evaluate(() => window.sockets.at(-1).close());
  await talk(ada, "Did you miss this?");

  now("another name");
  await rename(bob, "robert");
  await together(both);
  await talk(bob, "It is me");
  await shot(ada.page, "desktop");
  await shot(bob.page, "dark");
  await fits(bob);

  now("the server restarts");
  console.log("ready to restart");
  for await (const line of createInterface({ input: process.stdin })) if (line.trim() === "restarted") break;
  // Its history began anew, and the pages learn that.
  await together(both);
  said.length = 0;
  await agree(both, said);
  await talk(ada, "Still there?");
  await talk(bob, "Here I am");
  await shot(bob.page, "phone");
});
