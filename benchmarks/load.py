"""Loads: wrk as fast as it goes (closed loop, for capacity), h2load at a rate (open loop, for tails).

A port, a request and a number of connections come in; counts and response times go out.
It must never report a percentile that its number of samples cannot carry, nor pass an error over.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HOST = "127.0.0.1"
ENOUGH = 1000
"""Samples that a 99th percentile needs; ten times as many for one more nine."""
_SPARE = 30.0
"""Seconds that a generator may take beyond what it was told, before it counts as hung."""


class LoadFailed(Exception):
    """A load generator could not be run, or said what cannot be understood; the text is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and the answer that every contestant must give to it."""

    path: str = "/"
    method: str = "GET"
    body: bytes = b""
    status: int = 200
    answer: bytes = b"Hello, world!\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load has shown: counts, the seconds it took, and response times in milliseconds."""

    requests: int
    seconds: float
    errors: int
    """Connections that failed, answers that did not come in time, and those that were not 2xx or 3xx."""
    p50: float | None
    p99: float | None
    p999: float | None
    longest: float | None

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds

    @classmethod
    def of(cls, times: Sequence[float], seconds: float, errors: int) -> Load:
        """Of the response times, in milliseconds, of a load that neither wrk nor h2load has made."""
        ranked = sorted(times)
        return cls(
            requests=len(ranked),
            seconds=seconds,
            errors=errors,
            p50=percentile(ranked, 0.5),
            p99=percentile(ranked, 0.99),
            p999=percentile(ranked, 0.999),
            longest=ranked[-1] if ranked else None,
        )


def percentile(ranked: Sequence[float], share: float) -> float | None:
    """The value that `share` of the ranked samples do not exceed; None where they are too few to tell.

    The median asks for one sample, p99 for 1,000, p99.9 for 10,000.
    """
    if len(ranked) < (1 if share <= 0.5 else ENOUGH * round(0.01 / (1 - share))):
        return None
    return ranked[min(len(ranked) - 1, math.ceil(len(ranked) * share) - 1)]


def ask(port: int, request: Request) -> tuple[int, bytes]:
    """Asks once, on a connection of its own: status and body. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_SPARE)
    try:
        connection.request(request.method, request.path, body=request.body or None)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wrk(port: int, request: Request, *, connections: int, seconds: float) -> Load:
    """Asks as fast as answers come, on so many connections, from one thread; raises LoadFailed.

    wrk knows whole seconds: less than one counts as one.
    """
    with tempfile.TemporaryDirectory(prefix="wrk-") as folder:
        script = Path(folder) / "report.lua"
        script.write_bytes(_lua(request))
        told = max(1, round(seconds))
        url = f"http://{HOST}:{port}{request.path}"
        options = (f"-c{connections}", f"-d{told}s", "--timeout", "10s", "-s", str(script))
        return parse_wrk(_run(["wrk", "-t1", *options, url], told))


def h2load(port: int, request: Request, *, rate: float, seconds: float) -> Load:
    """Asks at a rate, whether answers come or not; raises LoadFailed.

    Connections are opened one after another, so that they do not ask in step. A connection that waits for
    an answer asks late: what it should have asked meanwhile has waited, too (see `corrected`).
    """
    connections = max(32, math.ceil(rate / 20))  # h2load's own timer cannot serve more than 100/s on one
    with tempfile.TemporaryDirectory(prefix="h2load-") as folder:
        log = Path(folder) / "times"
        body = Path(folder) / "body"
        body.write_bytes(request.body)
        each = rate / connections
        command = [
            "h2load", "--h1", "-t1", f"-c{connections}", f"-n{max(connections, round(rate * seconds))}",
            f"--rps={each:g}", *_staggered(rate), f"--log-file={log}", "-T10s", "-N10s",
            *(["-d", str(body)] if request.body else []), f"http://{HOST}:{port}{request.path}",
        ]  # fmt: skip
        text = _run(command, seconds)
        return parse_h2load(text, log.read_text(), interval=1000 / each)


def parse_wrk(text: str) -> Load:
    """Reads the line that our script makes wrk print; raises LoadFailed without one."""
    line = next((line for line in text.splitlines() if line.startswith('{"requests"')), None)
    if line is None:
        raise LoadFailed(text)
    told = json.loads(line)
    requests = told["requests"]
    return Load(
        requests=requests,
        seconds=told["duration"] / 1e6,
        errors=told["errors"],
        p50=told["p50"] / 1e3 if requests else None,
        p99=told["p99"] / 1e3 if requests >= ENOUGH else None,
        p999=told["p999"] / 1e3 if requests >= 10 * ENOUGH else None,
        longest=told["max"] / 1e3 if requests else None,
    )


def parse_h2load(text: str, log: str, interval: float) -> Load:
    """Reads what h2load prints and its log of requests, `interval` milliseconds apart on each connection."""
    counts = re.search(r"requests: (\d+) total, .*?(\d+) succeeded", text)
    if counts is None:
        raise LoadFailed(text)
    rows = [tuple(map(int, line.split("\t")[:3])) for line in log.splitlines()]
    good = [(start, spent) for start, status, spent in rows if 200 <= status < 400]
    if not good:
        raise LoadFailed(text)
    seconds = (max(start + spent for start, spent in good) - min(start for start, _ in good)) / 1e6
    times = corrected([spent / 1e3 for _, spent in good], interval)
    told = Load.of(times, max(seconds, 1e-6), errors=int(counts[1]) - int(counts[2]))
    return replace(told, requests=len(good))


def corrected(times: Sequence[float], interval: float) -> list[float]:
    """Adds the waits of requests that were not sent in time because an answer was awaited.

    A connection that should ask every `interval` and waits t > interval has kept others from waiting
    t - interval, t - 2 interval and so on; leaving them out hides every stall ("coordinated omission").
    """
    hidden = (
        spent - interval * step
        for spent in times
        for step in range(1, math.ceil(spent / interval))
        if spent > interval
    )
    return [*times, *hidden]


_REPORT = """
done = function(summary, latency, requests)
    local wrong = summary.errors
    io.write(string.format('\\n{"requests":%d,"duration":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d,"max":%d}\\n',
        summary.requests, summary.duration,
        wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


def _lua(request: Request) -> bytes:
    """The script that makes wrk send this request, and print its figures as one JSON line.

    It has no `request` function: wrk then formats the request once, not each time.
    """
    body = b"".join(b"\\%03d" % byte for byte in request.body)
    head = b'wrk.method = "%s"\n' % request.method.encode()
    return head + (b'wrk.body = "%s"\n' % body if body else b"") + _REPORT.encode()


def _staggered(rate: float) -> list[str]:
    period = max(1, round(1000 / rate))
    return [f"-r{max(1, round(rate * period / 1000))}", f"--rate-period={period}ms"]


def _run(command: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _SPARE,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{command[0]} did not end in {seconds + _SPARE:g} s") from error
    if done.returncode:
        raise LoadFailed(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
