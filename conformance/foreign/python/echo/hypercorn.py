"""Python `hypercorn`, which speaks WebSocket by `wsproto`, over HTTP/2 too."""

import asyncio

from hypercorn.asyncio import serve as listen
from hypercorn.config import Config

from . import LARGEST, asgi, free_port


async def serve(listening):
    config = Config()
    config.bind = [f"127.0.0.1:{free_port(listening)}"]
    config.websocket_max_message_size = LARGEST
    config.errorlog = None
    await listen(asgi, config, shutdown_trigger=asyncio.Event().wait)
