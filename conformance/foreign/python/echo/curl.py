"""libcurl, by Python's `curl_cffi`, which blocks."""

import select

from curl_cffi import Curl, CurlError, CurlOpt
from curl_cffi.const import CurlECode, CurlInfo, CurlWsFlag


def echo(url):
    curl = Curl()
    curl.setopt(CurlOpt.URL, url.encode())
    curl.setopt(CurlOpt.CONNECT_ONLY, 2)
    curl.perform()
    socket = curl.getinfo(CurlInfo.ACTIVESOCKET)
    first, parts = None, []
    try:
        while True:
            try:
                chunk, frame = curl.ws_recv()
            except CurlError as error:
                if error.code != CurlECode.AGAIN:
                    return first
                select.select([socket], [], [], 60)
                continue
            if frame.flags & CurlWsFlag.CLOSE:
                curl.ws_send(chunk, CurlWsFlag.CLOSE)
                return first
            if frame.flags & (CurlWsFlag.PING | CurlWsFlag.PONG):
                continue
            parts.append(chunk)
            if frame.bytesleft == 0 and not frame.flags & CurlWsFlag.CONT:
                payload, parts = b"".join(parts), []
                first = first or payload
                send(curl, socket, payload, frame.flags & (CurlWsFlag.TEXT | CurlWsFlag.BINARY))
    finally:
        curl.close()


def send(curl, socket, payload, flags):
    """All of it: a call may take a part."""
    while True:
        try:
            sent = curl.ws_send(payload, flags)
        except CurlError as error:
            if error.code != CurlECode.AGAIN:
                raise
            sent = 0
        payload = payload[sent:]
        if not payload:
            return
        select.select([], [socket], [], 60)
