"""Python `granian`, a server in Rust."""

from granian import Granian
from granian.constants import Interfaces

from . import asgi as application, free_port


def serve(listening):
    Granian(
        "echo.granian:application",
        address="127.0.0.1",
        port=free_port(listening),
        interface=Interfaces.ASGINL,
        log_enabled=False,
    ).serve()
