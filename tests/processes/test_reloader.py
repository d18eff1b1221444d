"""What a reload takes and what it refuses, whoever serves it; tests/processes does it with a real crew."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from configurations import application, configuration
from serverless_wasm.config.configuration import Configuration, TlsConfig
from serverless_wasm.errors import ConfigError, Problem, ReloadRefused, Unavailable
from serverless_wasm.events import ApplicationBroken, Event, Notice, Reloaded
from serverless_wasm.events import ReloadRefused as ReloadNotTaken
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.reloader import Accept, Reloader
from serverless_wasm.release import Part, Release

ONE = configuration(Path("/c"), application("a"), application("b"))
TLS = TlsConfig(certificate=Path("/p"), key=Path("/p"), file="c", certificate_line=1, key_line=1)


class World:
    """A file, and somebody who serves what is accepted."""

    def __init__(self) -> None:
        self.says: Configuration | ConfigError = ONE
        self.report = Report(slots=3)
        self.served: list[Configuration] = []
        self.events: list[Event] = []
        self.reloader = Reloader(self._read, self.build, self._deploy, self.events.append)

    def _read(self) -> Configuration:
        if isinstance(self.says, ConfigError):
            raise self.says
        return self.says

    async def build(self, whole: Configuration) -> Release:
        """A release in which every application has the same code, which is none."""
        await asyncio.sleep(0)
        return Release(
            configuration=whole, parts=tuple(Part(config=item, number=1) for item in whole.applications)
        )

    async def _deploy(self, release: Release, accept: Accept) -> Report:
        accept(self.report)
        self.served.append(release.configuration)
        return self.report

    async def begin(self) -> None:
        """Serves the file as it is at first."""
        await self.reloader.first(await self.build(ONE), lambda _: None)
        self.events.clear()


def test_the_first_release() -> None:
    """What is broken and what is to be known is told; one that is not accepted is not served."""

    async def main() -> None:
        world = World()
        with pytest.raises(Unavailable):
            world.reloader.current  # noqa: B018 - that it raises is the point
        world.report = Report(broken={"b": "is gone"}, notices=("mind",))

        def refuse(_: Report) -> None:
            raise ReloadRefused(("strict",))

        release = await world.build(ONE)
        with pytest.raises(ReloadRefused):
            await world.reloader.first(release, refuse)
        assert [] == world.served
        await world.reloader.first(release, lambda _: None)
        assert release is world.reloader.current
        assert {"b"} == world.reloader.broken
        broken = ApplicationBroken(application="b", reason="is gone")
        assert [broken, broken, Notice(message="mind")] == world.events

    asyncio.run(main())


OTHER = replace(ONE, applications=ONE.applications[:1])


@pytest.mark.parametrize(
    ("says", "changes"),
    [(ONE, ()), (OTHER, ("b removed",)), (replace(ONE, drain=3.0), ("drain changed",))],
)
def test_what_is_taken_is_told_once(says: Configuration, changes: tuple[str, ...]) -> None:
    """In one record, also when nothing has changed."""

    async def main() -> None:
        world = World()
        await world.begin()
        world.says = says
        assert changes == await world.reloader.reload()
        assert says == world.served[-1] == world.reloader.current.configuration
        (event,) = world.events
        assert isinstance(event, Reloaded)
        assert changes == event.changes

    asyncio.run(main())


PROBLEMS = tuple(Problem(file="c", line=line, key="k", found="1", expected="2") for line in (3, 4))


@pytest.mark.parametrize(
    ("says", "report", "reasons"),
    [
        (ConfigError(PROBLEMS), Report(), ("c:3: k: found 1, expected 2", "c:4: k: found 1, expected 2")),
        (replace(ONE, listen_port=1), Report(), ("listen_address has changed, which takes a restart",)),
        (replace(ONE, listen_host="::1"), Report(), ("listen_address has changed, which takes a restart",)),
        (
            replace(ONE, workers=3),
            Report(),
            ("server.workers or server.heartbeat has changed, which takes a restart",),
        ),
        (
            replace(ONE, tls=TLS),
            Report(),
            ("whether there is a [server.tls] table has changed, which takes a restart",),
        ),
        (OTHER, Report(broken={"a": "is gone", "b": "too"}), ("a: is gone", "b: too")),
    ],
)
def test_what_is_refused_is_told_once(
    says: Configuration | ConfigError, report: Report, reasons: tuple[str, ...]
) -> None:
    """In one record with every reason; what was served is, and the next reload is as good as any."""

    async def main() -> None:
        world = World()
        await world.begin()
        world.says, world.report = says, report
        with pytest.raises(ReloadRefused) as refusal:
            await world.reloader.reload()
        assert reasons == refusal.value.reasons
        assert [ReloadNotTaken(reasons=reasons)] == world.events
        assert [ONE] == world.served
        assert ONE == world.reloader.current.configuration
        world.says, world.report = OTHER, Report()
        assert ("b removed",) == await world.reloader.reload()

    asyncio.run(main())


def test_what_was_broken_may_stay_broken() -> None:
    """But nothing else may become it, and what was mended counts as whole."""

    async def main() -> None:
        world = World()
        world.report = Report(broken={"b": "is gone"})
        await world.begin()
        await world.reloader.reload()
        assert {"b"} == world.reloader.broken
        world.report = Report(broken={"b": "is gone", "a": "too"})
        with pytest.raises(ReloadRefused, match="a: too"):
            await world.reloader.reload()
        world.report = Report()
        await world.reloader.reload()
        world.report = Report(broken={"b": "is gone"})
        with pytest.raises(ReloadRefused, match="b: is gone"):
            await world.reloader.reload()

    asyncio.run(main())


def test_one_reload_at_a_time() -> None:
    """Many at once come one after the other, and all are answered."""

    async def main() -> None:
        world = World()
        await world.begin()
        answers = await asyncio.gather(*(world.reloader.reload() for _ in range(5)))
        assert [()] * 5 == list(answers)
        assert 6 == len(world.served)
        assert 5 == len(world.events)

    asyncio.run(main())
