"""Writes docs/scoreboard.md, and the generated parts of conformance/README.md, from the reports of the last runs."""

import json
import re
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

from peers import HERE, PEERS

README = HERE / "../README.md"
SCOREBOARD = HERE / "../../docs/scoreboard.md"
# The worst first.
VERDICTS = [
    "FAILED",
    "FAILED BY CLIENT",
    "UNCLEAN",
    "WRONG CODE",
    "NON-STRICT",
    "UNIMPLEMENTED",
    "INFORMATIONAL",
    "OK",
]
# Those that break a MUST, and the ones that pass.
BREACHES = VERDICTS[:3]
GOOD = {"OK", "INFORMATIONAL"}
SHORT = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"]
FIRST_NEW, FIRST_HTTP2 = 20, 30
# What ended a run before its end; see run.py.
ENDS = {
    "gone": "The peer was gone, or fell silent, before all cases were run.",
    "late": "It was stopped when its time was up, before all cases were run.",
}


def number(case):
    return tuple(int(part) for part in case.split("."))


def families_of(listed):
    """The title of each family, and how many cases it has for servers and for clients, from `wsconform list`."""
    families = {}
    for line in listed.splitlines():
        if title := re.fullmatch(r"(\d+)\. (.*)", line):
            family = int(title[1])
            families[family] = {"title": title[2], "server": 0, "client": 0, "all": 0}
        elif case := re.match(r"[\d.]+ +(both|server|client) ", line):
            families[family]["all"] += 1
            for role in ("server", "client"):
                families[family][role] += case[1] in ("both", role)
    return families


