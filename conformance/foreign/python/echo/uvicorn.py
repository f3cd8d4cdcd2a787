"""Python `uvicorn`, with its implementation of WebSocket on `wsproto`."""

import uvicorn

from . import LARGEST, asgi, free_port


def serve(listening):
    uvicorn.run(
        asgi,
        host="127.0.0.1",
        port=free_port(listening),
        ws="wsproto",
        ws_max_size=LARGEST,
        log_level="critical",
        lifespan="off",
    )
