"""Echo server on Python `aiohttp`, for wsconform."""

import asyncio

from aiohttp import WSMsgType, web

LARGEST = 64 * 1024 * 1024


async def echo(request):
    ws = web.WebSocketResponse(max_msg_size=LARGEST, compress=True)
    await ws.prepare(request)
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await ws.send_bytes(message.data)
    except ConnectionError:
        pass
    return ws


async def main():
    app = web.Application()
    app.router.add_get("/{path:.*}", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on ws://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
