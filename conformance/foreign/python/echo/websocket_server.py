"""Python `websocket-server`, which knows text only."""

from websocket_server import WebsocketServer


def serve(listening):
    server = WebsocketServer("127.0.0.1", 0, loglevel=100)
    server.set_fn_message_received(lambda client, server, message: server.send_message(client, message))
    listening(server.port)
    server.run_forever()
