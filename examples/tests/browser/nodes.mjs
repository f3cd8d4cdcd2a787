// The dashboard of the nodes in a real browser, against any server of the demo: its numbers come and move, other nodes stand beside it and
// in the sums, one that falls silent is gone, and the page comes back by itself; on a desktop and a phone, light and dark.
//
//   npm ci && node nodes.mjs <url> <folder for screenshots>
//
// The other nodes are made up on the way: what the server reports, under other names. Prints "ok" and exits with 0, or says what is
// wrong and exits with 1, within 60 s. CHROMIUM names the browser's program where it is not at one of the usual places.

import { check, fits, now, shot, sleep, state, test, text, until, watch } from "./common.mjs";

const [, , url] = process.argv;

// How others differ from the node that is there.
const OTHERS = {
  "node-b": (report) => ({ ...report, connections: report.connections + 40, waiting_bytes: 1536 }),
  "node-c": (report) => ({ ...report, backplane: "down", status: "degraded", closed: { ...report.closed, 1013: 7 } }),
};

// A window in which the nodes of `alive` are there too.
async function open(browser, name, options, alive) {
  const page = await watch(browser, name, options);
  await page.addInitScript(() => {
    window.shifted = 0;
    new PerformanceObserver((list) => {
      for (const { value } of list.getEntries()) window.shifted += value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.routeWebSocket(/\/dashboard\/nodes$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      const report = JSON.parse(message);
      socket.send(message);
      for (const other of alive) socket.send(JSON.stringify({ ...OTHERS[other](report), node: other }));
    });
  });
  await page.goto(new URL("/dashboard", url).href);
  await until(async () => (await state(page)) === "open", `${name} is live`);
  return { name, page };
}

// The cells of a row: its label, the sum, and one for each node.
const row = (page, table, label) =>
  page.locator(`#${table} tr`).filter({ has: page.getByRole("rowheader", { name: label, exact: true }) }).locator("th, td").allInnerTexts();

const number = (cell) => Number(cell.replace(/[^\d.]/g, ""));

// In the page: somebody who makes the numbers move, until `window.stop()`.
function talk() {
  const socket = new WebSocket(new URL("/echo", location.href).href.replace(/^http/, "ws"));
  const timer = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send("Hello"), 20);
  window.stop = () => {
    clearInterval(timer);
    socket.close(4001, "");
  };
}

test(async (browser) => {
  const desktop = { viewport: { width: 1280, height: 900 } };
  const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

  now("one node alone");
  const alone = await open(browser, "alone", desktop, []);
  await alone.page.evaluate(talk);
  await until(async () => number(await text(alone.page, "received")) > 5, "messages are counted");
  const values = new Set();
  await until(async () => {
    values.add(await text(alone.page, "sent"));
    const points = await alone.page.locator(".tile").evaluateAll((all) => all.map((tile) => Number(tile.dataset.points)));
    return values.size >= 3 && points.every((count) => count >= 3);
  }, "the numbers move, and the charts with them", 15_000);
  const lines = await alone.page.locator(".tile .trace").evaluateAll((all) => all.map((path) => path.getAttribute("d")));
  check(lines.every((line) => /^M[\d.]+ [\d.]+L/.test(line)), `a chart has no line: ${lines}`);
  check((await row(alone.page, "connections", "In")).length === 3, "there is one node beside the sum");
  check((await row(alone.page, "nodes", "Backplane"))[1] === "alone", "the backplane is named");
  const before = number((await row(alone.page, "codes", "4xxx applications"))[1]);
  await alone.page.evaluate(() => window.stop());
  await until(async () => number((await row(alone.page, "codes", "4xxx applications"))[1]) === before + 1, "the close code is counted");

  now("three nodes, each and together");
  const all = [
    await open(browser, "desktop", desktop, Object.keys(OTHERS)),
    await open(browser, "dark", { ...desktop, colorScheme: "dark" }, Object.keys(OTHERS)),
    await open(browser, "phone", phone, Object.keys(OTHERS)),
    await open(browser, "phone-dark", { ...phone, colorScheme: "dark" }, Object.keys(OTHERS)),
  ];
  for (const { name, page } of all) {
    await until(async () => (await row(page, "connections", "In")).length === 5, `${name}: three nodes are there`);
    await until(async () => {
      const [, sum, ...each] = (await row(page, "connections", "In")).map(number);
      return sum === each.reduce((a, b) => a + b, 0) && sum >= 40;
    }, `${name}: the sum is that of the nodes`);
    check((await row(page, "nodes", "Backplane")).join().endsWith("down,alone,alone,down"), `${name}: one backplane is down`);
    check(number((await row(page, "codes", "1013 try again"))[1]) >= 7, `${name}: close codes are summed`);
  }

  now("it fits, and does not move");
  await sleep(2_500);
  for (const person of all) {
    await fits(person);
    const wide = await person.page.locator(".panel").evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth).length);
    check(wide === 0, `${person.name}: ${wide} tables are cut off`);
    const cut = await person.page.locator("td, th, output, figcaption").evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent));
    check(cut.length === 0, `${person.name}: cut off: ${cut}`);
    const shifted = await person.page.evaluate(() => window.shifted);
    check(shifted < 0.05, `${person.name}: the layout moved by ${shifted}`);
    const small = await person.page.locator("td").evaluateAll((all) => Math.min(...all.map((one) => parseFloat(getComputedStyle(one).fontSize))));
    check(small >= 12, `${person.name}: numbers are ${small} px high`);
    await shot(person.page, person.name, { fullPage: true });
  }
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((await ground(all[0].page)) !== (await ground(all[1].page)), "dark looks like light");

  now("a node falls silent");
  const alive = ["node-b"];
  const silent = await open(browser, "silent", desktop, alive);
  await until(async () => (await row(silent.page, "nodes", "State")).length === 4, "two nodes are there");
  alive.pop();
  await until(async () => (await row(silent.page, "nodes", "State"))[3] === "gone", "it is gone", 9_000);
  check((await row(silent.page, "nodes", "State"))[1] === "up", "the sum is of those who are there");
  check(/1 node, 1 gone/.test(await silent.page.locator("#count").innerText()), "who is gone is counted");

  now("the connection is cut");
  await alone.page.evaluate(() => window.sockets[0].close());
  await until(async () => (await state(alone.page)) !== "open", "it says that it is not connected");
  await until(async () => (await state(alone.page)) === "open", "it comes back");
});
