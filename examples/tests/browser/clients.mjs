// The public client library in a real browser, over each of its transports, against `realtime --insecure`: two pages talk, one is cut off and
// recovers, and a page whose network blocks WebSockets falls back.
//
//   npm ci && node clients.mjs <url> <folder for screenshots>
//
// Prints "ok" and exits with 0, or says what is wrong and exits with 1.

import { build } from "esbuild";
import { check, now, test, until, watch } from "./common.mjs";

const url = process.argv[2].replace("ws:", "http:");
const source = `export { Centrifuge as json } from "centrifuge"; export { Centrifuge as protobuf } from "centrifuge/build/protobuf";`;
const bundle = await build({ stdin: { contents: source, resolveDir: "." }, bundle: true, format: "iife", globalName: "clients", write: false });

// The page of somebody: it connects, subscribes and keeps what it sees.
function start({ codec, transports, channel }) {
  const pack = (value) => (codec === "json" ? value : new TextEncoder().encode(JSON.stringify(value)));
  const unpack = (data) => (codec === "json" ? data : JSON.parse(new TextDecoder().decode(data)));
  const client = new window.clients[codec](transports, { minReconnectDelay: 50, maxReconnectDelay: 300, emulationEndpoint: "/emulation" });
  const sub = client.newSubscription(channel, { joinLeave: true, delta: "fossil" });
  Object.assign(window, { client, sub, seen: [], joined: [], recovered: [], by: [] });
  client.on("connected", ({ transport }) => window.by.push(transport));
  sub.on("publication", ({ data }) => window.seen.push(unpack(data)));
  sub.on("join", ({ info }) => window.joined.push(info.client));
  sub.on("subscribed", (context) => context.wasRecovering && window.recovered.push(context.recovered));
  window.say = (value) => sub.publish(pack(value));
  window.ask = async (value) => unpack((await client.rpc("echo", pack(value))).data);
  sub.subscribe();
  client.connect();
  return sub.ready(10_000);
}

async function api(method, body) {
  const answer = await fetch(`${url}/api/${method}`, { method: "POST", headers: { "X-API-Key": "test-api-key" }, body: JSON.stringify(body) });
  return (await answer.json()).result;
}

async function enter(browser, name, options) {
  const page = await watch(browser, name);
  // Any answer of the server makes a page of its origin.
  await page.goto(`${url}/`);
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  await page.evaluate(start, options);
  return page;
}

const seen = (page) => page.evaluate(() => window.seen.map(({ number }) => number));
const text = "the same in all, ".repeat(9);

test(async (browser) => {
  const socket = { transport: "websocket", endpoint: `${url.replace("http:", "ws:")}/connection/websocket` };
  const stream = { transport: "http_stream", endpoint: `${url}/connection/http_stream` };
  const events = { transport: "sse", endpoint: `${url}/connection/sse` };
  // Nothing there speaks WebSocket.
  const blocked = { transport: "websocket", endpoint: `${url.replace("http:", "ws:")}/api/info` };
  for (const [codec, transports, by] of [
    ["json", [socket], "websocket"],
    ["protobuf", [socket], "websocket"],
    ["json", [stream], "http_stream"],
    ["protobuf", [blocked, stream], "http_stream"],
    ["json", [events], "sse"],
    ["json", [blocked, events], "sse"],
  ]) {
    const names = transports.map(({ transport }) => transport).join();
    const channel = `recovery:${codec}-${names}-${process.pid}`;
    now(`two pages over ${names} in ${codec}`);
    const ada = await enter(browser, "ada", { codec, transports, channel });
    const bob = await enter(browser, "bob", { codec: "json", transports: [socket], channel });
    check((await ada.evaluate(() => window.by.join())) === by, `ada is connected by ${by}`);
    await until(() => ada.evaluate(() => window.joined.length >= 2), "ada sees bob come");
    await ada.evaluate((value) => window.say(value), { number: 0, text });
    await bob.evaluate((value) => window.say(value), { number: 1, text });
    for (const page of [ada, bob]) await until(async () => (await seen(page)).join() === "0,1", "both see both");
    check((await ada.evaluate(() => window.ask({ a: "ä" }))).a === "ä", "a method answers");
    const count = await ada.evaluate(async () => (await window.sub.presenceStats()).numClients);
    check(count === 2, `${count} are present`);

    now(`a page over ${names} in ${codec} is offline for a while`);
    await ada.context().setOffline(true);
    await ada.evaluate(() => window.client._transport?.close());
    for (let number = 2; number < 40; number += 1) await api("publish", { channel, data: { number, text } });
    await ada.context().setOffline(false);
    const want = Array.from({ length: 40 }, (_, number) => number).join();
    for (const page of [ada, bob]) await until(async () => (await seen(page)).join() === want, "all of it, once, in order", 30_000);
    check((await ada.evaluate(() => window.recovered.join())) === "true", "it was recovered");
    await Promise.all([ada, bob].map((page) => page.context().close()));
  }
}, 170_000);
