"""Client on Python `aiohttp` that lets wsconform test it: aiohttp_client.py URL AGENT."""

import asyncio

from aiohttp import ClientSession, WSMsgType
from yarl import URL

from testee import test

LARGEST = 64 * 1024 * 1024


async def main():
    async with ClientSession() as session:

        def dial(url):
            return session.ws_connect(URL(url, encoded=True), max_msg_size=LARGEST, compress=15)

        async def receive_one(url):
            async with dial(url) as ws:
                message = await ws.receive()
                return message.data if message.type is WSMsgType.TEXT else None

        async def echo_all(url):
            async with dial(url) as ws:
                async for message in ws:
                    if message.type is WSMsgType.TEXT:
                        await ws.send_str(message.data)
                    elif message.type is WSMsgType.BINARY:
                        await ws.send_bytes(message.data)

        await test(receive_one, echo_all)


asyncio.run(main())
