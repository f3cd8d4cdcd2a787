"""Checks the path commands of a server of this folder (used by selftest.sh)."""

import argparse
import asyncio
import base64
import http.client
import json
import os
import sys

from client_peer import check, finish, open_ws
from websockets.exceptions import ConnectionClosed


def at(url, path):
    return argparse.Namespace(url=url + path, ca=None, client_cert=None)


def upgrade_request(url, path):
    """A handshake without a WebSocket library, to see the bare HTTP answer."""
    connection = http.client.HTTPConnection(url.removeprefix("ws://"), timeout=5)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response, response.read().decode()


async def check_close(url, path, code, reason):
    ws = await open_ws(at(url, path))
    try:
        await ws.recv()
    except ConnectionClosed as closed:
        got = (int(closed.rcvd.code), closed.rcvd.reason)
        check(path, got, (code, reason))


async def main():
    url = sys.argv[1]

    ws = await open_ws(at(url, "/any/path?with=query"))
    for message in ("text", b"binary"):
        await ws.send(message)
        check("echo", await ws.recv(), message)
    await finish(ws)

    await check_close(url, "/close/1000/", 1000, "")
    await check_close(url, "/close/1001", 1001, "")
    await check_close(url, "/close/4321/so%20long%20%E2%9C%93", 4321, "so long ✓")
    await check_close(url, "/close/1005/no", 1011, "")

    ws = await open_ws(at(url, "/ping"))
    check("/ping", await ws.recv(), "pong ok")
    await ws.send("echo after it")
    check("echo after /ping", await ws.recv(), "echo after it")
    await finish(ws)

    ws = await open_ws(at(url, "/fragments"))
    pieces = [piece async for piece in ws.recv_streaming()]
    check("/fragments", pieces, ["one ", "two ", "three"])
    await finish(ws)

    extra = [("X-Test", "one"), ("X-Test", "two")]
    ws = await open_ws(at(url, "/headers"), additional_headers=extra)
    seen = json.loads(await ws.recv())
    check("/headers", (seen["upgrade"], seen["x-test"]), ("websocket", "one, two"))
    await finish(ws)

    response, body = upgrade_request(url, "/reject")
    got = (response.status, response.headers["X-Why"], body)
    check("/reject", got, (403, "test", "no entry"))
    response, _ = upgrade_request(url, "/redirect")
    check("/redirect", (response.status, response.headers["Location"]), (302, "/elsewhere"))

    # The self-test starts the server with --max-size 1000.
    ws = await open_ws(at(url, "/"))
    await ws.send("x" * 1000)
    check("at --max-size", await ws.recv(), "x" * 1000)
    await ws.send("x" * 1001)
    try:
        check("over --max-size", await ws.recv(), None)
    except ConnectionClosed as closed:
        check("over --max-size", int(closed.rcvd.code), 1009)


asyncio.run(main())
