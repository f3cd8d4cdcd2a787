// Echo server on Node `ws`, a foreign peer for the interop tests.
//
// Listens on a free loopback port, prints {"port": N} and runs until stdin ends.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { WebSocketServer } from 'ws';

function usage(problem) {
  console.error(`server.mjs: ${problem}`);
  process.exit(2);
}

function parseArgs(argv) {
  const options = { deflate: 'none', maxSize: 64 * 1024 * 1024 };
  const words = [...argv];
  const next = (name) => words.shift() ?? usage(`${name} needs a value`);
  const number = (name) => {
    const value = Number(next(name));
    return Number.isInteger(value) ? value : usage(`${name} needs a number`);
  };
  while (words.length > 0) {
    const name = words.shift();
    if (name === '--tls') options.tls = [next(name), next(name)];
    else if (name === '--client-ca') options.clientCa = next(name);
    else if (name === '--deflate') options.deflate = next(name);
    else if (name === '--window-bits') options.windowBits = number(name);
    else if (name === '--subprotocols') options.subprotocols = next(name).split(',');
    else if (name === '--max-size') options.maxSize = number(name);
    else usage(`unknown option ${name}`);
  }
  if (!['none', 'on', 'no-takeover'].includes(options.deflate)) {
    usage('--deflate takes none, on or no-takeover');
  }
  return options;
}

function perMessageDeflate({ deflate, windowBits }) {
  if (deflate === 'none') return false;
  // Without takeover `ws` would leave messages under 1 KiB uncompressed.
  const settings = { threshold: 0 };
  if (deflate === 'no-takeover') {
    settings.serverNoContextTakeover = true;
    settings.clientNoContextTakeover = true;
  }
  if (windowBits !== undefined) {
    settings.serverMaxWindowBits = windowBits;
    settings.clientMaxWindowBits = windowBits;
  }
  return settings;
}

const pathOf = (request) => request.url.split('?')[0];

// Answers the paths that never become a WebSocket.
function verifyClient({ req }, done) {
  const path = pathOf(req);
  if (path === '/reject') done(false, 403, 'no entry', { 'X-Why': 'test' });
  else if (path === '/redirect') done(false, 302, '', { Location: '/elsewhere' });
  else done(true);
}

// Does what the request path asks for; the echo goes on beside it.
function runCommand(ws, request) {
  const [, command, ...rest] = pathOf(request).split('/');
  if (command === 'close') {
    ws.close(Number(rest[0]), decodeURIComponent(rest.slice(1).join('/')));
  } else if (command === 'ping') {
    ws.on('pong', (payload) => {
      if (payload.toString() === 'hello') ws.send('pong ok');
    });
    ws.ping('hello');
  } else if (command === 'fragments') {
    ws.send('one ', { fin: false });
    ws.ping('between');
    ws.send('two ', { fin: false });
    ws.send('three', { fin: true });
  } else if (command === 'headers') {
    ws.send(JSON.stringify(request.headers));
  }
}

function handle(ws, request) {
  // The library closes the connection by itself after an error.
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  try {
    runCommand(ws, request);
  } catch (error) {
    console.error(`server.mjs: ${error.message}`);
    ws.close(1011);
  }
}

const options = parseArgs(process.argv.slice(2));
const notWebSocket = (_request, response) => response.writeHead(426).end();

let server;
if (options.tls) {
  const [cert, key] = options.tls.map((file) => readFileSync(file));
  const tls = { cert, key };
  if (options.clientCa) {
    Object.assign(tls, {
      ca: readFileSync(options.clientCa),
      requestCert: true,
      rejectUnauthorized: true,
    });
  }
  server = https.createServer(tls, notWebSocket);
} else {
  server = http.createServer(notWebSocket);
}

const sockets = new WebSocketServer({
  server,
  verifyClient,
  perMessageDeflate: perMessageDeflate(options),
  maxPayload: options.maxSize,
  // Without this hook `ws` takes the first name that the client offers.
  handleProtocols: (offered) =>
    options.subprotocols?.find((name) => offered.has(name)) ?? false,
});
sockets.on('connection', handle);

process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdin.resume();

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
