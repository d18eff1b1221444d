"""A process that writes to a key-value store until it is killed: python key_values_writer.py URL KIND MOST.

`set` sets its own keys, many at once, and says each number once it is acknowledged; `count` increments one
key that all processes share, MOST times.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count

from serverless_wasm.errors import CapabilityError
from serverless_wasm.storage.kv.namespace import KeyValueSettings, Namespace
from serverless_wasm.storage.kv.stores import open_key_value

AT_ONCE = 20
QUOTA = 2**40


async def set_for_ever(space: Namespace, most: int) -> None:
    """Number after number, in a few keys of several sizes: each keeps the largest that was acknowledged."""
    numbers = count(most)

    async def one(name: str) -> None:
        for number in numbers:
            try:
                await space.set(f"{os.getpid()} {name}".encode(), b"%d %b" % (number, bytes(number % 5000)))
                os.write(1, f"{name} {number}\n".encode())  # a pipe takes a line as a whole
                await space.increment(b"writes", 1)
            except CapabilityError as error:
                os.write(2, f"{error}\n".encode())
                return

    await asyncio.gather(*(one(str(name)) for name in range(AT_ONCE)))


async def increment(space: Namespace, most: int) -> None:
    """AT_ONCE at a time."""

    async def some() -> None:
        for _ in range(most // AT_ONCE):
            await space.increment(b"n", 1)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def main(url: str, kind: str, most: int) -> None:
    """Writes."""
    store = open_key_value(KeyValueSettings(name="default", url=url, quota=QUOTA), 60.0)
    work = set_for_ever if kind == "set" else increment
    await work(store.namespace("application"), most)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
