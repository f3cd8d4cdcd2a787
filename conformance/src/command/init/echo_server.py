"""Echo server that wsconform tests. Replace `websockets` by your own library; keep the echo.

Install: pip install websockets
"""

import asyncio
import os
from urllib.parse import urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# Where wsconform will connect.
URL = urlsplit(os.environ.get("WSCONFORM_URL", "ws://127.0.0.1:9001"))

# The suite sends messages of up to 16 MiB.
LARGEST = 64 * 1024 * 1024


async def echo(ws):
    try:
        async for message in ws:
            await ws.send(message)
    except ConnectionClosed:
        pass


async def main():
    async with serve(echo, URL.hostname, URL.port, max_size=LARGEST) as server:
        await server.serve_forever()


asyncio.run(main())
