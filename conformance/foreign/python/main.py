"""Runs one library of the folder `echo`: main.py LIBRARY server, or main.py LIBRARY client URL AGENT.

Its module has `serve(listening)`, which calls `listening(port)` and serves until the process ends, and `echo(url)`, which echoes until the
connection ends and returns the first message; either may be missing. Both may be coroutines.
"""

import asyncio
import importlib
import inspect
import sys

AT_A_TIME = 8
# Long: a case may be many messages of 128 KiB, and others run beside it in this thread.
CASE_LIMIT = 120
SELDOM = 10


def listening(port):
    print(f"listening on ws://127.0.0.1:{port}", flush=True)


async def test(echo, url, agent):
    """Runs all cases of the fuzzing server."""
    count = int(await asyncio.wait_for(echo(f"{url}/getCaseCount"), SELDOM))
    cases = iter(range(1, count + 1))

    async def work():
        for case in cases:
            try:
                async with asyncio.timeout(CASE_LIMIT):
                    await echo(f"{url}/runCase?case={case}&agent={agent}")
            except Exception as error:
                # The verdict is the server's.
                print(f"{case}: {type(error).__name__}: {str(error)[:200]}", flush=True)

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))
    await asyncio.wait_for(echo(f"{url}/updateReports?agent={agent}"), SELDOM)


def in_thread(blocking):
    """A library that blocks, as a coroutine."""
    return lambda url: asyncio.to_thread(blocking, url)


def main():
    library = importlib.import_module(f"echo.{sys.argv[1]}")
    if sys.argv[2] == "server":
        serving = library.serve(listening)
        if inspect.iscoroutine(serving):
            asyncio.run(serving)
    else:
        echo = library.echo
        asyncio.run(test(echo if inspect.iscoroutinefunction(echo) else in_thread(echo), *sys.argv[3:]))


main()
