"""Thirty seconds of the soak (scripts/soak MINUTES): correctness and exactness, never time."""

from __future__ import annotations

from pathlib import Path

import uvloop

from soak.guests import HOSTILE
from soak.run import report, soak


def test_good_applications_notice_nothing_of_sixteen_hostile_ones(tmp_path: Path, seed: int) -> None:
    """No wrong answer, no restart, no descriptor or thread left, no secret and no forged line in the log."""
    findings = uvloop.run(soak(tmp_path, 30, seed))

    report(findings)
    assert [] == findings.wrongs, f"seed {seed}"
    ended = {
        (record["application"], record["outcome"])
        for record in findings.records
        if record["event"] == "invocation_finished"
    }
    assert set(HOSTILE) <= {application for application, _ in ended}
    assert ("g01-loop", "deadline") in ended
