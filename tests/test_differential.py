"""A short run of the differential test (scripts/differential COUNT), and what would make it blind."""

from __future__ import annotations

import pytest

from differential import grammar
from differential.peers import missing
from differential.rules import FAULTS, RULES, TAKEN
from differential.run import differential, show
from differential.trial import PEERS, case


@pytest.mark.skipif(bool(missing()), reason=f"not on the PATH: {', '.join(missing())}")
def test_every_disagreement_with_nginx_and_haproxy_has_a_rule(seed: int) -> None:
    """Our door does what the grammar says, to the letter; where a proxy does not, a rule says how and why."""
    findings = differential(seed, 5000)

    show(findings)
    assert [] == findings.wrong, f"seed {seed}"
    for peer in PEERS:
        assert findings.agreed[peer] > findings.cases / 2


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    """A seed and a number name one case."""
    assert case(1, 2) == case(1, 2)


def test_the_cases_meet_every_fault() -> None:
    """No part of the grammar goes without a request that breaks it, nor is all that is sent broken."""
    readings = [grammar.read(case(0, number)) for number in range(20_000)]

    assert {*FAULTS, ""} == {reading.fault for reading in readings}
    assert sum(len(reading.requests) > 1 and not reading.fault for reading in readings) > 2000


def test_every_rule_has_a_peer_and_its_own_name() -> None:
    """The table can be read."""
    names = [(rule.peer, rule.name) for rule in RULES]

    assert len(set(names)) == len(names)
    assert set(PEERS) == {rule.peer for rule in RULES} == set(TAKEN)
    assert all(taken <= set(FAULTS) for taken in TAKEN.values())
