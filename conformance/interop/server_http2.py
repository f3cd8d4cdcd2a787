"""Echo server on Python `hypercorn` and `wsproto`, over HTTP/1.1 and HTTP/2: a foreign peer for tests of the suite.

Listens on a free loopback port, prints {"port": N} and runs until stdin ends.
"""

import argparse
import asyncio
import json
import socket
import threading

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a page\n"})
        return
    if scope["type"] != "websocket":
        return
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        kind = "text" if message.get("text") is not None else "bytes"
        await send({"type": "websocket.send", kind: message[kind]})


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    return parser.parse_args()


async def main():
    args = parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "ERROR"
    config.websocket_max_message_size = 64 << 20
    if args.tls:
        config.certfile, config.keyfile = args.tls
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch():
        import sys

        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    await serve(app, config, shutdown_trigger=ended.wait)


asyncio.run(main())
