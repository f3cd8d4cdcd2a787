// Echo server on Node's `http2` and the frames of `ws`, over HTTP/2 alone: a foreign peer for tests of the suite.
//
// Listens on a free loopback port, prints {"port": N} and runs until stdin ends.

import http2 from "node:http2";
import WebSocket from "ws";

const server = http2.createServer({ settings: { enableConnectProtocol: true } });

server.on("sessionError", () => {});
server.on("session", (session) => session.on("error", () => {}));
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":method"] !== "CONNECT") {
    stream.respond({ ":status": 404 }, { endStream: true });
    return;
  }
  if (headers[":protocol"] !== "websocket") {
    stream.respond({ ":status": 501 }, { endStream: true });
    return;
  }
  if (headers["sec-websocket-version"] !== "13") {
    stream.respond({ ":status": 400, "sec-websocket-version": "13" }, { endStream: true });
    return;
  }
  stream.respond({ ":status": 200 });
  const socket = new WebSocket(null, undefined, { autoPong: true });
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: false,
    maxPayload: 64 << 20,
    skipUTF8Validation: false,
  });
});

server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
process.stdin.on("end", () => process.exit(0)).resume();
