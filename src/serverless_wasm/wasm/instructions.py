"""The instructions of a function, read for what they cost the compiler.

The bytes of a body come in; counts, and an estimate of the work, go out.
It must never spend time out of proportion to the bytes it reads, whatever they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.reader import UNKNOWN, read_unsigned, skip_numbers

NUMBER = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
"""Any number, as a pattern (LEB128, 5.2.2)."""
_PLAIN = (
    rb"[\x20\x23\x24\x0c\x3f\x41\x42\xd0\xd2]N"  # variables, branches, constants
    rb"|[\x00\x01\x0f\x1a\x1b\x45-\x76\x79-\x88\x8b-\xc4\xd1]"
    rb"|[\x28-\x3e]NN"  # loads and stores: alignment and offset
    rb"|\x43.{4}|\x44.{8}|\x1c\x01[\x63-\x7f]"
    rb"|\xfc(?:[\x00-\x07]|[\x09\x0d\x10]N)"
    rb"|\xfd(?:[\x00-\x0b\x5c\x5d]NN|[\x0c\x0d].{16}|[\x15-\x22].|[\x54-\x5b]NN."
    rb"|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff][\x01-\x02])"
)
_MARKED = (
    rb"([\x05\x0b]|\x0dN)"  # else, end, br_if
    rb"|[\x21\x22](N)"  # local.set, local.tee
    rb"|([\x02-\x04]N)"  # block, loop, if
    rb"|[\x10\x12](N)"  # call
    rb"|[\x11\x13](N)N"  # call_indirect
    rb"|\x0e(N)"  # br_table, without its targets
    rb"|([\x77\x78\x89\x8a]|[\x25\x26\x40]N|\xfc(?:[\x0b\x0f\x11]N|[\x08\x0a\x0c\x0e]NN))"
)
_RUN = re.compile(
    # Possessive would be a third faster; before Python 3.11.5 it fails on some of what it should match.
    b"(?:%b){0,64}(?:%b)?" % (_PLAIN.replace(b"N", NUMBER), _MARKED.replace(b"N", NUMBER)),
    re.DOTALL,
)
"""Instructions that cost what their bytes say, then perhaps one that does not (5.4).

What the engine is told to refuse (wasm/engine.py, `_features`) is unknown here.
"""
_END, _SET, _BLOCK, _CALL, _INDIRECT, _BRANCHES, _COSTLY = range(1, 8)
_ELSE, _LOOP, _EMPTY = 0x05, 0x03, 0x40
_COSTS = {
    b"\x77": 50, b"\x78": 50, b"\x89": 50, b"\x8a": 50,  # rotations, a chain of them
    b"\x25": 250, b"\x26": 200, b"\x40": 250,  # table.get, table.set, memory.grow
    b"\xfc\x08": 80, b"\xfc\x0a": 80, b"\xfc\x0b": 60,  # memory.init, copy, fill
    b"\xfc\x0c": 500, b"\xfc\x0e": 600, b"\xfc\x0f": 300, b"\xfc\x11": 300,  # table.init, copy, grow, fill
}  # fmt: skip
"""Microseconds each, in functions of 5,000 to 20,000 of them (measured)."""
_INDIRECT_COST = 100
_REGISTERS = 10
_ROTATIONS = b"\x77\x78\x89\x8a"


@dataclass(slots=True, kw_only=True)
class Body:
    """What is in a function's body, counted; `size` in bytes, `variables` are parameters and locals."""

    size: int
    variables: int
    nesting: int = 0
    loop_nesting: int = 0
    block_values: int = 0
    """Values that its blocks take and leave."""
    branch_targets: int = 0
    joints: int = 0
    """Blocks and conditional branches, where ways part and meet."""
    loops: int = 0
    loop_weight: int = 0
    """For each loop 8 and its depth: every variable may have to be passed around in it."""
    sets: Counter[bytes] = field(default_factory=Counter)
    """How often each variable is set; one index may be written in several ways."""
    breaks: int = 0
    """Instructions around which the compiler splits the lives of values."""
    charges: int = 0
    """What calls and other costly instructions add."""

    @property
    def work(self) -> int:
        """What compiling it costs, in microseconds of a core, roughly; every term was measured.

        Where branches meet, each variable that was set has a value of its own: lists of them are searched
        again and again, which is where the squares come from.
        """
        splits = self.loops + self.breaks // 2
        sets = Counter[int]()
        for index, count in self.sets.items():
            sets[read_unsigned(index, 0)[0]] += count
        in_registers = sum(count for _, count in sets.most_common(_REGISTERS))
        return (
            self.size
            + self.size * self.size // 150_000
            + self.charges
            + 2 * self.joints
            + self.branch_targets // 2
            + self.variables * self.loop_weight
            + self.variables * (self.joints + sets.total()) // 4
            + self.joints * in_registers // 40
            + splits * splits * 3 // 20
        )


