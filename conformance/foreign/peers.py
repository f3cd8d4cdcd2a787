"""The list of peers.tsv, and the versions that are installed."""

import json
import re
import shlex
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


def pypi(name):
    pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().lower().split())
    return pinned[name]


def npm(name):
    return json.loads((HERE / "package.json").read_text())["dependencies"][name]


def crates(name):
    dependencies = tomllib.loads((HERE / "rust/Cargo.toml").read_text())["dependencies"]
    return dependencies[name]["version"].removeprefix("=")


def deb(name):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=True)
    # Neither the epoch nor the revision of the distribution.
    return re.sub(r"^\d+:|[-+].*$", "", found.stdout)


REGISTRIES = {"pypi": pypi, "npm": npm, "crates": crates, "deb": deb}


@dataclass
class Peer:
    name: str
    language: str
    roles: list
    package: str
    further: list
    command: list

    def directory(self, role):
        """Where its reports are, below that of all."""
        return re.sub(r"[^a-z0-9.]+", "-", f"{self.name}-{role}".lower())

    def version(self):
        registry, name = self.package.split(":")
        return REGISTRIES[registry](name)


def read():
    for line in (HERE / "peers.tsv").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, language, roles, packages, command = line.split("\t")
            package, *further = packages.split()
            yield Peer(name, language, roles.split(","), package, further, shlex.split(command))


PEERS = list(read())
