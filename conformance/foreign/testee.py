"""What a client under test does, whatever library it is made of."""

import asyncio
import sys

AT_A_TIME = 8
# Long: a case may be 1000 messages of 128 KiB, and others run beside it in this thread.
CASE_LIMIT = 120
SELDOM = 10


async def test(receive_one, echo_all):
    """Runs all cases of the fuzzing server at argv[1], under the agent's name in argv[2].

    `receive_one(url)` returns the first message, or None when there is none; `echo_all(url)` echoes until the connection ends.
    """
    url, agent = sys.argv[1], sys.argv[2]
    count = int(await asyncio.wait_for(receive_one(f"{url}/getCaseCount"), SELDOM))
    cases = iter(range(1, count + 1))

    async def work():
        for case in cases:
            try:
                async with asyncio.timeout(CASE_LIMIT):
                    await echo_all(f"{url}/runCase?case={case}&agent={agent}")
            except Exception as error:
                # The verdict is the server's.
                print(f"{case}: {type(error).__name__}: {str(error)[:200]}", flush=True)

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))
    await asyncio.wait_for(receive_one(f"{url}/updateReports?agent={agent}"), SELDOM)