class Agent:
    """What one library came to in one role."""

    def __init__(self, peer, role, directory):
        index = json.loads((directory / "index.json").read_text())
        [(name, cases)] = index.items()
        self.library, self.version = name.rsplit("/", 1)
        self.language, self.role = peer.language, role
        self.end = ENDS.get((directory / "end.txt").read_text())
        self.verdict, self.detail = {}, {}
        for case, summary in cases.items():
            self.detail[case] = json.loads((directory / summary["reportfile"]).read_text())
            self.verdict[case] = min(summary["behavior"], summary["behaviorClose"], key=VERDICTS.index)

    def counted(self, chosen=lambda family: True):
        return Counter(verdict for case, verdict in self.verdict.items() if chosen(number(case)[0]))

    def anchor(self):
        return slug(f"{self.library}-{self.role}")

    def findings(self):
        """What was found, the worst first, and the cases where it was."""
        found = defaultdict(list)
        for case in sorted(self.verdict, key=number):
            verdict = self.verdict[case]
            if verdict not in GOOD:
                found[verdict, plain(verdict, self.detail[case]["result"])].append(case)
        return sorted(found.items(), key=lambda item: (VERDICTS.index(item[0][0]), number(item[1][0])))


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def plain(verdict, result):
    """The sentence, without what differs from case to case of one finding."""
    # Of the things that were expected instead, the last one tells enough, unless what it did is described.
    described = re.match(r"its? .*?(?=; expected )", result)
    _, also, last = result.rpartition("; expected ")
    if described:
        result = described[0]
    else:
        result = f"expected {last}" if also else last.removeprefix(f"{verdict}: ")
    for old, new in [
        (r"^its answer `[^`]*` ", "its answer "),
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
    return marked(result)


def marked(text):
    """Text that nothing in Markdown takes for more, but for its `code`."""
    parts = re.split(r"(`[^`\n]*`)", text)
    for at, part in enumerate(parts):
        if not part.startswith("`"):
            parts[at] = re.sub(r"([*_<>\[\]])", r"\\\1", part)
    return "".join(parts).replace("|", "\\|").replace("\n", " ")


def runs_of(cases):
    """The cases, in lists of those whose numbers follow each other."""
    runs = []
    for case in cases:
        before = runs and number(runs[-1][-1])
        if before and before[:-1] == number(case)[:-1] and before[-1] + 1 == number(case)[-1]:
            runs[-1].append(case)
        else:
            runs.append([case])
    return runs


def collapsed(cases, ran):
    """Ranges of numbers; whole branches of those that were run as `12.3.*`."""
    whole = []
    for depth in (1, 2):
        for branch in dict.fromkeys(number(case)[:depth] for case in cases):
            of_branch = {case for case in ran if number(case)[:depth] == branch and len(number(case)) > depth}
            if len(of_branch) > 3 and of_branch <= set(cases):
                whole.append((branch, ".".join(map(str, branch)) + ".*"))
                cases = [case for case in cases if case not in of_branch]
    for run in runs_of(cases):
        last = f"–{run[-1].rpartition('.')[2]}" if len(run) > 1 else ""
        whole.append((number(run[0]), run[0] + last))
    return ", ".join(text for _, text in sorted(whole))


def linked(cases):
    """Ranges of numbers, with links to what the first and the last check."""
    return ", ".join(
        f"[{run[0]}](#case-{run[0]})" + (f"–[{run[-1].rpartition('.')[2]}](#case-{run[-1]})" if len(run) > 1 else "")
        for run in runs_of(cases)
    )


def row(*cells):
    return f"| {' | '.join(map(str, cells))} |"


def board(agents):
    """What breaks least first; those of which not all cases were run last."""
    yield row("library", "language", "version", *VERDICTS, "HTTP/2")
    yield row(*["---"] * 3, *["---:"] * len(VERDICTS), "---:")
    breaches = lambda agent: sum(agent.counted()[verdict] for verdict in BREACHES)
    for agent in sorted(agents, key=lambda agent: (bool(agent.end), breaches(agent), agent.library.lower())):
        counts = agent.counted()
        http2 = agent.counted(lambda family: family >= FIRST_HTTP2)
        good = sum(http2[verdict] for verdict in GOOD)
        yield row(
            f"[{agent.library}](#{agent.anchor()}){' †' if agent.end else ''}",
            agent.language,
            agent.version,
            *(counts[verdict] for verdict in VERDICTS),
            f"{good} of {http2.total()}" if http2 else "",
        )


def section(agent):
    yield f'<a id="{agent.anchor()}"></a>'
    yield ""
    yield f"### {agent.library} {agent.version}, {agent.role}"
    yield ""
    if agent.end:
        yield agent.end
        yield ""
    for (verdict, result), cases in agent.findings():
        # UNIMPLEMENTED says of whole families that they could not be judged.
        named = collapsed(cases, agent.verdict) if verdict == "UNIMPLEMENTED" else linked(cases)
        yield f"- **{verdict}**: {result}: {named}"
    if not agent.findings():
        yield "Nothing."
    yield ""


def cases_table(agents, families):
    """What the named cases check, and the text of the RFC that each stands on."""
    detail, breaks = {}, Counter()
    for agent in agents:
        for case, verdict in agent.verdict.items():
            if verdict not in GOOD and verdict != "UNIMPLEMENTED":
                # The newest report has the newest text.
                if case not in detail or detail[case]["started"] < agent.detail[case]["started"]:
                    detail[case] = agent.detail[case]
                breaks[case] += verdict in BREACHES
    for family, of in families.items():
        cases = [case for case in sorted(detail, key=number) if number(case)[0] == family]
        if not cases:
            continue
        rules = list(dict.fromkeys(detail[case]["rule"] for case in cases))
        yield from ("", f"### {family}. {of['title']}", "")
        # Many cases stand on one text.
        yield from (f"{at}. {marked(rule)}" for at, rule in enumerate(rules, 1))
        yield ""
        yield row("case", "sent", "expected", "text", "word", "break it")
        yield row("---", "---", "---", "---:", "---", "---:")
        for case in cases:
            yield row(
                f'<a id="case-{case}"></a>{case}',
                marked(detail[case]["description"]),
                marked(detail[case]["expectation"]),
                rules.index(detail[case]["rule"]) + 1,
                detail[case]["word"],
                breaks[case] or "",
            )


def short_table(agents):
    yield row("library", "role", *SHORT, "other", *SHORT, "other")
    yield row("---", "---", *["---:"] * 10)
    yield row("", "", "*classic*", "", "", "", "", "*new*", "", "", "", "")
    for agent in agents:
        cells = []
        for chosen in (lambda family: family < FIRST_NEW, lambda family: family >= FIRST_NEW):
            counts = agent.counted(chosen)
            named = [counts[verdict] for verdict in SHORT]
            cells += [*named, counts.total() - sum(named)]
        yield row(f"{agent.library} {agent.version}", agent.role, *cells)


def family_table(families):
    yield row("family", "", "for servers", "for clients")
    yield row("---:", "---", "---:", "---:")
    for family, of in families.items():
        yield row(family, of["title"], of["server"], of["client"])
    for name, new in (("classic", False), ("new", True)):
        chosen = [of for family, of in families.items() if (family >= FIRST_NEW) == new]
        sums = [sum(of[role] for of in chosen) for role in ("server", "client")]
        yield row("", f"all {name}: {sum(of['all'] for of in chosen)}", *sums)


def replace(path, parts):
    """Rewrites the generated parts of a file."""
    text = path.read_text()
    for name, lines in parts.items():
        begin, end = f"<!-- {name}: made by foreign/run.py -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        body = "\n".join(lines).strip()
        text = f"{before}{begin}\n{body}\n{end}{after}"
    path.write_text(text)


def write(out, wsconform):
    listed = subprocess.run([wsconform, "list"], capture_output=True, text=True, check=True).stdout
    families = families_of(listed)
    agents = [Agent(peer, role, out / peer.directory(role)) for peer in PEERS for role in peer.roles]
    servers, clients = ([agent for agent in agents if agent.role == role] for role in ("server", "client"))
    details = (line for agent in sorted(agents, key=lambda agent: agent.library.lower()) for line in section(agent))
    replace(
        SCOREBOARD,
        {
            "servers": board(servers),
            "clients": board(clients),
            "details": details,
            "cases": cases_table(agents, families),
        },
    )
    replace(README, {"families": family_table(families), "found": short_table(agents)})
