// Node `faye-websocket`, with its `permessage-deflate`.

import http from 'node:http';
import WebSocket from 'faye-websocket';
import deflate from 'permessage-deflate';

const options = { extensions: [deflate], maxLength: 64 * 1024 * 1024 };

export function serve(listening) {
  const server = http.createServer((_, response) => response.writeHead(400).end());
  server.on('upgrade', (request, socket, body) => {
    if (!WebSocket.isWebSocket(request)) return socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    echo(new WebSocket(request, socket, body, [], options));
  });
  server.listen(0, '127.0.0.1', () => listening(server.address().port));
}

export function open(url, onMessage) {
  return new Promise((resolve) => {
    const ws = new WebSocket.Client(url, [], options);
    ws.on('close', resolve);
    echo(ws, onMessage);
  });
}

function echo(ws, onMessage = () => {}) {
  ws.on('error', () => {});
  ws.on('message', ({ data }) => {
    onMessage(data);
    ws.send(data);
  });
}
