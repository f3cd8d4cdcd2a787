// Test client on Node `ws`: runs one scenario against an echo server.
//
// Exit status 0 when all holds, 1 with the difference on stderr when not.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Peer, check, fail, short } from './client_peer.mjs';

const TIMEOUT = 20_000;
// Around the borders of the three length encodings of a frame.
const SIZES = [125, 126, 65535, 65536];

async function echoAll(options, messages) {
  const peer = await Peer.open(options);
  for (const message of messages) await peer.echo(message);
  await peer.finish();
}

// Echoes messages of many kinds with permessage-deflate; returns the
// parameters of the response.
async function echoCompressed(options, perMessageDeflate) {
  const peer = await Peer.open(options, { perMessageDeflate });
  const header = peer.headers['sec-websocket-extensions'] ?? '';
  const [name, ...words] = header.split(';').map((word) => word.trim());
  check('extension of the response', name, 'permessage-deflate');
  const noise = randomBytes(20_000);
  const hello = 'hello '.repeat(200);
  const messages = ['', Buffer.alloc(0), 'a', hello, 'ü'.repeat(5000), noise, noise];
  for (const message of [...messages, randomBytes(300_000)]) await peer.echo(message);
  // A message that stays uncompressed although the extension is on.
  await peer.echo(hello, { compress: false });
  const before = peer.socket.bytesRead;
  await peer.echo('compress me, '.repeat(80_000));
  if (peer.socket.bytesRead - before > 100_000) {
    fail('the server did not compress a large, repetitive message');
  }
  await peer.echo(hello);
  await peer.finish();
  return new Map(words.map((word) => word.split('=')));
}

// 6 bits of noise in an octet.
function noise(length) {
  return randomBytes(length).toString('base64').slice(0, length);
}

// Echoes what repeats the messages before it, near and far. Behind /shared some
// answers refer to none.
async function echoRepeated(options, perMessageDeflate) {
  const peer = await Peer.open(options, { perMessageDeflate });
  let total = 0;
  for (const size of [40, 100, 200, 700, 3000, 12_000, 30_000]) {
    const [one, two] = [noise(size), noise(size)];
    const both = one + two;
    for (const message of [one, two + two, one, two, both, two + both, one + one, two + one]) {
      await peer.echo(size % 200 ? message : Buffer.from(message));
      total += message.length;
    }
  }
  // The noise alone makes it 0.76, what is not compressed 1.
  if (peer.socket.bytesRead > total * 0.83) {
    fail(`the server did not compress: ${peer.socket.bytesRead} octets for ${total}`);
  }
  await peer.finish();
  const header = peer.headers['sec-websocket-extensions'];
  return new Map(header.split(';').map((word) => word.trim().split('=')));
}

