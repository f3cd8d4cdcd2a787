"""The same with the Python library: every command, over one codec, against `realtime --insecure`."""

import asyncio
import json
import os
import sys

from centrifuge import CentrifugeError, Client, ClientEventHandler, SubscriptionEventHandler

URL, CODEC = sys.argv[1:3]
PROTOBUF = CODEC == "protobuf"


def pack(value):
    return json.dumps(value).encode() if PROTOBUF else value


def unpack(data):
    return json.loads(data) if PROTOBUF else data


class Events(SubscriptionEventHandler):
    def __init__(self):
        self.publications = asyncio.Queue()
        self.joins = asyncio.Queue()

    async def on_publication(self, ctx):
        await self.publications.put(ctx.pub)

    async def on_join(self, ctx):
        await self.joins.put(ctx.info.client)


async def main():
    client = Client(URL, events=ClientEventHandler(), use_protobuf=PROTOBUF)
    channel = f"recovery:python-{CODEC}-{os.getpid()}"
    events = Events()
    await client.connect()
    subscription = client.new_subscription(channel, events=events, join_leave=True)
    await subscription.subscribe()
    await asyncio.wait_for(subscription.ready(), 15)
    await asyncio.wait_for(events.joins.get(), 15)
    for number in range(1, 6):
        await subscription.publish(pack({"number": number}))
    for number in range(1, 6):
        publication = await asyncio.wait_for(events.publications.get(), 15)
        assert unpack(publication.data) == {"number": number}, publication
        assert publication.offset == number, publication
    history = await subscription.history(limit=2, reverse=True)
    assert [unpack(one.data)["number"] for one in history.publications] == [5, 4]
    assert history.offset == 5
    assert len((await subscription.presence()).clients) == 1
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (1, 1)
    assert unpack((await client.rpc("echo", pack([1, None]))).data) == [1, None]
    try:
        await client.rpc("unknown", pack(1))
        raise AssertionError("it did not fail")
    except CentrifugeError as error:
        assert "104" in str(error) or getattr(error, "code", 0) == 104, error
    await subscription.unsubscribe()
    await client.disconnect()
    print("done")


asyncio.run(main())
