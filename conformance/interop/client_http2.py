"""Echo client on Python `h2` and the frames of `wsproto`, over HTTP/2: a foreign peer for tests of the suite.

Arguments: the URL of the suite, and the name of this client. Asks for the number of cases, runs each, and ends.
"""

import socket
import sys
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

PATIENCE = 20


class Ended(Exception):
    """The stream, or the connection, is over."""


class Stream:
    """A WebSocket on a connection of its own."""

    def __init__(self, url, path):
        self.authority = url.netloc
        self.path = path
        self.socket = socket.create_connection((url.hostname, url.port), timeout=PATIENCE)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        self.stream = None
        self.settled = False
        self.status = None
        self.offered = None
        self.data = bytearray()
        self.ended = False
        self.flush()

    def flush(self):
        data = self.http.data_to_send()
        if data:
            self.socket.sendall(data)

    def pump(self):
        """Reads once, and handles what came."""
        received = self.socket.recv(1 << 16)
        if not received:
            raise Ended
        for event in self.http.receive_data(received):
            self.handle(event)
        self.flush()

    def handle(self, event):
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settled = True
        elif isinstance(event, h2.events.ResponseReceived):
            fields = dict(event.headers)
            self.status = int(fields[":status"])
            # Nothing was offered.
            for name in ("sec-websocket-protocol", "sec-websocket-extensions"):
                if name in fields:
                    self.status = 0
        elif isinstance(event, h2.events.DataReceived):
            self.data += event.data
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.ended = True
        elif isinstance(event, h2.events.TrailersReceived):
            raise Ended
        elif isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
            raise Ended

    def open(self):
        while not self.settled:
            self.pump()
        code = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        if self.http.remote_settings.get(code) != 1:
            raise Ended
        self.stream = self.http.get_next_available_stream_id()
        self.http.send_headers(
            self.stream,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":path", self.path),
                (":authority", self.authority),
                ("sec-websocket-version", "13"),
            ],
        )
        self.flush()
        while self.status is None and not self.ended:
            self.pump()
        if self.status is None or not 200 <= self.status < 300:
            self.http.reset_stream(self.stream, 8)
            self.flush()
            raise Ended

    def send(self, data):
        view = memoryview(data)
        while view:
            room = self.http.local_flow_control_window(self.stream)
            count = min(room, self.http.max_outbound_frame_size, len(view))
            if count <= 0:
                self.pump()
                continue
            self.http.send_data(self.stream, bytes(view[:count]))
            view = view[count:]
            self.flush()

    def close(self):
        try:
            if self.stream is not None:
                self.http.end_stream(self.stream)
                self.flush()
        except (h2.exceptions.ProtocolError, OSError):
            pass
        self.socket.close()


def run(url, path):
    """Echoes until the WebSocket ends; returns the messages."""
    messages = []
    stream = Stream(url, path)
    try:
        stream.open()
        echo(stream, messages)
    except (Ended, OSError, KeyError, ValueError, h2.exceptions.ProtocolError):
        try:
            stream.flush()
        except OSError:
            pass
    finally:
        stream.close()
    return messages


def echo(stream, messages):
    frames = Connection(ConnectionType.CLIENT)
    parts = []
    while True:
        if stream.data:
            frames.receive_data(bytes(stream.data))
            stream.data.clear()
        try:
            for event in frames.events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    parts.append(event.data)
                    if event.message_finished:
                        whole = (b"" if isinstance(event, BytesMessage) else "").join(parts)
                        parts = []
                        messages.append(whole)
                        kind = BytesMessage if isinstance(event, BytesMessage) else TextMessage
                        stream.send(frames.send(kind(data=whole)))
                elif isinstance(event, Ping):
                    stream.send(frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    stream.send(frames.send(event.response()))
                    while not stream.ended:
                        stream.pump()
                    return
        except RemoteProtocolError as error:
            if error.event_hint is not None:
                stream.send(frames.send(error.event_hint))
            return
        except LocalProtocolError:
            return
        if stream.ended:
            return
        stream.pump()


def main():
    url = urlsplit(sys.argv[1])
    name = sys.argv[2]
    count = int(run(url, "/getCaseCount")[0])
    for number in range(1, count + 1):
        run(url, f"/runCase?case={number}&agent={name}")
    run(url, f"/updateReports?agent={name}")


main()
