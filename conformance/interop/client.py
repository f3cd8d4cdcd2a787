"""Test client on Python `websockets`: runs one scenario against an echo server.

Exit status 0 when all holds, 1 with the difference on stderr when not.
"""

import argparse
import asyncio
import os
import random
import string
import sys
import traceback

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from client_peer import Difference, check, echo, echo_all, finish, open_ws, send_frame

TIMEOUT = 20
# Around the borders of the three length encodings of a frame.
SIZES = [125, 126, 65535, 65536]
LETTERS = string.ascii_letters + string.digits + "+/"
SCENARIOS = {}


def scenario(run):
    SCENARIOS[run.__name__.replace("_", "-")] = run
    return run


@scenario
async def text(args):
    words = ["", "hello", "a\0b", "Grüße", "日本語テキスト", "👋🏽 👩‍👩‍👧", "\ufeffmark", "\U0010ffff"]
    await echo_all(args, words + ["x" * size for size in SIZES] + ["é" * 32768])


@scenario
async def binary(args):
    await echo_all(args, [b"", b"\0", *(os.urandom(size) for size in SIZES)])


@scenario
async def megabyte(args):
    sizes = [1024 * 1024, 5 * 1024 * 1024]
    await echo_all(args, ["x" * size for size in sizes])
    await echo_all(args, [os.urandom(size) for size in sizes])


@scenario
async def fragments(args):
    ws = await open_ws(args)
    # Pieces of one octet, which cut the characters of the text in two.
    string, octets = "zwölf Stücke 🧩", os.urandom(300)
    for kind, message, payload in (("text", string, string.encode()), ("binary", octets, octets)):
        for at in range(len(payload)):
            if at == len(payload) // 2:
                pong = await ws.ping(b"between")
                await pong
            await send_frame(ws, payload[at : at + 1], first=None if at else kind)
        await send_frame(ws, b"", fin=True)
        check("echo", await ws.recv(), message)
    # Large pieces, with an empty one among them.
    await send_frame(ws, b"a" * 70000, first="text")
    await send_frame(ws, b"")
    await send_frame(ws, b"b" * 70000, fin=True)
    check("echo", await ws.recv(), "a" * 70000 + "b" * 70000)
    await finish(ws)


@scenario
async def ping(args):
    ws = await open_ws(args)
    # The library completes a ping only by a pong with the payload of this ping
    # or of a later one.
    for payload in (b"", b"payload", os.urandom(125)):
        pong = await ws.ping(payload)
        await pong
    pongs = [await ws.ping(f"ping {n}") for n in range(20)]
    await asyncio.gather(*pongs)
    await echo(ws, "still here")
    await finish(ws)


@scenario
async def close(args):
    for code in (1000, 1001, 3000, 4999):
        ws = await open_ws(args)
        await echo(ws, "before the close")
        await finish(ws, code, f"reason {code} ✓")


@scenario
async def many(args):
    ws = await open_ws(args)

    async def send_all():
        for n in range(1000):
            await ws.send(f"message {n}")

    async def receive_all():
        for n in range(1000):
            check("order", await ws.recv(), f"message {n}")

    await asyncio.gather(send_all(), receive_all())
    await finish(ws)


@scenario
async def subprotocol(args):
    ws = await open_ws(args, subprotocols=["chat.v2", "chat.v1"])
    check("subprotocol", ws.subprotocol or "", args.expect)
    await echo(ws, "hello")
    await finish(ws)


async def echo_compressed(args, **offer):
    """Echoes messages of many kinds with permessage-deflate."""
    ws = await open_ws(args, extensions=[ClientPerMessageDeflateFactory(**offer)])
    header = ws.response.headers.get("Sec-WebSocket-Extensions", "")
    check("extension of the response", header.split(";")[0].strip(), "permessage-deflate")
    noise = os.urandom(20000)
    for message in ("", b"", "a", "hello " * 200, "ü" * 5000, noise, noise, os.urandom(300000)):
        await echo(ws, message)
    before = ws.octets_in
    await echo(ws, "compress me, " * 80000)
    if ws.octets_in - before > 100000:
        raise Difference("the server did not compress a large, repetitive message")
    await echo(ws, "hello " * 200)
    await finish(ws)


@scenario
async def deflate(args):
    await echo_compressed(args)


@scenario
async def deflate_no_takeover(args):
    # The library itself insists on server_no_context_takeover in the answer.
    await echo_compressed(args, server_no_context_takeover=True, client_no_context_takeover=True)


@scenario
async def deflate_window(args):
    # The library itself insists on a server_max_window_bits of at most 10.
    await echo_compressed(args, server_max_window_bits=10, client_max_window_bits=10)


@scenario
async def deflate_windows(args):
    for bits in range(9, 16):
        for no_takeover in (False, True):
            await echo_repeated(
                args, server_max_window_bits=bits, server_no_context_takeover=no_takeover
            )


async def echo_repeated(args, **offer):
    """Echoes what repeats the messages before it, near and far. Behind /shared some answers refer to none."""
    # The library itself insists on both parameters in the answer.
    ws = await open_ws(args, extensions=[ClientPerMessageDeflateFactory(**offer)])
    dice = random.Random(1)
    total = 0
    for size in (40, 100, 200, 700, 3000, 12000, 30000):
        # 6 bits of noise in an octet.
        one, two = ("".join(dice.choices(LETTERS, k=size)) for _ in range(2))
        for message in (one, two + two, one, two, one + two, two + one + two, one + one, two + one):
            await echo(ws, message if size % 200 else message.encode())
            total += len(message)
    # The noise alone makes it 0.76, what is not compressed 1.
    if ws.octets_in > total * 0.83:
        raise Difference(f"the server did not compress: {ws.octets_in} octets for {total}")
    await finish(ws)


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"])
    parser.add_argument("--ca", metavar="FILE")
    parser.add_argument("--client-cert", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--expect", metavar="NAME", help="subprotocol, '' for none")
    args = parser.parse_args()
    if args.scenario == "subprotocol" and args.expect is None:
        parser.error("subprotocol needs --expect")
    return args


async def main():
    args = parse_args()
    names = [args.scenario]
    if args.scenario == "all":
        names = [name for name in SCENARIOS if name != "subprotocol" or args.expect is not None]
    name = ""
    try:
        async with asyncio.timeout(TIMEOUT):
            for name in names:
                await SCENARIOS[name](args)
                print(f"ok {name}", flush=True)
    except Difference as difference:
        sys.exit(f"{name}: {difference}")
    except TimeoutError as error:
        sys.exit(f"{name}: {str(error) or f'no end within {TIMEOUT} s'}")
    except Exception:
        sys.exit(f"{name}: {traceback.format_exc().rstrip()}")


asyncio.run(main())
