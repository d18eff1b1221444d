"""A worker's process: what it is told on its command line, and its end in words."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from serverless_wasm.events import Event, InternalFault
from serverless_wasm.processes.channel import Discard
from serverless_wasm.processes.process import (
    Call,
    Outfit,
    WorkerGone,
    WorkerProcess,
    how,
    python,
    tell_faults,
)

OUTFIT = Outfit(
    command=python("serverless_wasm.cli.work"),
    sockets=(3, 4),
    crumbs=5,
    lock=6,
    cache="/a folder/\udcff",
    style="json",
    colours=True,
)
TALKS = """
import json, os, socket, struct, sys, time
channel = socket.socket(fileno=json.loads(sys.argv[1])["channel"])
def say(text):
    channel.sendall(struct.pack("!I", len(text)) + text)
say(json.dumps({"error": "", "broken": {}, "notices": [], "slots": 0}).encode())
channel.recv(1 << 16)
"""


def outfit(script: str, tmp_path: Path) -> Outfit:
    """What starts a script instead of a worker."""
    (tmp_path / "script.py").write_text(TALKS + script)
    null = os.open(os.devnull, os.O_RDONLY)
    return Outfit(
        command=(sys.executable, str(tmp_path / "script.py")),
        sockets=(),
        crumbs=null,
        lock=null,
        cache="",
        style="json",
        colours=False,
    )


def test_a_call_arrives_as_it_was() -> None:
    """On a command line, with whatever a file's name can be."""
    call = Call(channel=7, slot=1, parent=42, outfit=OUTFIT)

    text = call.text()

    assert text.isascii()
    read = Call.read(text)
    assert call == Call(
        channel=read.channel,
        slot=read.slot,
        parent=read.parent,
        outfit=Outfit(**{**json.loads(text)["outfit"], "sockets": (3, 4), "command": OUTFIT.command}),
    )
    assert (3, 4) == read.outfit.sockets


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal SIGKILL"), (-200, "signal 200")]
)
def test_ends_in_words(code: int, text: str) -> None:
    """As the log has them."""
    assert text == how(code)


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("say(b'nonsense'); time.sleep(1000)", "signal SIGKILL"),
        ("channel.sendall(b'\\xff' * 8); time.sleep(1000)", "signal SIGKILL"),
        ("channel.close(); time.sleep(1000)", "signal SIGKILL"),
        ("sys.exit(7)", "exit code 7"),
        ("os.abort()", "signal SIGABRT"),
    ],
    ids=["nonsense", "huge", "hangs up", "ends", "aborts"],
)
def test_a_worker_that_gives_no_answer_is_gone(tmp_path: Path, script: str, end: str) -> None:
    """Whatever it does instead, whoever asked hears of it, and the process ends."""
    fitted = outfit(script, tmp_path)

    async def main() -> None:
        worker = await WorkerProcess.start(fitted, 0)
        with pytest.raises(WorkerGone, match=r"\w"):
            await worker.ask(Discard())
        await worker.tell(Discard())  # says nothing
        assert end == await worker.gone()
        worker.kill()  # nobody, by now

    asyncio.run(main())
    os.close(fitted.crumbs)


def test_a_process_that_cannot_start(tmp_path: Path) -> None:
    """Is an OSError, and leaves no descriptor."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    null = os.open(os.devnull, os.O_RDONLY)
    nothing = Outfit(
        command=(str(tmp_path / "nothing"),),
        sockets=(),
        crumbs=null,
        lock=null,
        cache="",
        style="",
        colours=False,
    )

    with pytest.raises(OSError, match="nothing"):
        asyncio.run(WorkerProcess.start(nothing, 0))

    os.close(null)
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_an_exception_that_nobody_awaits_is_a_record() -> None:
    """Instead of lines on stderr that are none."""
    events: list[Event] = []
    fault = ZeroDivisionError()

    async def main() -> None:
        tell_faults("here", events.append)
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "with", "exception": fault})
        loop.call_exception_handler({"message": "without"})

    asyncio.run(main())
    first, second = events
    assert isinstance(first, InternalFault)
    assert isinstance(second, InternalFault)
    assert ("here", fault) == (first.where, first.exception)
    assert "without" == str(second.exception)


def test_signals_have_names() -> None:
    """Every signal of this system can be told."""
    assert all(how(-number) == f"signal {number.name}" for number in signal.Signals)
