// The runtime `bun`, whose server is uWebSockets.

import { opener } from './standard.mjs';

const LARGEST = 64 * 1024 * 1024;

export function serve(listening) {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 400 })),
    websocket: {
      perMessageDeflate: true,
      maxPayloadLength: LARGEST,
      backpressureLimit: LARGEST,
      message: (ws, message) => ws.send(message, true),
    },
  });
  listening(server.port);
}

export const open = opener(WebSocket);
