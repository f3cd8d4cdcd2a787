// What the scripts share: a client of either codec, and checks.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { Centrifuge as Json } from 'centrifuge';
import { Centrifuge as Protobuf } from 'centrifuge/build/protobuf';

export const [url, codec] = process.argv.slice(2);

/// What the clients connect by: `websocket`, `http_stream` or `sse`, which is for JSON alone.
export const transport = process.env.TRANSPORT ?? 'websocket';

export function client(options = {}, of = codec, at = url, by = transport) {
  const Client = of === 'protobuf' ? Protobuf : Json;
  const all = { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200, ...options };
  if (by === 'websocket') return new Client(at, all);
  const http = at.replace('ws:', 'http:').replace('/connection/websocket', '');
  const way = of === 'protobuf' ? 'http_stream' : by;
  const emulation = process.env.EMULATION ?? http;
  const more = { emulationEndpoint: `${emulation}/emulation`, fetch, readableStream: ReadableStream, eventsource: EventSource };
  return new Client([{ transport: way, endpoint: `${http}/connection/${way}` }], { ...all, ...more });
}

/// A payload as the codec carries it.
export function pack(value, of = codec) {
  return of === 'protobuf' ? new TextEncoder().encode(JSON.stringify(value)) : value;
}

export function unpack(data, of = codec) {
  return of === 'protobuf' ? JSON.parse(new TextDecoder().decode(data)) : data;
}

/// The next event of an emitter.
export function next(emitter, event) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event} came`)), 15000);
    emitter.once(event, (context) => {
      clearTimeout(late);
      resolve(context);
    });
  });
}

/// The error of a promise that must fail.
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
}

/// Calls a method of the HTTP API; returns its answer, or the status if that is not 200.
export async function api(method, body, { key = 'test-api-key', at = url } = {}) {
  const address = `${at.replace('ws:', 'http:').replace('/connection/websocket', '')}/api/${method}`;
  const headers = { 'X-API-Key': key };
  const answer = await fetch(address, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.status === 200 ? answer.json() : answer.status;
}

export function done() {
  console.log('done');
  process.exit(0);
}
