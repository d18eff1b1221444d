"""An application that takes workers down again and again, told from its neighbours by what the dead leave."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing

from processes.conftest import Serve
from processes.running import FILLS, Running, application, crash, kill, says, server, until
from program import Folder

FILLING = application("fills", "/fills", 'limits = { timeout = "1h", cpu = "1h" }')


def test_an_application_that_takes_workers_down_is_withdrawn(folder: Folder, serve: Serve) -> None:
    """Five workers within half a minute: it answers 503, its neighbour 200 throughout, until a reload."""
    folder.module("fills.wasm", FILLS)
    folder.config(FILLING + application("hello", "/hello") + server())
    service = serve()

    losses = 0
    while "application_withdrawn" not in [record["event"] for record in service.before]:
        losses += lose(service, crash if losses == 1 else kill)
        assert (200, b"hello") == service.get("/hello")
        service.record("worker_replaced")
    status, body = service.get("/fills")

    (withdrawn,) = service.events("application_withdrawn")
    assert "fills" == withdrawn["application"]
    assert losses >= 5
    assert (503, "unavailable") == (status, json.loads(body)["error"])
    assert {503} == {service.get("/fills")[0] for _ in range(20)}  # the new worker has been told, too
    assert {(200, b"hello")} == {service.get("/hello") for _ in range(20)}
    assert "fills: out of service, it has taken workers down" in service.ask("status").details

    folder.module("fills.wasm", says("mended"))
    assert ["fills changed: code"] == service.reload()["changes"]
    finished = service.events("invocation_finished")
    outcomes = {record["outcome"] for record in finished if record["application"] == "fills"}
    assert {"worker_lost"} == outcomes
    assert {(200, b"mended")} == {service.get("/fills") for _ in range(20)}
    assert service.ask("status").details[-1].startswith("workers replaced")
    service.stop()


def lose(service: Running, end: Callable[[int], None]) -> bool:
    """Ends a worker while it fills; says whether the loss was laid at its door."""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port)) as client:
        client.request("GET", "/fills")
        until(lambda: any(service.busy().values()))
        (busy,) = (pid for pid, count in service.busy().items() if count)
        end(busy)
        lost = service.record("worker_lost")
    assert lost["pid"] == busy
    assert lost["application"] in {"fills", ""}  # the instant between two slices is nobody's
    return bool(lost["application"])


def test_a_reload_is_not_refused_for_want_of_a_worker(folder: Folder, serve: Serve) -> None:
    """The only worker is lost again and again, and the next has to wait: so does a reload, which may help."""
    folder.config(application("hello", "/hello") + server(1))
    service = serve()

    for _ in range(3):
        kill(service.serving()[0])
        service.record("worker_replaced")
    kill(service.serving()[0])
    service.record("worker_lost")  # and the next takes over in 0.4 s at the earliest
    folder.config(application("hello", "/other") + server(1))

    assert ["hello changed: url_path"] == service.reload()["changes"]
    assert (200, b"hello") == service.get("/other")
    service.stop()
