// Client on Node `ws` that lets wsconform test it: ws_client.mjs URL AGENT.

import WebSocket from 'ws';

const AT_A_TIME = 8;
const CASE_LIMIT = 120_000;
const [url, agent] = process.argv.slice(2);

// Resolves with the first message when the connection has ended, whatever ended it.
function connection(path, onMessage = () => {}) {
  return new Promise((resolve) => {
    const ws = new WebSocket(`${url}${path}`, {
      perMessageDeflate: true,
      maxPayload: 64 * 1024 * 1024,
    });
    const late = setTimeout(() => {
      console.log(`${path}: not done within ${CASE_LIMIT / 1000} s`);
      ws.terminate();
    }, CASE_LIMIT);
    let first;
    ws.on('message', (data, isBinary) => {
      first ??= data.toString();
      onMessage(ws, data, isBinary);
    });
    ws.on('error', (error) => console.log(`${path}: ${error.message}`));
    ws.on('close', () => {
      clearTimeout(late);
      resolve(first);
    });
  });
}

const count = Number(await connection('/getCaseCount'));
if (!(count > 0)) throw new Error('no cases');
let next = 1;
async function work() {
  while (next <= count) {
    const path = `/runCase?case=${next++}&agent=${agent}`;
    await connection(path, (ws, data, isBinary) => ws.send(data, { binary: isBinary }));
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, work));
await connection(`/updateReports?agent=${agent}`);
