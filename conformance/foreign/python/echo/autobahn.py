"""Python `autobahn`, on asyncio."""

import asyncio
from urllib.parse import urlsplit

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)

from . import LARGEST


class Server(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)


class Client(WebSocketClientProtocol):
    first = None

    def onMessage(self, payload, isBinary):
        self.first = self.first or payload
        self.sendMessage(payload, isBinary)

    def onClose(self, wasClean, code, reason):
        self.done.set()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.done.set()


def accept_offer(offers):
    return next((PerMessageDeflateOfferAccept(offer) for offer in offers if isinstance(offer, PerMessageDeflateOffer)), None)


def accept_response(response):
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


async def serve(listening):
    factory = WebSocketServerFactory()
    factory.protocol = Server
    factory.setProtocolOptions(maxMessagePayloadSize=LARGEST, maxFramePayloadSize=LARGEST, perMessageCompressionAccept=accept_offer)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def echo(url):
    factory = WebSocketClientFactory(url)
    factory.protocol = Client
    factory.setProtocolOptions(
        maxMessagePayloadSize=LARGEST,
        maxFramePayloadSize=LARGEST,
        perMessageCompressionOffers=[PerMessageDeflateOffer()],
        perMessageCompressionAccept=accept_response,
    )
    done = asyncio.Event()

    def connection():
        protocol = factory()
        protocol.done = done
        return protocol

    at = urlsplit(url)
    _, protocol = await asyncio.get_running_loop().create_connection(connection, at.hostname, at.port)
    await done.wait()
    return protocol.first
