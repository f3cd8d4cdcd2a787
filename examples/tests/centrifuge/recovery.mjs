// Clients of one server while another publishes: the harness restarts the first server, and Redis, in between. Each number has to arrive
// once, in order. Arguments: the URL of the clients' server, the codec, the URL of the publisher's server, how many to publish, and how many
// clients there are at least behind the first URL (3), of which so many recover at least (3). WATCHERS names more subscribers, each a process of
// its own: `python`, `browser`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { client, codec, done, next, unpack, url } from './common.mjs';

const [other, count, clientCount, leastRecoveries] = [process.argv[4], ...[5, 6, 7].map((at) => Number(process.argv[at] ?? 3))];
const channel = `recovery:${process.pid}`;
const address = `${other.replace('ws:', 'http:')}/api/publish`;

// Clients of the first server, and one of the other, which stays.
const clients = [...Array(clientCount).fill(url), `${other}/connection/websocket`].map((at, index) => {
  return { at, index, seen: [] };
});
let recoveries = 0;
const text = 'the same in all publications, '.repeat(9);
for (const one of clients) {
  one.client = client({}, codec, one.at);
  // One in three takes differences.
  one.sub = one.client.newSubscription(channel, one.index % 3 === 0 ? { delta: 'fossil' } : {});
  one.sub.on('publication', (context) => one.seen.push([context.offset, unpack(context.data).number]));
  one.sub.on('subscribed', (context) => {
    if (context.wasRecovering) {
      assert.equal(context.recovered, true, `client ${one.index} could not recover`);
      recoveries += 1;
    }
  });
  const ready = next(one.sub, 'subscribed');
  one.sub.subscribe();
  one.client.connect();
  await ready;
}

const watchers = {
  python: ['.', '.venv/bin/python', 'watch.py'],
  browser: ['../browser', 'node', 'watch.mjs'],
};

/// Starts another subscriber, which has to recover if the server goes; returns what it says.
async function watch(name) {
  const [cwd, program, script] = watchers[name];
  // Behind a balancer, its server may be the one that stays.
  const least = url.startsWith(other) ? 0 : 1;
  const arguments_ = [script, url, codec, channel, count, least];
  const child = spawn(program, arguments_, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => child.kill());
  const said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await said.next()).value, 'ready', name);
  return { name, said, ended: once(child, 'exit') };
}

const watching = await Promise.all((process.env.WATCHERS ?? '').split(' ').filter(Boolean).map(watch));

/// Publishes a number once, however often that takes: the key tells a repetition.
async function publish(number) {
  const body = JSON.stringify({ channel, data: { number, text }, idempotency_key: `${channel}-${number}` });
  const headers = { 'X-API-Key': 'test-api-key' };
  for (;;) {
    try {
      const answer = await fetch(address, { method: 'POST', headers, body });
      const { result } = await answer.json();
      if (result) return;
    } catch {
      // The server, or what it needs, is away.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const quarter = count / 4;
let told = 0;
let upcoming = 0;
const workers = Array.from({ length: 16 }, async () => {
  while (upcoming < count) {
    const number = upcoming;
    upcoming += 1;
    if (number >= quarter * (told + 1)) {
      told += 1;
      console.log(`published ${told}/4`);
    }
    await publish(number);
  }
});
await Promise.all(workers);
console.log('published all');
const began = Date.now();
while (clients.some((one) => one.seen.length < count)) {
  assert.ok(Date.now() - began < 60000, `missing: ${clients.map((one) => one.seen.length)}`);
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await new Promise((resolve) => setTimeout(resolve, 300));
for (const { seen, index } of clients) {
  assert.equal(seen.length, count, `client ${index} got ${seen.length}`);
  seen.forEach(([offset], at) => assert.equal(offset, at + 1, `client ${index}, at ${at}`));
  assert.equal(new Set(seen.map(([, number]) => number)).size, count);
}
assert.ok(recoveries >= leastRecoveries, `${recoveries} recoveries`);
for (const { name, said, ended } of watching) {
  const late = setTimeout(() => assert.fail(`${name} misses something`), 60000);
  assert.equal((await said.next()).value, 'done', name);
  assert.deepEqual(await ended, [0, null], name);
  clearTimeout(late);
}
done();
