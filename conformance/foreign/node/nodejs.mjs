// Node `nodejs-websocket`.

import websocket from 'nodejs-websocket';

websocket.setMaxBufferLength(64 * 1024 * 1024);

export function serve(listening) {
  const server = websocket.createServer((ws) => echo(ws));
  server.on('error', () => {});
  server.listen(0, '127.0.0.1', () => listening(server.socket.address().port));
}

export function open(url, onMessage) {
  return new Promise((resolve) => {
    const ws = websocket.connect(url);
    ws.on('close', resolve);
    echo(ws, onMessage);
  });
}

function echo(ws, onMessage = () => {}) {
  ws.on('error', () => {});
  ws.on('text', (text) => {
    onMessage(text);
    ws.sendText(text);
  });
  ws.on('binary', (stream) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => ws.sendBinary(Buffer.concat(chunks)));
  });
}
