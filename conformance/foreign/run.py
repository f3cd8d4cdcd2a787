#!/usr/bin/env python3
"""Runs wsconform on the libraries of peers.tsv, and writes what it found into ../README.md and ../../docs/scoreboard.md.

    run.py [--only NAMES] [--full] [--page]

NAMES is such as 'ws,aiohttp:client'; the others keep their last reports, in out/. With `--full`, wsconform runs without --quick. `--page` runs
nothing, and writes the pages from the last reports. WSCONFORM=PATH takes a wsconform that is built already.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import page
from peers import PEERS

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
# Seconds that a peer may take to listen, and for all cases; what it has by then is reported.
START = 120
LIMIT = 900
# wsconform ends well, or with cases that are not, or because the peer was gone.
ENDS = {0: "", 1: "", 3: "gone"}


class Process:
    """A process with its own group, all of which ends with it. What it writes goes to a file."""

    def __init__(self, command, log):
        self.log = log
        self.file = log.open("wb")
        self.child = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=self.file, stderr=self.file, start_new_session=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
            except ProcessLookupError:
                break
            time.sleep(0.2)
        self.child.wait()
        self.file.close()

    def url(self):
        """Where it says that it listens."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            if found := re.search(r"^listening on (\S+)$", self.log.read_text(errors="replace"), re.MULTILINE):
                return found[1]
            if self.child.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"it does not listen; see {self.log}")

    def wait(self, seconds):
        """Its status, or None when it is late."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def finish(self):
        """As ^C does: wsconform still writes its reports."""
        self.child.send_signal(signal.SIGINT)
        return self.wait(60)


def built():
    """The program of this checkout."""
    subprocess.run(["cargo", "build", "--profile", "suite", "-p", "sansws-conformance", "--bin", "wsconform"], cwd=HERE, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "../../target")) / "suite/wsconform"


def run(peer, role, wsconform, quick):
    """Runs one peer in one role; returns why it did not come to its end, if so."""
    out = OUT / peer.directory(role)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    agent = f"{peer.name}/{peer.version()}"
    reports = ["--format", "json", "--out", str(out), *quick]
    if role == "server":
        with Process([*peer.command, "server"], out / "peer.log") as server:
            suite = [wsconform, "test", server.url(), "--agent", agent, *reports]
            with Process(suite, out / "wsconform.log") as tester:
                status = tester.wait(LIMIT)
                end = "late" if status is None else ENDS.get(status)
                if status is None:
                    tester.finish()
    else:
        with Process([wsconform, "serve", "127.0.0.1:0", "--once", *reports], out / "wsconform.log") as tester:
            with Process([*peer.command, "client", tester.url(), agent], out / "peer.log") as client:
                status = client.wait(LIMIT)
                end = "late" if status is None else "" if status == 0 else "gone"
                if tester.wait(10) is None:
                    tester.finish()
    if end is None or not (out / "index.json").exists():
        raise RuntimeError(f"wsconform failed; see {out}/wsconform.log")
    (out / "end.txt").write_text(end)
    return end


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    only = options.only and options.only.split(",")
    quick = [] if options.full else ["--quick"]
    wsconform = os.environ.get("WSCONFORM") or built()
    failed = []
    for peer in PEERS:
        for role in peer.roles:
            if options.page or only and not {peer.name, f"{peer.name}:{role}"} & set(only):
                continue
            begin = time.monotonic()
            try:
                end = run(peer, role, wsconform, quick)
            except RuntimeError as error:
                end = str(error)
                failed.append(f"{peer.name}, {role}")
            print(f"{peer.name}, {role}: {time.monotonic() - begin:.0f} s {end}".rstrip(), flush=True)
    if failed:
        sys.exit(f"not tested: {'; '.join(failed)}")
    page.write(OUT, wsconform)


if __name__ == "__main__":
    main()
