"""What the compute guests are checked against: the jump ahead is as good as every single round."""

from __future__ import annotations

import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.modules import GUESTS
from benchmarks.xorshift import SEED, state


def by_hand(rounds: int) -> int:
    """The state, round by round."""
    found = SEED
    for _ in range(rounds):
        found ^= found << 13 & 0xFFFFFFFF
        found ^= found >> 17
        found ^= found << 5 & 0xFFFFFFFF
    return found - (1 << 32) if found >> 31 else found


@given(st.integers(min_value=0, max_value=3000))
def test_a_jump_is_as_good_as_the_rounds(rounds: int) -> None:
    """Any number of rounds gives the state that they give one by one."""
    assert by_hand(rounds) == state(rounds)


def test_the_peers_guest_gives_that() -> None:
    """The guest of the peers returns the same, for as many rounds as the scenario asks for."""
    store = wasmtime.Store()
    module = wasmtime.Module(store.engine, (GUESTS / "peers.wat").read_text(encoding="utf-8"))
    work = wasmtime.Instance(store, module, []).exports(store)["work"]
    assert isinstance(work, wasmtime.Func)
    assert [state(rounds) for rounds in (0, 1, 1_000_000)] == [work(store, n) for n in (0, 1, 1_000_000)]
