// Differences between publications, over one codec, beside clients that take none: against `realtime --insecure`.
import assert from 'node:assert/strict';
import { api, client, codec, done, next, unpack } from './common.mjs';

const channel = `delta:${codec}-${process.pid}`;
const other = codec === 'json' ? 'protobuf' : 'json';

// A document that changes: at its ends, in the middle, from nothing to much, in characters of one to four bytes.
const lines = Array.from({ length: 60 }, (_, line) => ({ line, text: `Zeile ${line}: äöü € 😀`, done: false }));
const versions = [];
for (let turn = 0; turn < 40; turn += 1) {
  const changed = lines.map((one) => ({ ...one }));
  changed[(turn * 7) % 60].done = turn % 2 === 0;
  changed[(turn * 11) % 60].text += ['x', 'ä', '€', '😀'][turn % 4].repeat(turn);
  if (turn % 5 === 0) changed.splice(turn % 60, 9);
  versions.push(turn % 13 === 12 ? 'something else' : { turn, changed });
}
const publish = async (from, to) => {
  for (const data of versions.slice(from, to)) assert.ok((await api('publish', { channel, data })).result);
};

function watch(of, delta) {
  const one = { of, seen: [], client: client({}, of) };
  one.sub = one.client.newSubscription(channel, delta ? { delta: 'fossil' } : {});
  one.sub.on('publication', (context) => one.seen.push(unpack(context.data, of)));
  one.client.on('error', ({ error }) => assert.fail(error.message));
  return one;
}

async function start(one) {
  const ready = next(one.sub, 'subscribed');
  one.sub.subscribe();
  one.client.connect();
  await ready;
}

async function until(one, count) {
  while (one.seen.length < count) await next(one.sub, 'publication');
}

const all = [watch(codec, true), watch(other, true), watch(codec, false)];
for (const one of all) await start(one);
await publish(0, 20);
const late = watch(codec, true);
await start(late);
await publish(20, 30);
for (const one of all) await until(one, 30);
await until(late, 10);

// Away for a while: what was missed is recovered, as differences too, and the next ones follow it.
const [first] = all;
first.client.disconnect();
await publish(30, 35);
const back = next(first.sub, 'subscribed');
first.client.connect();
assert.equal((await back).recovered, true);
await publish(35, 40);
for (const one of all) {
  await until(one, 40);
  assert.deepEqual(one.seen, versions);
}
await until(late, 20);
assert.deepEqual(late.seen, versions.slice(20));

// Most were differences, and short.
const { numDeltaPayloads, compressionRatio } = first.sub.deltaStats();
assert.ok(numDeltaPayloads > 25, `${numDeltaPayloads} differences`);
assert.ok(compressionRatio > 0.5, `${compressionRatio}`);
assert.equal(all[2].sub.deltaStats().numDeltaPayloads, 0);

// A namespace that does not allow it.
const plain = client();
const refused = plain.newSubscription(`smallhistory:${process.pid}`, { delta: 'fossil' });
const ready = next(refused, 'subscribed');
refused.subscribe();
plain.connect();
await ready;
const arrived = next(refused, 'publication');
await api('publish', { channel: `smallhistory:${process.pid}`, data: [1] });
assert.deepEqual(unpack((await arrived).data), [1]);
done();
