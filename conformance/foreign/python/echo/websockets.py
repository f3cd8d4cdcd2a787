"""Python `websockets`."""

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from . import LARGEST


async def echo_all(ws):
    first = None
    try:
        async for message in ws:
            first = first or message
            await ws.send(message)
    except ConnectionClosed:
        pass
    return first


async def serve(listening):
    async with listen(echo_all, "127.0.0.1", 0, max_size=LARGEST) as server:
        listening(server.sockets[0].getsockname()[1])
        await server.serve_forever()


async def echo(url):
    async with connect(url, max_size=LARGEST, proxy=None) as ws:
        return await echo_all(ws)
