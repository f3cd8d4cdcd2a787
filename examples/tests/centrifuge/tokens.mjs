// Tokens, rights, server-side subscriptions and the HTTP API, over one codec: against `realtime --secret secret`.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { api, client, codec, done, failure, next, pack, unpack } from './common.mjs';

function token(claims, secret = 'secret') {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

const now = () => Math.floor(Date.now() / 1000);
const user = `u${process.pid}${codec}`;

// Refused: for good, without an attempt to reconnect.
for (const bad of ['nonsense', token({ sub: user }, 'another')]) {
  const refused = client({ token: bad });
  const gone = next(refused, 'disconnected');
  refused.connect();
  assert.equal((await gone).code, 3500);
}
const anonymous = client();
const gone = next(anonymous, 'disconnected');
anonymous.connect();
assert.equal((await gone).code, 3501);

// An expired token is replaced, and so is one that expires while connected.
let asked = 0;
const ada = client({
  token: token({ sub: user, exp: now() - 5 }),
  getToken: async () => {
    asked += 1;
    const exp = asked === 1 ? now() + 3 : now() + 600;
    return token({ sub: user, exp, info: { name: 'Ada' } });
  },
});
const personal = next(ada, 'subscribed');
const connected = next(ada, 'connected');
ada.connect();
const { client: id } = await connected;
assert.equal(asked, 1);
assert.equal((await personal).channel, `#${user}`);
const refreshed = (async () => {
  while (asked < 2) await new Promise((resolve) => setTimeout(resolve, 50));
})();

// Without a grant there is no subscription; a token grants one channel to one user.
const channel = `recovery:${user}`;
const denied = ada.newSubscription(channel);
const refused = next(denied, 'unsubscribed');
denied.subscribe();
assert.equal((await refused).code, 103);
ada.removeSubscription(denied);
for (const claims of [{ sub: user, channel: 'other' }, { sub: 'eve', channel }]) {
  const wrong = ada.newSubscription(channel, { token: token(claims) });
  const end = next(wrong, 'unsubscribed');
  wrong.subscribe();
  assert.equal((await end).code, 103);
  ada.removeSubscription(wrong);
}
const granted = { sub: user, channel, info: { seat: 1 } };
let subAsked = 0;
const sub = ada.newSubscription(channel, {
  token: token({ ...granted, exp: now() + 3 }),
  getToken: async () => {
    subAsked += 1;
    return token({ ...granted, exp: now() + 600 });
  },
});
const ready = next(sub, 'subscribed');
sub.subscribe();
await ready;
const info = (await sub.presence()).clients[id];
assert.deepEqual([info.user, unpack(info.connInfo), unpack(info.chanInfo)], [user, { name: 'Ada' }, { seat: 1 }]);
assert.equal((await failure(ada.publish('recovery:elsewhere', pack(1)))).code, 103);
assert.equal((await failure(ada.history('recovery:elsewhere', { limit: 1 }))).code, 103);

// Other programs publish and look.
assert.equal(await api('publish', { channel, data: 1 }, { key: 'wrong' }), 401);
const atAda = next(sub, 'publication');
const published = await api('publish', { channel, data: { n: 1 }, tags: { kind: 'note' }, idempotency_key: user });
assert.equal(published.result.offset, 1);
const { data, tags } = await atAda;
assert.deepEqual([unpack(data), tags], [{ n: 1 }, { kind: 'note' }]);
const twice = await api('publish', { channel, data: { n: 1 }, idempotency_key: user });
assert.deepEqual(twice.result, published.result);
const many = await api('broadcast', { channels: [channel, 'nowhere:a'], data: 2 });
assert.deepEqual(many.result.responses.map((one) => one.error?.code), [undefined, 102]);
assert.deepEqual((await api('history', { channel, limit: 1, reverse: true })).result.publications[0].data, 2);
assert.equal((await api('presence', { channel })).result.presence[id].user, user);
assert.deepEqual((await api('presence_stats', { channel })).result, { num_clients: 1, num_users: 1 });
assert.ok((await api('info', {})).result.nodes[0].num_clients >= 1);
assert.ok((await api('channels', {})).result.channels[channel]);

// They subscribe, unsubscribe and disconnect clients.
const news = next(ada, 'subscribed');
await api('subscribe', { user, channel: 'news:all' });
assert.equal((await news).channel, 'news:all');
const arrived = next(ada, 'publication');
await api('publish', { channel: 'news:all', data: 'new' });
assert.equal(unpack((await arrived).data), 'new');
await refreshed;
while (subAsked < 1) await new Promise((resolve) => setTimeout(resolve, 50));
assert.deepEqual([ada.state, sub.state], ['connected', 'subscribed']);
const ended = next(sub, 'unsubscribed');
await api('unsubscribe', { client: id, channel });
assert.equal((await ended).code, 2000);
const end = next(ada, 'disconnected');
await api('disconnect', { user });
assert.equal((await end).code, 3503);
done();
