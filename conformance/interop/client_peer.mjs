// Connections and checks for the test client on Node `ws`.

import WebSocket from 'ws';

const CLOSE_LIMIT = 3_000;

export function short(value) {
  const text = Buffer.isBuffer(value) ? value.toString('hex') : String(value);
  return text.length <= 120 ? `'${text}'` : `'${text.slice(0, 100)}...' (${value.length} long)`;
}

export function fail(what) {
  throw new Error(what);
}

export function check(what, got, want) {
  const same = Buffer.isBuffer(got) && Buffer.isBuffer(want) ? got.equals(want) : got === want;
  if (!same) fail(`${what}: got ${typeof got} ${short(got)}, want ${typeof want} ${short(want)}`);
}

// A queue of one kind of events; `take` waits for the next.
class Events {
  items = [];
  waiting = [];

  put(item) {
    if (this.waiting.length > 0) this.waiting.shift().resolve(item);
    else this.items.push(item);
  }

  end(error) {
    this.error = error;
    for (const { reject } of this.waiting.splice(0)) reject(error);
  }

  take() {
    if (this.items.length > 0) return Promise.resolve(this.items.shift());
    if (this.error) return Promise.reject(this.error);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }
}

// One connection to the server under test.
export class Peer {
  messages = new Events();
  pongs = new Events();

  static async open(options, { protocols = [], perMessageDeflate = false } = {}) {
    const peer = new Peer();
    const ws = new WebSocket(options.url, protocols, {
      ...options.tls,
      perMessageDeflate,
      closeTimeout: 5_000,
    });
    peer.ws = ws;
    ws.on('message', (data, isBinary) => peer.messages.put(isBinary ? data : data.toString()));
    ws.on('pong', (payload) => peer.pongs.put(payload));
    ws.on('upgrade', (response) => {
      peer.headers = response.headers;
      peer.socket = response.socket;
    });
    peer.closed = new Promise((resolve) => ws.on('close', (code) => resolve(code)));
    const end = (error) => [peer.messages, peer.pongs].forEach((queue) => queue.end(error));
    ws.on('close', (code) => end(new Error(`closed early with code ${code}`)));
    await new Promise((resolve, reject) => {
      ws.on('open', resolve);
      ws.on('error', (error) => {
        end(error);
        reject(error);
      });
    });
    return peer;
  }

  async echo(message, options) {
    this.ws.send(message, options);
    check('echo', await this.messages.take(), message);
  }

  // Closes; checks the close frame of the server, the end of TCP, the silence.
  async finish(code = 1000, reason = '') {
    const start = Date.now();
    this.ws.close(code, reason);
    // Without a close frame from the server `ws` says 1006 here.
    check(`close ${code}: code of the server`, await this.closed, code);
    if (Date.now() - start > CLOSE_LIMIT) fail(`close ${code}: took over ${CLOSE_LIMIT} ms`);
    if (this.messages.items.length > 0) {
      fail(`one message too many: ${short(this.messages.items[0])}`);
    }
  }
}
