"""Connections and checks for the test client on Python `websockets`."""

import asyncio
import ssl
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CLOSE_LIMIT = 3


class Difference(Exception):
    """The server did something else than the scenario expects."""


def check(what, got, want):
    if got != want:
        raise Difference(f"{what}: got {short(got)}, want {short(want)}")


def short(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(value)} long)"


class CountingConnection(ClientConnection):
    """Counts the octets that came from the server."""

    octets_in = 0

    def data_received(self, data):
        self.octets_in += len(data)
        super().data_received(data)


async def open_ws(args, **options):
    context = None
    if args.url.startswith("wss:"):
        context = ssl.create_default_context(cafile=args.ca)
        if args.client_cert:
            context.load_cert_chain(*args.client_cert)
    return await connect(
        args.url,
        ssl=context,
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
        create_connection=CountingConnection,
        **options,
    )


async def finish(ws, code=1000, reason=""):
    """Closes; checks the close frame of the server, the end of TCP, the silence."""
    start = time.monotonic()
    await ws.close(code, reason)
    if time.monotonic() - start > CLOSE_LIMIT:
        raise Difference(f"close {code}: took more than {CLOSE_LIMIT} s")
    received = ws.protocol.close_rcvd
    if received is None:
        raise Difference(f"close {code}: no close frame from the server")
    check(f"close {code}: code of the server", int(received.code), code)
    try:
        extra = await ws.recv()
    except ConnectionClosed:
        return
    raise Difference(f"one message too many: {short(extra)}")


async def echo(ws, message):
    # Both at once, so that a server may answer before it has read all.
    _, answer = await asyncio.gather(ws.send(message), ws.recv())
    check("echo", answer, message)


async def echo_all(args, messages):
    ws = await open_ws(args)
    for message in messages:
        await echo(ws, message)
    await finish(ws)


async def send_frame(ws, data, *, first=None, fin=False):
    """Sends one frame; `send` with pieces would add an empty last frame."""
    protocol = ws.protocol
    starts = {"text": protocol.send_text, "binary": protocol.send_binary}
    async with ws.send_context():
        starts.get(first, protocol.send_continuation)(data, fin=fin)
