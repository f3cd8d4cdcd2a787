"""Echo server on Python `websockets`, for wsconform."""

import asyncio

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LARGEST = 64 * 1024 * 1024


async def echo(ws):
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=LARGEST) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
