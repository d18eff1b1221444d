"""A short form of scripts/deploys: requests while a service is changed, stopped and killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from soak import crashes, drains, kills, reloads
from soak.versions import Question, judge
from soak.visitors import Fate


@pytest.fixture
def random(seed: int) -> Random:
    """What decides for the test."""
    return Random(seed)  # noqa: S311 - a seed that can be told again


def test_nobody_notices_a_reload_but_by_a_newer_answer(tmp_path: Path, random: Random) -> None:
    """Every request is answered by one version, the right one, though every second reload is broken."""
    found = asyncio.run(reloads.reloads(tmp_path, 8, random))

    assert [] == found.wrongs
    assert {Fate.ANSWERED} == {asked.fate for asked in found.asked}
    assert {0, 1, 3, 5} <= {asked.version for asked in found.asked}
    assert 4 == len(found.taken)


def test_sigterm_under_load_ends_well(tmp_path: Path, random: Random) -> None:
    """Exit code 0, with nothing truncated and nothing dropped, by workers and by a single process."""
    found = asyncio.run(drains.drains(tmp_path, 4, random))

    assert [] == drains.wrongs(found)
    assert [0, 1, 2, 2] == sorted(drain.workers for drain in found)
    assert {0} == {drain.exit_code for drain in found}


def test_a_killed_worker_takes_only_its_own_requests_with_it(tmp_path: Path, random: Random) -> None:
    """Another one takes its place, and clients of the others notice nothing."""
    found = asyncio.run(kills.kills(tmp_path, 2, random))

    assert [] == kills.wrongs(found)
    assert all(each.replaced_ms > 0 and each.answer_ms > 0 for each in found)


def test_after_a_crash_in_a_deploy_everything_is_whole(tmp_path: Path, random: Random) -> None:
    """No process, no port and no file is left, and the next start serves what the files say."""
    found = asyncio.run(crashes.crashes(tmp_path, 3, random))

    assert [] == crashes.wrongs(found)
    assert 3 == len(found)


@pytest.mark.parametrize(("body", "wrong"), [
    ("left  000004 000004 000004 0123abcd " + "e" * 300, ""),
    ("right 000004 000004 000004 0123abcd " + "e" * 300, "mixed"),
    ("left  000005 000004 000004 0123abcd " + "f" * 300, "mixed"),
    ("left  000004 000003 000004 0123abcd " + "e" * 300, "mixed"),
    ("left  000004 000004 000005 0123abcd " + "e" * 300, "mixed"),
    ("left  000004 000004 000004 ........ " + "e" * 300, "mixed"),
    ("left  000004 000004 000004 0123abcd " + "e" * 299, "mixed"),
    ("left  000004 000004 000004 0123abcd " + "e" * 299 + "f", "mixed"),
    ("left  000004 ...... 000004", "no answer of ours"),
])  # fmt: skip
def test_an_answer_of_two_versions_is_seen(body: str, wrong: str) -> None:
    """Whichever part is of another one: module, route, variable, parameter or the end."""
    judgement = judge(Question("left", "0123abcd"), body.encode())

    assert judgement.wrong.startswith(wrong)
    assert bool(wrong) == bool(judgement.wrong)
