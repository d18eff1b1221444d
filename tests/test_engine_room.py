"""What an engine is made of, who may share one, and what the operator is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configurations import application, configuration
from serverless_wasm.config.configuration import Configuration
from serverless_wasm.engine_room import FEW_MODULES, EngineRoom, RoomSettings, _room_for
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.engine import MAPPINGS_PER_MODULE, available_slots


def serving(modules: int, applications: int | None = None, slots: int | None = None) -> Configuration:
    """A configuration of so many applications, each of one of so many modules."""
    items = (
        application(f"a{number}", file_path=Path(f"/{number % modules}.wasm"))
        for number in range(applications or modules)
    )
    return configuration(Path("/c"), *items, slots=slots)


@given(st.integers(0, 10**6))
def test_room_for_modules_is_rounded_up(modules: int) -> None:
    """To what holds them and little more; none for a few, who have room anyway."""
    room = _room_for(modules)

    if modules <= FEW_MODULES:
        assert room == 0
    else:
        assert modules <= room < modules * 1.5
        assert _room_for(room) == room


def test_a_reload_of_a_few_modules_more_shares_the_room() -> None:
    """What the room has for them is the same; another order of magnitude is another room."""
    settings = [RoomSettings.of(serving(modules)) for modules in (1, 1000, 5000, 5100, 9000)]

    assert settings[0] == settings[1]
    assert settings[2] == settings[3]
    assert len(set(settings)) == 3


def test_modules_are_counted_not_applications() -> None:
    """Ten thousand applications of one module load it once."""
    assert RoomSettings.of(serving(1, applications=2000)) == RoomSettings.of(serving(1))


@pytest.mark.parametrize("slots", [None, 1_000_000])
def test_slots_that_modules_take_are_told(tmp_path: Path, slots: int | None) -> None:
    """How many there are, instead of how many, for which reason, and what to write."""
    room = EngineRoom(RoomSettings.of(serving(9000, slots=slots)), Cache(tmp_path / "cache"))
    try:
        (notice,) = room.notices
        assert room.engine.slots < available_slots(None)
    finally:
        room.close()
    assert f"slots: {room.engine.slots} instead of {slots or available_slots(None)}" in notice
    assert "too low for more beside up to 12288 modules; write: sysctl -w vm.max_map_count=" in notice
    advised = int(notice.rpartition("=")[2])
    assert advised >= 262_144
    assert advised >= MAPPINGS_PER_MODULE * 9000 + 5 * (slots or 0)


@pytest.mark.parametrize(("modules", "slots"), [(9000, 8), (10, None)])
def test_slots_that_are_as_wanted_are_no_news(tmp_path: Path, modules: int, slots: int | None) -> None:
    """Few of them, or few modules."""
    room = EngineRoom(RoomSettings.of(serving(modules, slots=slots)), Cache(tmp_path / "cache"))
    try:
        assert room.notices == ()
    finally:
        room.close()
