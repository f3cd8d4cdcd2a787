"""A subscriber of the Python library beside those of `recovery.mjs`: each publication has to arrive once, in order.

Arguments: the URL, the codec, the channel, how many publications there are, and how often it recovers at least.
"""

import asyncio
import json
import sys

from centrifuge import Client, SubscriptionEventHandler

URL, CODEC, CHANNEL = sys.argv[1:4]
COUNT, LEAST = map(int, sys.argv[4:6])
PROTOBUF = CODEC == "protobuf"


class Events(SubscriptionEventHandler):
    def __init__(self):
        self.seen = []
        self.recoveries = 0

    async def on_publication(self, ctx):
        value = json.loads(ctx.pub.data) if PROTOBUF else ctx.pub.data
        self.seen.append((ctx.pub.offset, value["number"]))

    async def on_subscribed(self, ctx):
        if ctx.was_recovering:
            assert ctx.recovered, "it could not recover"
            self.recoveries += 1


async def main():
    client = Client(URL, use_protobuf=PROTOBUF, min_reconnect_delay=0.02, max_reconnect_delay=0.2)
    events = Events()
    subscription = client.new_subscription(CHANNEL, events=events)
    await client.connect()
    await subscription.subscribe()
    await asyncio.wait_for(subscription.ready(), 30)
    print("ready", flush=True)
    # The parent ends it if nothing comes any more.
    while len(events.seen) < COUNT:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert [offset for offset, _ in events.seen] == list(range(1, COUNT + 1)), len(events.seen)
    assert len({number for _, number in events.seen}) == COUNT
    assert events.recoveries >= LEAST, events.recoveries
    await client.disconnect()
    print("done", flush=True)


asyncio.run(main())
