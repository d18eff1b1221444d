"""The differential test (THREATS S16): mutated requests to our door, to nginx and to haproxy.

A number of cases and a seed come in; a table of agreements, rules and what nobody explains goes out.
It must never call a run good in which our door left the grammar, or in which a disagreement has no rule.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

import uvloop

from differential import trial
from differential.peers import missing
from differential.rules import FAULTS, RULES, explain, our_fault
from differential.trial import PEERS, Trial

SHOWN = 20
"""Cases without an explanation that are printed whole."""


@dataclass(slots=True)
class Findings:
    """What was found so far."""

    cases: int = 0
    refused: int = 0
    agreed: Counter[str] = field(default_factory=Counter)
    explained: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def judge(self, case: Trial) -> None:
        """Counts one case."""
        self.cases += 1
        self.refused += case.ours.status != 0
        fault = our_fault(case)
        if fault is not None:
            self.wrong.append(f"case {case.number}: our door: {fault}: {case.data!r}")
        for peer in PEERS:
            names = list(explain(case, peer))
            self.agreed[peer] += not names
            for name in names:
                if name is None:
                    self.wrong.append(f"case {case.number}: {_told(case, peer)}")
                else:
                    self.explained[peer, name] += 1


def _told(case: Trial, peer: str) -> str:
    seen, reading = case.theirs[peer], case.grammar
    theirs = [(it.method, it.path, it.query, it.host, it.body) for it in seen.requests]
    ours = [(it.method, it.path, it.query, it.host, it.body) for it in reading.requests]
    return (
        f"{peer}: {theirs} {seen.status} {'closed' if seen.closed else 'open'}; "
        f"we: {ours} {reading.status} {reading.fault}: {case.data.partition(b'GET /marker')[0]!r}"
    )


def show(findings: Findings) -> None:
    """Prints the table."""
    for line in table(findings):
        print(line)  # noqa: T201 - a command


def table(findings: Findings) -> Iterator[str]:
    """A line for each rule, with how often it explained a disagreement."""
    yield f"{findings.cases:9,} cases, of which our door refused {findings.refused:,}"
    for peer in PEERS:
        yield f"{findings.agreed[peer]:9,} {peer} agrees"
        for (whose, name), number in findings.explained.most_common():
            if whose == peer:
                yield f"{number:9,}     {name}  [{_section(peer, name)}]"
    yield f"{len(findings.wrong):9,} unexplained"
    yield from (f"          {line}" for line in findings.wrong[:SHOWN])


def _section(peer: str, name: str) -> str:
    known = {f"takes: {fault}": section for fault, section in FAULTS.items()}
    return known.get(name) or next(rule.section for rule in RULES if (rule.peer, rule.name) == (peer, name))


def differential(seed: int, count: int) -> Findings:
    """Runs the cases of a seed."""
    findings = Findings()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        unclaimed = runner.run(trial.run(Path(folder), seed, count, findings.judge))
    findings.wrong += [f"{name} understood what nobody sent: {book}" for name, book in unclaimed.items()]
    return findings


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    if missing():
        print(f"not on the PATH: {', '.join(missing())}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    start = time.monotonic()
    findings = differential(arguments.seed, arguments.count)
    show(findings)
    print(f"seed {arguments.seed}, {time.monotonic() - start:.0f} s")  # noqa: T201 - a command
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
