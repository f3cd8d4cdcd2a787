"""Python `gevent-websocket`."""

from gevent.server import _tcp_listener
from geventwebsocket import WebSocketError, WebSocketServer, WebSocketApplication, Resource


class Echo(WebSocketApplication):
    def on_message(self, message):
        if message is not None:
            self.ws.send(message, binary=isinstance(message, (bytes, bytearray)))


def serve(listening):
    listener = _tcp_listener(("127.0.0.1", 0))
    listening(listener.getsockname()[1])
    WebSocketServer(listener, Resource([("/", Echo)]), log=None, error_log=None).serve_forever()
