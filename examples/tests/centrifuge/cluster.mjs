// Two servers over Redis: presence spans both, and the HTTP API of one ends what the other holds.
// Arguments: the URL of the first server, the codec, the URL of the other, without a path.
import assert from 'node:assert/strict';
import { api as call, client, codec, done, next, pack, unpack } from './common.mjs';

const other = process.argv[4];
const channel = `recovery:both-${codec}-${process.pid}`;
const api = async (method, body) => (await call(method, body, { at: other })).result;

const here = client();
const there = client({}, codec, `${other}/connection/websocket`);
const connected = next(here, 'connected');
here.connect();
there.connect();
const { client: id } = await connected;
const [one, two] = [here, there].map((from) => from.newSubscription(channel, { joinLeave: true }));
let ready = next(one, 'subscribed');
one.subscribe();
await ready;
const joined = [];
one.on('join', ({ info }) => joined.push(info.client));
const left = next(one, 'leave');
ready = next(two, 'subscribed');
two.subscribe();
await ready;

const atOne = next(one, 'publication');
await two.publish(pack('from there'));
assert.equal(unpack((await atOne).data), 'from there');
const presence = await one.presence();
assert.equal(Object.keys(presence.clients).length, 2);
assert.deepEqual(await one.presenceStats(), { numClients: 2, numUsers: 1 });
const history = await one.history({ limit: 10, reverse: true });
assert.deepEqual(history.publications.map((kept) => unpack(kept.data)), ['from there']);
assert.ok(history.publications[0].info.client !== id);
await api('history_remove', { channel });
const removed = await one.history({ limit: 10 });
assert.deepEqual([removed.publications, removed.offset], [[], history.offset]);

there.disconnect();
const { info } = await left;
assert.ok(info.client !== id && joined.includes(info.client));

const ended = next(one, 'unsubscribed');
await api('unsubscribe', { client: id, channel });
assert.equal((await ended).code, 2000);
const pushed = next(here, 'subscribed');
await api('subscribe', { client: id, channel });
assert.equal((await pushed).channel, channel);
const gone = next(here, 'disconnected');
await api('disconnect', { client: id, disconnect: { code: 4501, reason: 'banned' } });
assert.equal((await gone).code, 4501);
done();
