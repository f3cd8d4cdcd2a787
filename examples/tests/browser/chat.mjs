// The chat in a real browser: two windows, one of which reloads and loses its connection while the other goes on.
//
//   npm ci && node chat.mjs <url> <folder for screenshots>
//
// Prints "ok" and exits with 0, or says what is wrong and exits with 1, within 60 s. CHROMIUM names the browser's program where it
// is not at one of the usual places.

import { agree, chatter, check, connected, enter, fits, lines, now, present, say, shot, shown, sleep, state, talk, test, until } from "./common.mjs";

test(async (browser) => {
  now("two windows see each other");
  const ada = await enter(browser, "ada", { viewport: { width: 1280, height: 800 } });
  const bob = await enter(browser, "bob", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  await present([ada, bob], [ada, bob]);

  now("both see all in one order");
  const stops = [chatter(ada, "a"), chatter(bob, "b")];
  await sleep(1_000);
  const [a, b] = [await stops[0](), await stops[1]()];
  await agree(ada, bob, ada, "a", a);
  await agree(ada, bob, bob, "b", b);

  now("one reloads while the other goes on");
  const stop = chatter(ada, "reload");
  for (let times = 0; times < 3; times += 1) {
    await sleep(300);
    await bob.page.reload();
    await connected(bob);
  }
  await agree(ada, bob, ada, "reload", await stop());
  const notes = await ada.page.locator("#lines .note").allTextContents();
  check(!notes.some((note) => note.includes("bob left")), "who reloads was never away");

  now("one loses the connection while the other goes on");
  const stopAgain = chatter(ada, "cut");
  for (let times = 0; times < 3; times += 1) {
    await sleep(300);
    // The page may be back before it is looked at again: the socket itself tells that it was closed.
    const cut = await bob.page.evaluate(() => (window.sockets.at(-1).close(), window.sockets.length - 1));
    const closed = () => bob.page.evaluate((at) => window.sockets[at].readyState === WebSocket.CLOSED, cut);
    await until(closed, "bob's connection is gone");
    await say(bob, `from bob ${times}`);
    await bob.page.getByRole("button", { name: "Now", exact: true }).click({ timeout: 200 }).catch(() => {});
    await connected(bob);
  }
  await agree(ada, bob, ada, "cut", await stopAgain());
  for (let times = 0; times < 3; times += 1) await shown([ada, bob], `from bob ${times}`);

  now("what was written without a connection outlives a reload");
  await bob.page.context().setOffline(true);
  await bob.page.evaluate(() => window.sockets.at(-1).close());
  await until(async () => (await state(bob.page)) === "waiting", "bob waits");
  await say(bob, "written offline");
  await say(ada, "said meanwhile");
  await bob.page.context().setOffline(false);
  await bob.page.reload();
  await connected(bob);
  await shown([ada, bob], "written offline");
  await shown([ada, bob], "said meanwhile");

  now("what is too old is missing, and that is said");
  await bob.page.context().setOffline(true);
  await bob.page.evaluate(() => window.sockets.at(-1).close());
  // More than the server keeps.
  for (let number = 0; number < 110; number += 1) await say(ada, `many ${number}`);
  await shown([ada], "many 109");
  await bob.page.context().setOffline(false);
  await connected(bob);
  await shown([bob], "many 109");
  const kept = (await lines(bob)).filter((line) => line.includes(": many "));
  check(kept.length === 100, `${kept.length} of the last 100 lines are there`);
  await bob.page.getByText("Older messages are not kept.").waitFor();
  // Who comes for the first time has them, too.
  const eve = await enter(browser, "eve", { viewport: { width: 1280, height: 800 } });
  const hers = await lines(eve);
  check(hers.length === 100 && hers.at(-1) === "ada: many 109", `a newcomer has ${hers.length} lines`);

  now("who closes the window is gone after a while");
  await present([ada, bob, eve], [ada, bob, eve]);
  const closed = Date.now();
  await eve.page.context().close();
  await present([ada, bob], [ada, bob]);
  check(Date.now() - closed > 2_000, "there is a grace for those who come back");
  await ada.page.getByText("eve left").waitFor();

  now("it looks right");
  await talk(ada, bob, `<b>plain</b> & <img src=x onerror="document.title='broken'">`);
  await talk(bob, ada, "long".repeat(60));
  check((await ada.page.locator("#log img, #log .text *").count()) === 0, "markup of a message came alive");
  await shot(ada.page, "desktop");
  await shot(bob.page, "dark");
  await bob.page.setViewportSize({ width: 360, height: 740 });
  await fits(bob);
  await shot(bob.page, "phone");
});
