// The runtime `deno`, whose WebSocket is fastwebsockets.

import { opener } from './standard.mjs';

export function serve(listening) {
  Deno.serve({ hostname: '127.0.0.1', port: 0, onListen: ({ port }) => listening(port) }, (request) => {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket' && request.method !== 'CONNECT') {
      return new Response(null, { status: 400 });
    }
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => socket.readyState === WebSocket.OPEN && socket.send(data);
    socket.onerror = () => {};
    return response;
  });
}

export const open = opener(WebSocket);
