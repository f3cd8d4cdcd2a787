// Echo server that wsconform tests. Replace `ws` by your own library; keep the echo.
//
// Install: npm install ws

import { WebSocketServer } from "ws";

// Where wsconform will connect.
const url = new URL(process.env.WSCONFORM_URL ?? "ws://127.0.0.1:9001");

const server = new WebSocketServer({
  host: url.hostname,
  port: Number(url.port),
  perMessageDeflate: true,
  // The suite sends messages of up to 16 MiB.
  maxPayload: 64 * 1024 * 1024,
});
server.on("connection", (ws) => {
  // The library closes the connection by itself after an error.
  ws.on("error", () => {});
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
});
