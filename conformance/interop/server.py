"""Echo server on Python `websockets`, a foreign peer for the interop tests.

Listens on a free loopback port, prints {"port": N} and runs until stdin ends.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import threading
from urllib.parse import unquote

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--client-ca", metavar="CA")
    parser.add_argument("--deflate", choices=["none", "on", "no-takeover"], default="none")
    parser.add_argument("--window-bits", type=int, metavar="N")
    parser.add_argument("--subprotocols", metavar="A,B")
    parser.add_argument("--max-size", type=int, default=64 * 1024 * 1024)
    return parser.parse_args()


def tls_context(args):
    if args.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*args.tls)
    if args.client_ca:
        context.load_verify_locations(args.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def extensions(args):
    if args.deflate == "none":
        return None
    no_takeover = args.deflate == "no-takeover"
    return [
        ServerPerMessageDeflateFactory(
            server_no_context_takeover=no_takeover,
            client_no_context_takeover=no_takeover,
            server_max_window_bits=args.window_bits,
            client_max_window_bits=args.window_bits,
        )
    ]


def subprotocol_chooser(args):
    """First of our list that the client offers; none is no error."""
    if args.subprotocols is None:
        return None
    ours = args.subprotocols.split(",")

    def choose(_connection, offered):
        return next((name for name in ours if name in offered), None)

    return choose


def answer_http(connection, request):
    """Answers the paths that never become a WebSocket."""
    path = request.path.split("?")[0]
    if path == "/reject":
        response = connection.respond(403, "no entry")
        response.headers["X-Why"] = "test"
        return response
    if path == "/redirect":
        response = connection.respond(302, "")
        response.headers["Location"] = "/elsewhere"
        return response
    return None


async def send_fragments(ws):
    # send() with an iterable would add an empty last frame, so the three
    # frames are written one by one.
    async with ws.send_context():
        ws.protocol.send_text(b"one ", fin=False)
    await ws.ping(b"between")
    async with ws.send_context():
        ws.protocol.send_continuation(b"two ", fin=False)
    async with ws.send_context():
        ws.protocol.send_continuation(b"three", fin=True)


async def run_command(ws):
    """Does what the request path asks for, before the echo loop."""
    _, command, *rest = ws.request.path.split("?")[0].split("/")
    if command == "close":
        code = int(rest[0])
        reason = unquote("/".join(rest[1:]))
        await ws.close(code, reason)
    elif command == "ping":
        pong = await ws.ping(b"hello")
        await pong
        await ws.send("pong ok")
    elif command == "fragments":
        await send_fragments(ws)
    elif command == "headers":
        seen = {}
        for name, value in ws.request.headers.raw_items():
            name = name.lower()
            seen[name] = f"{seen[name]}, {value}" if name in seen else value
        await ws.send(json.dumps(seen))


async def handle(ws):
    try:
        await run_command(ws)
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass
    except (IndexError, ValueError, ProtocolError) as error:
        # A path that asks for a close code that must not be sent, or for none.
        print(f"server.py: {error}", file=sys.stderr)
        await ws.close(1011)


def exit_at_end_of_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)


async def main():
    args = parse_args()
    threading.Thread(target=exit_at_end_of_stdin, daemon=True).start()
    server = await serve(
        handle,
        "127.0.0.1",
        0,
        ssl=tls_context(args),
        compression=None,
        extensions=extensions(args),
        select_subprotocol=subprotocol_chooser(args),
        process_request=answer_http,
        max_size=args.max_size,
        ping_interval=None,
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
