// Every command, and what is refused, over one codec: against `realtime --insecure`.
import assert from 'node:assert/strict';
import { client, codec, done, failure, next, pack, unpack } from './common.mjs';

const channel = `recovery:${codec}-${process.pid}`;
const ada = client();
const bob = client({}, codec === 'json' ? 'protobuf' : 'json');
const other = codec === 'json' ? 'protobuf' : 'json';

const connected = next(ada, 'connected');
ada.connect();
bob.connect();
const hello = await connected;
assert.ok(hello.client.length > 0);

const sub = ada.newSubscription(channel, { joinLeave: true });
const joins = [];
sub.on('join', (context) => joins.push(context.info.client));
const left = next(sub, 'leave');
let subscribed = next(sub, 'subscribed');
sub.subscribe();
const first = await subscribed;
assert.equal(first.recovered, false);
assert.equal(first.recoverable, true);
assert.equal(first.streamPosition.offset, 0);

const subOfBob = bob.newSubscription(channel);
subOfBob.on('join', () => assert.fail('he did not ask who joins'));
subOfBob.on('leave', () => assert.fail('he did not ask who leaves'));
const ready = next(subOfBob, 'subscribed');
subOfBob.subscribe();
await ready;

// Both codecs receive it, its publisher too.
const [atAda, atBob] = [next(sub, 'publication'), next(subOfBob, 'publication')];
await sub.publish(pack({ text: 'tea\n', number: 1 }));
const [one, two] = await Promise.all([atAda, atBob]);
assert.deepEqual(unpack(one.data), { text: 'tea\n', number: 1 });
assert.deepEqual(unpack(two.data, other), { text: 'tea\n', number: 1 });
assert.equal(one.offset, 1);
assert.equal(one.info.client, hello.client);

for (let number = 2; number <= 5; number += 1) await sub.publish(pack({ number }));
const numbers = (history) => history.publications.map((one) => unpack(one.data).number);
const top = await sub.history({ limit: 0 });
assert.deepEqual([numbers(top), top.offset], [[], 5]);
assert.deepEqual(numbers(await sub.history({ limit: 2 })), [1, 2]);
assert.deepEqual(numbers(await sub.history({ limit: 2, reverse: true })), [5, 4]);
assert.deepEqual(numbers(await sub.history({ limit: -1 })), [1, 2, 3, 4, 5]);
const since = { offset: 3, epoch: top.epoch };
assert.deepEqual(numbers(await sub.history({ limit: 10, since })), [4, 5]);
const foreign = { offset: 3, epoch: 'another' };
assert.equal((await failure(sub.history({ limit: 1, since: foreign }))).code, 112);

// Of a channel without anything, too.
const nothing = await ada.history('unused', { limit: 0 });
assert.deepEqual([nothing.publications, nothing.offset], [[], 0]);
const nobody = await ada.presenceStats('unused');
assert.deepEqual([nobody.numClients, nobody.numUsers], [0, 0]);
assert.deepEqual((await ada.presence('unused')).clients, {});

const presence = await sub.presence();
assert.equal(Object.keys(presence.clients).length, 2);
assert.equal(presence.clients[hello.client].client, hello.client);
const stats = await sub.presenceStats();
assert.deepEqual([stats.numClients, stats.numUsers], [2, 1]);

assert.deepEqual(unpack((await ada.rpc('echo', pack([1, { a: null }]))).data), [1, { a: null }]);
assert.equal((await failure(ada.rpc('unknown', pack(1)))).code, 104);
assert.equal((await failure(ada.publish('nowhere:a', pack(1)))).code, 102);
assert.equal((await failure(ada.history('news:a', { limit: 1 }))).code, 108);
assert.equal((await failure(ada.presence('news:a'))).code, 108);

// Only those who asked are told, unless the namespace tells everybody.
const cleo = client();
const ofCleo = cleo.newSubscription(channel);
const here = next(sub, 'join');
ofCleo.subscribe();
cleo.connect();
await here;
const away = next(sub, 'leave');
cleo.disconnect();
await away;
const forced = ada.newSubscription(`forced-${channel.replaceAll(':', '-')}`);
const told = next(forced, 'join');
forced.subscribe();
assert.equal((await told).info.client, hello.client);
ada.removeSubscription(forced);

bob.disconnect();
assert.notEqual((await left).info.client, hello.client);
assert.ok(joins.includes(hello.client), 'it learns of its own joining');
assert.equal(joins.length, 3);

const unsubscribed = next(sub, 'unsubscribed');
sub.unsubscribe();
assert.equal((await unsubscribed).code, 0);
subscribed = next(sub, 'subscribed');
sub.subscribe();
const again = await subscribed;
assert.deepEqual([again.wasRecovering, again.recovered], [true, true]);
done();
