// What the HTTP API does to clients and channels, beyond tokens.mjs, over one codec: against `realtime --insecure`.
import assert from 'node:assert/strict';
import { api, client, codec, done, next, pack, unpack } from './common.mjs';

const channel = `recovery:api-${codec}-${process.pid}`;
const ada = client();
const connected = next(ada, 'connected');
ada.connect();
const { client: id } = await connected;
const sub = ada.newSubscription(channel);
let ready = next(sub, 'subscribed');
sub.subscribe();
await ready;
for (const number of [1, 2, 3]) await sub.publish(pack(number));

// What is removed cannot be recovered; what follows can.
assert.deepEqual(await api('history_remove', { channel }), { result: {} });
const history = await sub.history({ limit: 10 });
assert.deepEqual([history.publications, history.offset], [[], 3]);
const since = { offset: 1, epoch: history.epoch };
const late = client();
const refused = late.newSubscription(channel, { since });
ready = next(refused, 'subscribed');
refused.subscribe();
late.connect();
assert.equal((await ready).recovered, false);
const present = client();
const recovered = present.newSubscription(channel, { since: { ...since, offset: 3 } });
ready = next(recovered, 'subscribed');
await api('publish', { channel, data: 4 });
const fourth = next(recovered, 'publication');
recovered.subscribe();
present.connect();
assert.equal((await ready).recovered, true);
assert.equal(unpack((await fourth).data), 4);

// A subscription by the server, with data and information for others.
const pushed = next(ada, 'subscribed');
const plain = `${channel}-more`;
assert.deepEqual(await api('subscribe', { client: id, channel: plain, data: { a: 1 }, info: { seat: 2 } }), { result: {} });
const { channel: of, data } = await pushed;
assert.deepEqual([of, unpack(data)], [plain, { a: 1 }]);
const presence = await api('presence', { channel: plain });
assert.deepEqual(presence.result.presence[id].chan_info, { seat: 2 });
const channels = await api('channels', { pattern: `recovery:api-${codec}*-more` });
assert.deepEqual(Object.keys(channels.result.channels), [plain]);

// A connection that is to stay, and one that expires.
await api('refresh', { client: id, expire_at: Math.floor(Date.now() / 1000) + 600 });
assert.deepEqual(await api('presence_stats', { channel }), { result: { num_clients: 3, num_users: 1 } });
const ended = next(ada, 'connecting');
await api('refresh', { client: id, expired: true });
const { code } = await ended;
assert.equal(code, 3005);
done();
