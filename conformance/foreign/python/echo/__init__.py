"""The libraries, each with its default settings, but messages of up to 64 MiB, and compression where it is to be had."""

import socket
import threading
import time

LARGEST = 64 * 1024 * 1024


def free_port(listening):
    """A port for a server that cannot tell which one it got; calls `listening` with it once somebody answers there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    def wait():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return listening(port)
            except OSError:
                time.sleep(0.05)

    threading.Thread(target=wait, daemon=True).start()
    return port


async def asgi(scope, receive, send):
    """The echo, for servers of ASGI."""
    if scope["type"] != "websocket":
        return
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
