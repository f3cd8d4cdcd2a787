"""Python `aiohttp`."""

import asyncio

from aiohttp import ClientSession, WSMsgType, web
from yarl import URL

from . import LARGEST

session = None


async def echo_all(ws):
    first = None
    try:
        async for message in ws:
            first = first or message.data
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
    except ConnectionError:
        pass
    return first


async def answer(request):
    ws = web.WebSocketResponse(max_msg_size=LARGEST, compress=True)
    await ws.prepare(request)
    await echo_all(ws)
    return ws


async def serve(listening):
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listening(runner.addresses[0][1])
    await asyncio.Event().wait()


async def echo(url):
    global session
    session = session or ClientSession()
    async with session.ws_connect(URL(url, encoded=True), max_msg_size=LARGEST, compress=15) as ws:
        return await echo_all(ws)
