"""libsoup, by its GObject introspection: soup.py server. It needs the system's Python, which has `gi`."""

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup  # noqa: E402

LARGEST = 64 * 1024 * 1024
open_ones = set()


def opened(server, message, path, ws):
    ws.set_max_incoming_payload_size(LARGEST)
    ws.connect("message", lambda ws, kind, data: ws.send_message(kind, data))
    ws.connect("closed", open_ones.discard)
    open_ones.add(ws)


server = Soup.Server()
server.add_websocket_handler(None, None, None, opened)
server.listen_local(0, Soup.ServerListenOptions.IPV4_ONLY)
print(f"listening on ws://127.0.0.1:{server.get_uris()[0].get_port()}", flush=True)
GLib.MainLoop().run()
