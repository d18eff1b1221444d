"""What the compute guests must answer, for any number of rounds, without making them.

A number of rounds goes in; the state of xorshift32 comes out, as the signed number that WebAssembly returns.
It must never share code with a guest: it is what their answers are checked against.
"""

from __future__ import annotations

SEED = 2463534242
_BITS = 32
_MASK = (1 << _BITS) - 1
_Matrix = tuple[int, ...]


def state(rounds: int) -> int:
    """The state after so many rounds.

    A round is linear over bits, so n rounds are a matrix to the power of n: 32 steps instead of n.
    """
    found, power = SEED, tuple(_round(1 << bit) for bit in range(_BITS))
    while rounds:
        if rounds & 1:
            found = _apply(power, found)
        power = tuple(_apply(power, column) for column in power)
        rounds >>= 1
    return found - (1 << _BITS) if found >> (_BITS - 1) else found


def _round(value: int) -> int:
    value ^= value << 13 & _MASK
    value ^= value >> 17
    return value ^ value << 5 & _MASK


def _apply(matrix: _Matrix, vector: int) -> int:
    found = 0
    for bit, column in enumerate(matrix):
        if vector >> bit & 1:
            found ^= column
    return found
