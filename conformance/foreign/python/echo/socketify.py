"""Python `socketify`, which is uWebSockets in C++."""

from socketify import App, AppListenOptions, CompressOptions

from . import LARGEST, free_port


def serve(listening):
    app = App()
    app.ws(
        "/*",
        {
            "compression": CompressOptions.DEDICATED_COMPRESSOR,
            "max_payload_length": LARGEST,
            "max_backpressure": LARGEST,
            "idle_timeout": 120,
            "message": lambda ws, message, opcode: ws.send(message, opcode, True),
        },
    )
    app.listen(AppListenOptions(port=free_port(listening), host="127.0.0.1"))
    app.run()
