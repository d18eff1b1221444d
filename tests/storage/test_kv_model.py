"""Both kinds of store do what a dict does, in any order of calls, and so do as each other does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from serverless_wasm.errors import CapabilityError, Failed, TooLarge
from serverless_wasm.storage.kv.namespace import PAIR, KeyValueStore, Namespace
from serverless_wasm.storage.kv.redis import RedisStore, _names
from serverless_wasm.storage.kv.sqlite import SqliteStore
from storage.key_values import TIMEOUT, all_keys, redis_server, settings_of

QUOTA, VALUE, HOUR = 1500, 300, 3_600_000
KEYS = st.sampled_from([b"a", b"aa", b"ab", b"b", b"\0", b"\xff", b"\xff\xff"]) | st.binary(
    min_size=1, max_size=3
)
VALUES = (
    st.sampled_from([b"", b"0", b"7", b"-7", b"9223372036854775807", b"07"])
    | st.binary(max_size=8)
    | st.integers(0, VALUE).map(bytes)
)
INTEGERS = range(-(2**63), 2**63)
PREFIXES = st.just(b"") | st.binary(max_size=2) | KEYS
STEPS = st.integers(-10, 10) | st.sampled_from([2**63 - 1, -(2**63)])


class Model:
    """A namespace, for somebody who has read the documentation."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.mortal: set[bytes] = set()

    @property
    def used(self) -> int:
        return sum(PAIR + len(key) + len(value) for key, value in self.values.items())

    def set_many(self, pairs: list[tuple[bytes, bytes]], ttl: int | None = None) -> None:
        before, used = dict(self.values), self.used
        self.values.update(pairs)
        if self.used > max(used, QUOTA):
            self.values = before
            raise TooLarge
        keys = {key for key, _ in pairs}
        self.mortal = self.mortal - keys if ttl is None else self.mortal | keys

    def increment(self, key: bytes, delta: int) -> int:
        value = self.values.get(key, b"0")
        try:
            number = int(value)
        except ValueError:
            raise Failed from None
        total = number + delta
        if str(number).encode() != value or number not in INTEGERS or total not in INTEGERS:
            raise Failed
        self.set_many([(key, str(total).encode())], HOUR if key in self.mortal else None)
        return total

    def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        if self.values.get(key) != expected:
            return False
        self.set_many([(key, value)])
        return True

    def delete_many(self, keys: list[bytes]) -> None:
        for key in keys:
            self.values.pop(key, None)
            self.mortal.discard(key)


@dataclass
class Stores:
    """Both of them, and the clock that one of them believes."""

    runner: asyncio.Runner
    sqlite: KeyValueStore
    redis: KeyValueStore
    client: Any
    time: list[int] = field(default_factory=lambda: [10**12])
    names: Iterator[int] = field(default_factory=count)


class Machine(RuleBasedStateMachine):
    """Asks the model and both stores the same, for an application that is new to them."""

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.stores = stores
        self.application = f"application {next(stores.names)}"
        self.spaces = [store.namespace(self.application) for store in (stores.sqlite, stores.redis)]
        self.model = Model()

    def ask(self, call: Callable[[Namespace], Awaitable[Any]]) -> list[Any]:
        """What each store answers, or the kind of error."""

        async def answer(space: Namespace) -> Any:
            try:
                return await call(space)
            except CapabilityError as error:
                return type(error)

        return [self.stores.runner.run(answer(space)) for space in self.spaces]

    def same(self, expected: Callable[[], Any], call: Callable[[Namespace], Awaitable[Any]]) -> None:
        """All three agree."""
        try:
            answer = expected()
        except CapabilityError as error:
            answer = type(error)
        assert [answer] * 2 == self.ask(call)

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        self.same(lambda: self.model.values.get(key), lambda space: space.get(key))
        self.same(lambda: key in self.model.values, lambda space: space.exists(key))

    @rule(key=KEYS, value=VALUES, ttl=st.none() | st.just(HOUR))
    def set(self, key: bytes, value: bytes, ttl: int | None) -> None:
        self.same(lambda: self.model.set_many([(key, value)], ttl), lambda space: space.set(key, value, ttl))

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=5))
    def set_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.same(lambda: self.model.set_many(pairs), lambda space: space.set_many(pairs))

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete_many(self, keys: list[bytes]) -> None:
        self.same(lambda: self.model.delete_many(keys), lambda space: space.delete_many(keys))

    @rule(keys=st.lists(KEYS, max_size=4))
    def get_many(self, keys: list[bytes]) -> None:
        self.same(lambda: [self.model.values.get(key) for key in keys], lambda space: space.get_many(keys))

    @rule(key=KEYS, delta=STEPS)
    def increment(self, key: bytes, delta: int) -> None:
        self.same(lambda: self.model.increment(key, delta), lambda space: space.increment(key, delta))

    @rule(key=KEYS, expected=st.none() | VALUES, value=VALUES, is_right=st.booleans())
    def swap(self, key: bytes, expected: bytes | None, value: bytes, *, is_right: bool) -> None:
        right = self.model.values.get(key) if is_right else expected
        self.same(lambda: self.model.swap(key, right, value), lambda space: space.swap(key, right, value))

    @rule(prefix=PREFIXES, most=st.integers(1, 4))
    def keys(self, prefix: bytes, most: int) -> None:
        self.same(
            lambda: sorted(key for key in self.model.values if key.startswith(prefix)),
            lambda space: all_keys(space, prefix, most),
        )

    @rule(prefix=PREFIXES, after=st.binary(max_size=3))
    def keys_after(self, prefix: bytes, after: bytes) -> None:
        expected = sorted(key for key in self.model.values if key.startswith(prefix) and key > after)
        self.same(lambda: (expected, None), lambda space: space.keys(prefix, after))

    @rule()
    def an_hour_goes_by(self) -> None:
        """A clock for SQLite; for Redis, whose clock is its own, what is to come is moved into the past."""
        self.stores.time[0] += HOUR
        _, _, expiring, _ = _names("default", self.application)
        for key, _ in self.stores.runner.run(self.stores.client.zrange(expiring, 0, -1, withscores=True)):
            self.stores.runner.run(self.stores.client.zadd(expiring, {key: 1}))
        self.model.delete_many(list(self.model.mortal))

    @invariant()
    def nothing_is_counted_wrong(self) -> None:
        """A pair that just fits is taken, one of a byte more is not."""
        room = QUOTA - self.model.used - PAIR - 4
        if 0 <= room < VALUE:
            assert [TooLarge] * 2 == self.ask(lambda space: space.set(b"last", bytes(room + 1)))
            assert [None] * 2 == self.ask(lambda space: space.set(b"last", bytes(room)))
            assert [None] * 2 == self.ask(lambda space: space.delete(b"last"))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Both kinds."""
    with redis_server(tmp_path) as port, asyncio.Runner() as runner:
        url = f"redis://127.0.0.1:{port}/0"
        time = [10**12]
        local = settings_of(f"sqlite:///{tmp_path}/state.db", quota=QUOTA, value=VALUE)
        sqlite = SqliteStore(local, TIMEOUT, lambda: time[0])
        redis = RedisStore(settings_of(url, quota=QUOTA, value=VALUE), TIMEOUT)
        client = Redis.from_url(url)
        yield Stores(runner, sqlite, redis, client, time)
        for closing in sqlite.close, redis.close, client.aclose:
            runner.run(closing())


def test_they_do_what_a_dict_does(stores: Stores) -> None:
    """Whatever the calls, errors and the passing of time included."""
    machine: Any = partial(Machine, stores)
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=60, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
