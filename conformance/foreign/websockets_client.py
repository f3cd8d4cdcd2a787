"""Client on Python `websockets` that lets wsconform test it: websockets_client.py URL AGENT."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from testee import test

LARGEST = 64 * 1024 * 1024


def dial(url):
    return connect(url, max_size=LARGEST, proxy=None)


async def receive_one(url):
    async with dial(url) as ws:
        try:
            return await ws.recv()
        except ConnectionClosed:
            return None


async def echo_all(url):
    async with dial(url) as ws:
        async for message in ws:
            await ws.send(message)


asyncio.run(test(receive_one, echo_all))
