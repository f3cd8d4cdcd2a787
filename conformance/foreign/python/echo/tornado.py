"""Python `tornado`."""

import asyncio

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler, websocket_connect

from . import LARGEST


class Handler(WebSocketHandler):
    def get_compression_options(self):
        return {}

    def check_origin(self, origin):
        return True

    async def on_message(self, message):
        try:
            await self.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            pass


async def serve(listening):
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([(r"/.*", Handler)], websocket_max_message_size=LARGEST))
    server.add_sockets(sockets)
    listening(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


async def echo(url):
    ws = await websocket_connect(url, compression_options={}, max_message_size=LARGEST)
    first = None
    while (message := await ws.read_message()) is not None:
        first = first or message
        try:
            await ws.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            break
    return first
