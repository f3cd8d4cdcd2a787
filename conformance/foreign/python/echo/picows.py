"""Python `picows`, which has neither compression nor a check of UTF-8; it hands over frames."""

import asyncio

from picows import WSListener, WSMsgType, ws_connect, ws_create_server

from . import LARGEST


class Echo(WSListener):
    def on_ws_connected(self, transport):
        self.first = None
        self.kind = None
        self.parts = []

    def on_ws_frame(self, transport, frame):
        kind = frame.msg_type
        if kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            if kind != WSMsgType.CONTINUATION:
                self.kind = kind
            self.parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                payload, self.parts = b"".join(self.parts), []
                self.first = self.first or payload
                transport.send(self.kind, payload)


async def serve(listening):
    server = await ws_create_server(lambda request: Echo(), "127.0.0.1", 0, max_frame_size=LARGEST, enable_auto_pong=False)
    listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def echo(url):
    transport, listener = await ws_connect(Echo, url, max_frame_size=LARGEST, enable_auto_pong=False)
    await transport.wait_disconnected()
    return listener.first