class Instructions:
    """The instructions of a code section; `types` and `functions` are the values each takes and leaves."""

    def __init__(self, code: bytes, types: Sequence[int], functions: Sequence[int]) -> None:
        self._code = code
        self._types = types
        self._functions = functions
        self._calls: dict[bytes, int] = {}

    def read(self, at: int, end: int, variables: int) -> Body:
        """The body between two bytes of the section.

        Raises CompileError for an instruction that is unknown or not whole.
        """
        body = Body(size=end - at, variables=variables)
        code, match = self._code, _RUN.match
        open_blocks: list[bool] = []
        loops = 0
        while (run := match(code, at, end)) and run.end() > at:
            at, kind = run.end(), run.lastindex
            if kind == _END:
                if run[_END] != b"\x0b":
                    body.joints += 1
                elif open_blocks:
                    loops -= open_blocks.pop()
                else:
                    return body
            elif kind == _SET:
                body.sets[run[_SET]] += 1
            elif kind == _BLOCK:
                is_loop = self._block(run[_BLOCK], body)
                open_blocks.append(is_loop)
                body.nesting = max(body.nesting, len(open_blocks))
                if is_loop:
                    loops += 1
                    body.loop_nesting = max(body.loop_nesting, loops)
                    body.loop_weight += 8 + loops
            elif kind == _BRANCHES:
                targets, _ = read_unsigned(run[_BRANCHES], 0)
                body.branch_targets += targets
                at = skip_numbers(code, at, targets + 1)
            elif kind:
                self._charge(kind, run[kind], body)
        found = code[at : at + 2].hex(" ")
        raise CompileError(f"{UNKNOWN}: the instruction {found} at byte {at} of its code")

    def _block(self, text: bytes, body: Body) -> bool:
        """Counts a block and says whether it is a loop; a block's type is one value or an index (5.3.3)."""
        body.joints += 1
        if text[1] != _EMPTY:
            single = _EMPTY < text[1] < 0x80
            body.block_values += 1 if single else self._width(self._types, text[1:])
        is_loop = text[0] == _LOOP
        body.loops += is_loop
        return is_loop

    def _charge(self, kind: int, text: bytes, body: Body) -> None:
        if kind == _CALL:
            if text not in self._calls:
                self._calls[text] = _call_cost(self._width(self._functions, text))
            body.charges += self._calls[text]
        elif kind == _INDIRECT:
            body.charges += _INDIRECT_COST + _call_cost(self._width(self._types, text))
            body.breaks += 1
        else:
            name = text[: 2 if text[0] == 0xFC else 1]
            body.charges += _COSTS[name]
            body.breaks += name not in _ROTATIONS

    def _width(self, widths: Sequence[int], index: bytes) -> int:
        number, _ = read_unsigned(index, 0)
        if number >= len(widths):
            raise CompileError(f"is not valid: its code refers to the unknown type or function {number}")
        return widths[number]


def _call_cost(values: int) -> int:
    return 6 + 3 * values
