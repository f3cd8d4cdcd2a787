// Tokens that are signed with RSA, ECDSA and Ed25519 keys: against `realtime --jwks FILE`.
// `keys.mjs make FOLDER` makes the keys: `jwks.json` for the server, `private.json` for the client. Otherwise the arguments are the URL, the
// codec and the folder.
import assert from 'node:assert/strict';
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const kinds = [
  ['rsa', 'RS256', 'rsa', { modulusLength: 2048 }, 'sha256'],
  ['p256', 'ES256', 'ec', { namedCurve: 'P-256' }, 'sha256'],
  ['p384', 'ES384', 'ec', { namedCurve: 'P-384' }, 'sha384'],
  ['ed', 'EdDSA', 'ed25519', {}, null],
];

function make(folder) {
  const [open, secret] = [[], {}];
  for (const [kid, alg, type, options] of kinds) {
    const { publicKey, privateKey } = generateKeyPairSync(type, options);
    open.push({ kid, alg, use: 'sig', ...publicKey.export({ format: 'jwk' }) });
    secret[kid] = privateKey.export({ format: 'jwk' });
  }
  writeFileSync(`${folder}/jwks.json`, JSON.stringify({ keys: open }));
  writeFileSync(`${folder}/private.json`, JSON.stringify(secret));
}

async function check(folder) {
  const { client, done, next } = await import('./common.mjs');
  const secret = JSON.parse(readFileSync(`${folder}/private.json`, 'utf8'));
  const set = readFileSync(`${folder}/jwks.json`, 'utf8');
  const text = (header, claims) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    return `${part(header)}.${part(claims)}`;
  };
  const now = Math.floor(Date.now() / 1000);
  const signed = (kid, header = {}, claims = {}) => {
    const [, alg, , , hash] = kinds.find(([name]) => name === kid);
    const key = createPrivateKey({ key: secret[kid], format: 'jwk' });
    const all = text({ alg, kid, ...header }, { sub: `user-${kid}`, exp: now + 60, ...claims });
    return `${all}.${sign(hash, Buffer.from(all), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const outcome = async (token) => {
    const one = client({ token });
    const end = Promise.race([next(one, 'connected'), next(one, 'disconnected'), next(one, 'error')]);
    one.connect();
    const { code, client: id, error } = await end;
    one.disconnect();
    return id ? 'connected' : (code ?? error.code);
  };
  for (const [kid] of kinds) {
    assert.equal(await outcome(signed(kid)), 'connected', kid);
    assert.equal(await outcome(signed(kid, { kid: undefined })), 3500, `${kid} without its id`);
    assert.equal(await outcome(signed(kid, { kid: 'other' })), 3500, `${kid} under another id`);
    assert.equal(await outcome(signed(kid, {}, { exp: now - 5 })), 109, `${kid}, expired`);
    const all = text({ alg: 'HS256', kid }, { sub: 'eve', exp: now + 60 });
    const key = JSON.parse(set).keys.find((one) => one.kid === kid);
    for (const known of [set, JSON.stringify(key), key.n ?? key.x]) {
      const forged = `${all}.${createHmac('sha256', known).update(all).digest('base64url')}`;
      assert.equal(await outcome(forged), 3500, `${kid} as a secret`);
    }
    const none = `${text({ alg: 'none', kid }, { sub: 'eve', exp: now + 60 })}.`;
    assert.equal(await outcome(none), 3500, 'unsigned');
  }
  done();
}

if (process.argv[2] === 'make') make(process.argv[3]);
else await check(process.argv[4]);
