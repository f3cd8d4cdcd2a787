// A page over the public client library, in a real browser, beside the subscribers of `../centrifuge/recovery.mjs`: each publication has to arrive
// once, in order. Arguments: the URL, the codec, the channel, how many publications there are, and how often it recovers at least. TRANSPORT says
// what it connects by.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [url, codec, channel, count, least] = process.argv.slice(2);
const transport = process.env.TRANSPORT ?? "websocket";
const http = url.replace("ws:", "http:").replace("/connection/websocket", "");
const source = `export { Centrifuge } from "${codec === "json" ? "centrifuge" : "centrifuge/build/protobuf"}";`;
const bundle = await build({ stdin: { contents: source, resolveDir: "." }, bundle: true, format: "iife", globalName: "library", write: false });

function start({ codec, channel, transports }) {
  const client = new window.library.Centrifuge(transports, { minReconnectDelay: 20, maxReconnectDelay: 200, emulationEndpoint: "/emulation" });
  const sub = client.newSubscription(channel);
  Object.assign(window, { seen: [], recoveries: 0, lost: 0 });
  sub.on("publication", ({ offset, data }) => {
    const value = codec === "json" ? data : JSON.parse(new TextDecoder().decode(data));
    window.seen.push([offset, value.number]);
  });
  sub.on("subscribed", ({ wasRecovering, recovered }) => {
    window.recoveries += wasRecovering;
    window.lost += wasRecovering && !recovered;
  });
  sub.subscribe();
  client.connect();
  return sub.ready(30_000);
}

const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.CHROMIUM ?? usual.find(existsSync);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await (await browser.newContext()).newPage();
// Any answer of the server makes a page of its origin.
await page.goto(`${http}/health`);
await page.addScriptTag({ content: bundle.outputFiles[0].text });
const endpoint = transport === "websocket" ? url : `${http}/connection/${transport}`;
await page.evaluate(start, { codec, channel, transports: [{ transport, endpoint }] });
console.log("ready");
// The parent ends it if nothing comes any more.
await page.waitForFunction((count) => window.seen.length >= count, Number(count), { timeout: 0, polling: 100 });
await new Promise((wake) => setTimeout(wake, 300));
const { seen, recoveries, lost } = await page.evaluate(() => ({ seen: window.seen, recoveries: window.recoveries, lost: window.lost }));
assert.deepEqual(seen.map(([offset]) => offset), Array.from({ length: Number(count) }, (_, at) => at + 1));
assert.equal(new Set(seen.map(([, number]) => number)).size, Number(count));
assert.equal(lost, 0, "it could not recover");
assert.ok(recoveries >= Number(least), `${recoveries} recoveries`);
await browser.close();
console.log("done");
