"""Rewrites the generated parts of README.md: table.py README LIST HOW DIR...

LIST is what `wsconform list` says, HOW the command that made the reports, and each DIR holds the index.json of one agent.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"]
GOOD = {"OK", "INFORMATIONAL"}
# The best first, as wsconform has them.
VERDICTS = [
    "OK",
    "INFORMATIONAL",
    "NON-STRICT",
    "UNIMPLEMENTED",
    "UNCLEAN",
    "WRONG CODE",
    "FAILED BY CLIENT",
    "FAILED",
]
FIRST_NEW = 20


def number(case):
    return tuple(int(part) for part in case.split("."))


def is_new(case):
    return number(case)[0] >= FIRST_NEW


def read_list(path):
    """The title of each family, and how many cases it has for servers and for clients."""
    families = {}
    for line in path.read_text().splitlines():
        if title := re.fullmatch(r"(\d+)\. (.*)", line):
            family = int(title[1])
            families[family] = {"title": title[2], "server": 0, "client": 0, "all": 0}
        elif case := re.match(r"[\d.]+ +(both|server|client) ", line):
            families[family]["all"] += 1
            for role in ("server", "client"):
                families[family][role] += case[1] in ("both", role)
    return families


class Agent:
    """What one agent came to."""

    def __init__(self, directory):
        index = json.loads((directory / "index.json").read_text())
        [(name, cases)] = index.items()
        self.library, self.version = name.split("/")
        self.verdict = {}
        self.result = {}
        self.does = {}
        for case, summary in cases.items():
            detail = json.loads((directory / summary["reportfile"]).read_text())
            self.role = "client" if detail["isServer"] else "server"
            self.verdict[case] = max(summary["behavior"], summary["behaviorClose"], key=VERDICTS.index)
            self.result[case] = detail["result"]
            self.does[case] = detail["description"]

    def counts(self, new):
        counted = Counter(verdict for case, verdict in self.verdict.items() if is_new(case) == new)
        named = [counted.pop(verdict, 0) for verdict in COLUMNS]
        return [*named, sum(counted.values())]

    def findings(self):
        """By family: what was found, and the cases where it was."""
        found = defaultdict(lambda: defaultdict(list))
        for case, verdict in self.verdict.items():
            if verdict not in GOOD:
                found[number(case)[0]][verdict, plain(verdict, self.result[case])].append(case)
        return found


def plain(verdict, result):
    """The sentence, without what differs from case to case of one finding."""
    # Of the things that were expected instead, the last one tells enough.
    _, also, last = result.rpartition("; expected ")
    result = f"expected {last}" if also else last.removeprefix(f"{verdict}: ")
    for old, new in [
        (r"`HTTP/\d\.\d (\d+)[^`]*`", r"\1"),
        (r"HTTP/\d\.\d (\d+)\b.*", r"\1"),
        (r"a (text|binary) message of \d+ octets", "a message"),
        (r"a pong of \d+ octets", "a pong"),
        (r"(Close \d+) `[^`]*`", r"\1"),
        # Which of the two it is depends on what was read before.
        (r"a reset of TCP", "the end of TCP"),
        (r"the end of the connection \(\)", "the end of the connection"),
    ]:
        result = re.sub(old, new, result)
    return result.replace("|", "\\|")


def collapsed(cases, ran):
    """Ranges of numbers; whole branches of those that were run as `12.3.*`."""
    cases = sorted(cases, key=number)
    whole = []
    for depth in (1, 2):
        for branch in dict.fromkeys(number(case)[:depth] for case in cases):
            of_branch = {case for case in ran if number(case)[:depth] == branch and len(number(case)) > depth}
            if len(of_branch) > 3 and of_branch <= set(cases):
                whole.append((branch, ".".join(map(str, branch)) + ".*"))
                cases = [case for case in cases if case not in of_branch]
    runs = []
    for case in map(number, cases):
        if runs and runs[-1][-1][:-1] == case[:-1] and runs[-1][-1][-1] + 1 == case[-1]:
            runs[-1].append(case)
        else:
            runs.append([case])
    for run in runs:
        first = ".".join(map(str, run[0]))
        last = f"–{run[-1][-1]}" if len(run) > 1 else ""
        whole.append((run[0], first + last))
    return ", ".join(text for _, text in sorted(whole))


def table(agents):
    yield f"| agent | role | {' | '.join(COLUMNS)} | other | {' | '.join(COLUMNS)} | other |"
    yield "| --- | --- |" + " ---: |" * 10
    yield "| | | *classic* | | | | | *new* | | | | |"
    for agent in agents:
        counts = agent.counts(new=False) + agent.counts(new=True)
        yield f"| {agent.library} {agent.version} | {agent.role} | {' | '.join(map(str, counts))} |"


def details(agent, families):
    yield f"### {agent.library} {agent.version}, {agent.role}"
    yield ""
    for family, found in sorted(agent.findings().items()):
        yield f"- **{family}. {families[family]['title']}**"
        for (verdict, result), cases in sorted(found.items(), key=lambda item: number(item[1][0])):
            # What was sent can be told of one case; of many, `wsconform explain` tells it.
            does = f" ({agent.does[cases[0]]})" if len(cases) == 1 else ""
            yield f"  - {collapsed(cases, agent.verdict)} {verdict}: {result}{does}"
    yield ""


def family_table(families):
    yield "| family | | for servers | for clients |"
    yield "| ---: | --- | ---: | ---: |"
    for family, of in families.items():
        yield f"| {family} | {of['title']} | {of['server']} | {of['client']} |"
    for name, new in (("classic", False), ("new", True)):
        chosen = [of for family, of in families.items() if (family >= FIRST_NEW) == new]
        sums = [sum(of[role] for of in chosen) for role in ("server", "client")]
        yield f"| | all {name}: {sum(of['all'] for of in chosen)} | {sums[0]} | {sums[1]} |"


def replaced(text, name, lines):
    begin, end = f"<!-- {name}: made by foreign/run.sh -->", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    body = "\n".join(lines).strip()
    return f"{before}{begin}\n{body}\n{end}{after}"


def main():
    readme, listed = Path(sys.argv[1]), Path(sys.argv[2])
    families = read_list(listed)
    agents = [Agent(Path(directory)) for directory in sys.argv[4:]]
    lines = [f"Made by `{sys.argv[3]}`.", "", *table(agents), ""]
    for agent in agents:
        lines += details(agent, families)
    text = replaced(readme.read_text(), "families", family_table(families))
    text = replaced(text, "found", lines)
    readme.write_text(text)


main()
