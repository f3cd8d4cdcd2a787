"""Python `websocket-client`, which blocks."""

from websocket import ABNF, WebSocketConnectionClosedException, create_connection


def echo(url):
    ws = create_connection(url, timeout=60)
    first = None
    try:
        while True:
            opcode, data = ws.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:
                return first
            first = first or data
            ws.send(data, opcode)
    except WebSocketConnectionClosedException:
        return first
    finally:
        ws.close()