const scenarios = {
  async text(options) {
    const words = ['', 'hello', 'a\0b', 'Grüße', '日本語テキスト', '👋🏽 👩‍👩‍👧', '\ufeffmark', '\u{10ffff}'];
    await echoAll(options, [...words, ...SIZES.map((n) => 'x'.repeat(n)), 'é'.repeat(32768)]);
  },

  async binary(options) {
    await echoAll(options, [Buffer.alloc(0), Buffer.alloc(1), ...SIZES.map((n) => randomBytes(n))]);
  },

  async megabyte(options) {
    const sizes = [1024 * 1024, 5 * 1024 * 1024];
    await echoAll(options, sizes.map((n) => 'x'.repeat(n)));
    await echoAll(options, sizes.map((n) => randomBytes(n)));
  },

  async fragments(options) {
    const peer = await Peer.open(options);
    // Pieces of one octet, which cut the characters of the text in two.
    for (const message of ['zwölf Stücke 🧩', randomBytes(300)]) {
      const payload = Buffer.from(message);
      const binary = typeof message !== 'string';
      for (let at = 0; at < payload.length; at += 1) {
        if (at === payload.length >> 1) {
          peer.ws.ping('between');
          check('pong', String(await peer.pongs.take()), 'between');
        }
        peer.ws.send(payload.subarray(at, at + 1), { binary, fin: false });
      }
      peer.ws.send(Buffer.alloc(0), { binary, fin: true });
      check('echo', await peer.messages.take(), message);
    }
    // Large pieces, with an empty one among them.
    peer.ws.send('a'.repeat(70_000), { fin: false });
    peer.ws.send('', { fin: false });
    peer.ws.send('b'.repeat(70_000), { fin: true });
    check('echo', await peer.messages.take(), 'a'.repeat(70_000) + 'b'.repeat(70_000));
    await peer.finish();
  },

  async ping(options) {
    const peer = await Peer.open(options);
    for (const payload of [Buffer.alloc(0), Buffer.from('payload'), randomBytes(125)]) {
      peer.ws.ping(payload);
      check('pong', await peer.pongs.take(), payload);
    }
    // A server may answer only the last of several pings, but in order.
    for (let n = 0; n < 20; n += 1) peer.ws.ping(`ping ${n}`);
    for (let last = -1; last < 19; ) {
      const pong = String(await peer.pongs.take());
      const n = Number(/^ping (\d+)$/.exec(pong)?.[1] ?? fail(`unexpected pong ${short(pong)}`));
      if (n <= last) fail(`pong ${n} after pong ${last}`);
      last = n;
    }
    await peer.echo('still here');
    await peer.finish();
  },

  async close(options) {
    for (const code of [1000, 1001, 3000, 4999]) {
      const peer = await Peer.open(options);
      await peer.echo('before the close');
      await peer.finish(code, `reason ${code} ✓`);
    }
  },

  async many(options) {
    const peer = await Peer.open(options);
    for (let n = 0; n < 1000; n += 1) peer.ws.send(`message ${n}`);
    for (let n = 0; n < 1000; n += 1) check('order', await peer.messages.take(), `message ${n}`);
    await peer.finish();
  },

  async subprotocol(options) {
    try {
      const peer = await Peer.open(options, { protocols: ['chat.v2', 'chat.v1'] });
      check('subprotocol', peer.ws.protocol, options.expect);
      await peer.echo('hello');
      await peer.finish();
    } catch (error) {
      // `ws` takes an answer without a subprotocol for an error.
      const none = error.message === 'Server sent no subprotocol';
      if (!none || options.expect !== '') throw error;
    }
  },

  async deflate(options) {
    await echoCompressed(options, { threshold: 0 });
  },

  async 'deflate-no-takeover'(options) {
    const params = await echoCompressed(options, {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
    });
    check('server_no_context_takeover', params.has('server_no_context_takeover'), true);
  },

  async 'deflate-window'(options) {
    const params = await echoCompressed(options, {
      serverMaxWindowBits: 10,
      clientMaxWindowBits: 10,
    });
    // Only the limit of the client may be absent from the answer.
    const server = params.get('server_max_window_bits') ?? 'nothing';
    if (!(Number(server) <= 10)) fail(`server_max_window_bits: got ${server}, want at most 10`);
  },

  async 'deflate-windows'(options) {
    for (let bits = 9; bits <= 15; bits += 1) {
      for (const serverNoContextTakeover of [false, true]) {
        const params = await echoRepeated(options, {
          serverMaxWindowBits: bits,
          serverNoContextTakeover,
        });
        // 15 may be left unsaid.
        const server = params.get('server_max_window_bits') ?? 15;
        if (!(Number(server) <= bits)) fail(`server_max_window_bits: got ${server}, want ${bits}`);
      }
    }
  },
};

function usage(problem) {
  console.error(`client.mjs: ${problem}`);
  console.error(`usage: client.mjs URL ${[...Object.keys(scenarios), 'all'].join('|')}`);
  console.error('       [--ca FILE] [--client-cert CERT KEY] [--expect NAME]');
  process.exit(2);
}

function parseArgs(argv) {
  const options = { tls: {} };
  const words = [...argv];
  const plain = [];
  const next = (name) => words.shift() ?? usage(`${name} needs a value`);
  while (words.length > 0) {
    const word = words.shift();
    if (word === '--ca') {
      options.tls.ca = readFileSync(next(word));
    } else if (word === '--client-cert') {
      options.tls.cert = readFileSync(next(word));
      options.tls.key = readFileSync(next(word));
    } else if (word === '--expect') {
      options.expect = next(word);
    } else if (word.startsWith('--')) {
      usage(`unknown option ${word}`);
    } else {
      plain.push(word);
    }
  }
  if (plain.length !== 2) usage('a URL and a scenario are needed');
  [options.url, options.scenario] = plain;
  if (options.scenario !== 'all' && !Object.hasOwn(scenarios, options.scenario)) {
    usage(`unknown scenario ${options.scenario}`);
  }
  if (options.scenario === 'subprotocol' && options.expect === undefined) {
    usage('subprotocol needs --expect');
  }
  return options;
}

const options = parseArgs(process.argv.slice(2));
let names = [options.scenario];
if (options.scenario === 'all') {
  names = Object.keys(scenarios);
  if (options.expect === undefined) names = names.filter((name) => name !== 'subprotocol');
}
let name = '';
setTimeout(() => {
  console.error(`${name}: no end within ${TIMEOUT / 1000} s`);
  process.exit(1);
}, TIMEOUT);
try {
  for (name of names) {
    await scenarios[name](options);
    console.log(`ok ${name}`);
  }
  process.exit(0);
} catch (error) {
  console.error(`${name}: ${String(error.message || error.code || error).trim()}`);
  process.exit(1);
}
