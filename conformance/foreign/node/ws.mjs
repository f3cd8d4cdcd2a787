// Node `ws`.

import WebSocket, { WebSocketServer } from 'ws';

const options = { perMessageDeflate: true, maxPayload: 64 * 1024 * 1024 };

export function serve(listening) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  server.on('listening', () => listening(server.address().port));
  server.on('connection', (ws) => echo(ws));
}

export function open(url, onMessage) {
  return new Promise((resolve) => {
    const ws = new WebSocket(url, options);
    ws.on('close', resolve);
    echo(ws, onMessage);
  });
}

function echo(ws, onMessage = () => {}) {
  // The library closes the connection by itself after an error.
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => {
    onMessage(data);
    ws.send(data, { binary: isBinary });
  });
}
