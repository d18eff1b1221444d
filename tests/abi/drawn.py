"""Programs that are drawn: mostly of host calls as they should be, with something wild now and then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import strategies as st

from abi.programs import (
    ARENA,
    BLANKS,
    EMPTY,
    END,
    GROW,
    HIDDEN,
    KEPT,
    LETTERS,
    MORE_BLANKS,
    NAMES,
    NO_NAMES,
    NO_VALUES,
    PAGE,
    PATH,
    SMALL,
    SPIN,
    TEXTS,
    USUAL,
    VALUES,
    WAIT,
    Program,
    body,
    header,
    keeping,
    places,
    repeated,
    status,
    window,
)
from serverless_wasm.limits import KIB, MIB, Limits

EDGES = (0, 1, 2, 63, 64, 65, 66, 255, 256, 257, 299, 300, 301, ARENA - 65, ARENA - 1, ARENA, ARENA + 1)
Drawn = TypeVar("Drawn")
Places = st.SearchStrategy[tuple[int, int]]
Steps = st.SearchStrategy[str]
near = st.integers(-2, 2)
numbers = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from((2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - END)),
    st.sampled_from((2**32 + 1, 2**32 + 3, 2**33, 2**63 + 1)),
)


def weighted(*choices: tuple[int, st.SearchStrategy[Drawn]]) -> st.SearchStrategy[Drawn]:
    """One of the strategies, each as often as said; `one_of` would draw one that is given twice but once."""
    places = st.sampled_from([place for place, (weight, _) in enumerate(choices) for _ in range(weight)])
    return places.flatmap(lambda place: choices[place][1])


def places_of(*texts: bytes) -> Places:
    """Where these texts lie."""
    return st.sampled_from([place for text, place in zip(TEXTS, places(), strict=True) if text in texts])


ordinary = places_of(*TEXTS)
shifted = st.tuples(ordinary, near, near).map(lambda drawn: (drawn[0][0] + drawn[1], drawn[0][1] + drawn[2]))
stretches = st.tuples(
    st.sampled_from((BLANKS, LETTERS, LETTERS, MORE_BLANKS, LETTERS - 64, MORE_BLANKS - 64)),
    near,
    st.one_of(st.sampled_from(EDGES), st.integers(0, 100)),
).map(lambda drawn: (drawn[0] + drawn[1], drawn[2]))
ends = st.tuples(st.sampled_from((PAGE, END, END + PAGE)), st.sampled_from(EDGES), near).map(
    lambda drawn: (drawn[0] - drawn[1], drawn[1] + drawn[2])
)
anything = st.tuples(numbers, st.one_of(numbers, st.sampled_from(EDGES)))
too_much = st.tuples(st.integers(0, 200), numbers)
short = st.tuples(st.sampled_from((LETTERS, LETTERS - 9, BLANKS, KEPT)), st.sampled_from((0, 1, 64, 65, 250)))
long = st.tuples(st.just(LETTERS), st.sampled_from((0, 1, 300, 9_000, 20_000, 40_000, 50_000)))
room = st.tuples(st.integers(KEPT + 2048, KEPT + 3900), st.integers(0, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What host functions are called with."""

    names: Places
    values: Places
    reasons: Places
    bodies: Places
    keys: Places
    buffers: Places
    statuses: st.SearchStrategy[int]

    def compiled(self) -> Steps:
        """Calls of those that are compiled."""
        return weighted(
            (1, st.builds(status, self.statuses, _window(self.reasons))),
            (2, st.builds(header, _window(self.names), _window(self.values))),
            (1, st.builds(body, _window(self.bodies))),
            (1, self._keeping("db_get", self.keys, self.buffers)),
        )

    def python(self) -> Steps:
        """Calls of others."""
        return st.one_of(
            st.sampled_from((WAIT, GROW, PATH)),
            self._keeping("request_get_path", self.buffers),
            self._keeping("request_get_header", self.names, self.buffers),
            st.builds("(call $log {})".format, _window(self.values)),
            st.builds(
                "(memory.fill (i32.const {}) (i32.const {}) (i32.const {}))".format,
                st.integers(KEPT, PAGE // 2),
                st.integers(0, 255),
                st.sampled_from((0, 1, 64, 300)),
            ),
        )

    def _keeping(self, name: str, *windows: Places) -> Steps:
        return st.tuples(*map(_window, windows)).map(lambda drawn: keeping(name, " ".join(drawn)))


def _window(drawn: Places) -> Steps:
    return drawn.map(lambda place: window(*place))


wild_places = weighted((2, shifted), (3, stretches), (1, ends), (1, anything), (1, too_much))
TAME = Given(
    names=places_of(*NAMES),
    values=st.one_of(places_of(*VALUES), short.filter(lambda place: place[0] != KEPT)),
    reasons=places_of(*VALUES),
    bodies=st.one_of(ordinary, short, long),
    keys=st.one_of(ordinary, short),
    buffers=room,
    statuses=st.integers(200, 599),
)
WILD = [
    replace(TAME, names=st.one_of(places_of(*NO_NAMES), wild_places)),
    replace(TAME, values=st.one_of(places_of(*NO_VALUES), wild_places)),
    replace(TAME, reasons=st.one_of(places_of(*NO_VALUES), wild_places)),
    replace(TAME, bodies=wild_places),
    replace(TAME, keys=wild_places),
    replace(TAME, buffers=wild_places),
    replace(TAME, statuses=st.sampled_from((0, 199, 200, 599, 600, 65_736, 2**31, 2**32 - 1, 2**32 - 200))),
]
asked_wildly = st.builds(
    "(call $keep (call $request_get_body (i64.const {}) {}))".format, numbers, _window(ends)
)
often = st.builds(repeated, TAME.compiled(), st.sampled_from((2, 3, 5, 33, 64, 65, 66, 129)))
steps = weighted(
    (40, TAME.compiled()),
    (20, TAME.python()),
    (3, often),
    *((1, given.compiled()) for given in WILD),
    *((1, given.python()) for given in WILD[-2:]),
    (1, asked_wildly),
    (1, st.sampled_from((SPIN, "(unreachable)"))),
)


def sequences(*sizes: int) -> st.SearchStrategy[tuple[str, ...]]:
    """So many steps."""
    return st.sampled_from(sizes).flatmap(lambda size: st.tuples(*[steps] * size))


limits = st.builds(
    Limits,
    host_calls=weighted((2, st.just(100_000)), (1, st.integers(0, 30))),
    response_body=st.sampled_from((16 * MIB, 16 * MIB, 16 * MIB, 0, 64, 300, 40_000, ARENA)),
    response_headers=st.sampled_from((1000, 1000, 128, 0, 1, 2, 5, 64, 65)),
    response_header_bytes=st.sampled_from((64 * KIB, 64 * KIB, 64 * KIB, MIB, 0, 64, 300)),
)
programs = st.builds(
    Program,
    start=sequences(0, 0, 0, 1, 4),
    initialize=sequences(0, 0, 0, 1, 4),
    handle=sequences(0, 1, 3, 6, 10, 15, 20, 25),
    memory=st.sampled_from((*[USUAL] * 12, SMALL, SMALL, EMPTY, HIDDEN)),
    limits=st.one_of(st.just(Limits()), limits),
)
