// A client that stops reading is closed as slow, and recovers once it reads again; others do not wait for it. Against `realtime --insecure`.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { api, client, codec, done, next, unpack } from './common.mjs';

const channel = `recovery:slow-${codec}-${process.pid}`;
const count = 400;
// What compression cannot shorten.
const data = (number) => ({ number, text: randomBytes(20_000).toString('base64') });

const [slow, quick] = [client(), client()];
const seen = new Map([[slow, []], [quick, []]]);
for (const one of [slow, quick]) {
  const sub = one.newSubscription(channel);
  sub.on('publication', (context) => seen.get(one).push(unpack(context.data).number));
  const ready = next(sub, 'subscribed');
  sub.subscribe();
  one.connect();
  await ready;
}
let recovered;
slow.getSubscription(channel).on('subscribed', (context) => (recovered = context.recovered));
const closed = next(slow, 'connecting');
// The socket of the library, below its WebSocket: nothing is read from it.
slow._transport._transport._socket.pause();
for (let number = 0; number < count; number += 1) {
  assert.ok((await api('publish', { channel, data: data(number) })).result);
}
const clients = async () => (await api('presence_stats', { channel })).result.num_clients;
while ((await clients()) > 1) await new Promise((resolve) => setTimeout(resolve, 20));
assert.equal(seen.get(quick).length, count, 'the quick one has them all meanwhile');
slow._transport._transport._socket.resume();
assert.equal((await closed).code, 3008);
while (seen.get(slow).length < count) await new Promise((resolve) => setTimeout(resolve, 20));
const all = Array.from({ length: count }, (_, number) => number);
assert.deepEqual(seen.get(quick), all);
if (recovered) assert.deepEqual(seen.get(slow), all);
assert.equal(recovered, true);
done();
