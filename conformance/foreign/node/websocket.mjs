// Node `websocket`, which has no compression.

import http from 'node:http';
import websocket from 'websocket';

const limits = { maxReceivedFrameSize: 64 * 1024 * 1024, maxReceivedMessageSize: 64 * 1024 * 1024 };

export function serve(listening) {
  const httpServer = http.createServer((_, response) => response.writeHead(400).end());
  const server = new websocket.server({ httpServer, ...limits });
  server.on('request', (request) => echo(request.accept(null, request.origin)));
  httpServer.listen(0, '127.0.0.1', () => listening(httpServer.address().port));
}

export function open(url, onMessage) {
  return new Promise((resolve) => {
    const client = new websocket.client(limits);
    client.on('connectFailed', resolve);
    client.on('connect', (ws) => {
      ws.on('close', resolve);
      echo(ws, onMessage);
    });
    client.connect(url);
  });
}

function echo(ws, onMessage = () => {}) {
  ws.on('error', () => {});
  ws.on('message', (message) => {
    const data = message.type === 'utf8' ? message.utf8Data : message.binaryData;
    onMessage(data);
    ws.send(data);
  });
}
