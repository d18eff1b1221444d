"""Files against a dictionary: whatever guests do in whatever order, every backend answers as it would."""

from __future__ import annotations

import asyncio
import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from serverless_wasm.errors import NotThere, TooLarge
from serverless_wasm.storage.files.keeper import NEW
from serverless_wasm.storage.files.stores import FileStores
from serverless_wasm.storage.quota import ENTRY
from storage.backends import LIMITS, Backend

FOLDERS = ("", "f/", "f/g/", "ö%20/")
# a file and a folder never have one name: there a disk differs, see docs/files.md
KEYS = st.builds("{}{}".format, st.sampled_from(FOLDERS), st.sampled_from(("a", "ab", "b ", "%61", "…")))
BODIES = st.binary(max_size=200) | st.just(b"x" * 5000)
ROOM = 7 * ENTRY


class Guest(RuleBasedStateMachine):
    """One application, and the dictionary that it should be."""

    keeps: Backend

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores = FileStores()
        self.files = self.stores.for_application((self.keeps.place(quota=ROOM),), LIMITS)
        self.tree = self.files.trees[b"/data"]
        self.model: dict[str, bytes] = {}

    def teardown(self) -> None:
        """Closes what is open."""
        self.stores.close()
        self.runner.close()

    def fits(self, key: str, body: bytes) -> bool:
        """Whether the quota has room for it in place of what is there."""
        others = sum(ENTRY + len(kept) for name, kept in self.model.items() if name != key)
        before = ENTRY + len(self.model[key]) if key in self.model else 0
        growth = ENTRY + len(body) - before
        return growth <= 0 or others + before + growth <= ROOM

    @rule(key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        """Is done if there is room."""
        try:
            self.runner.run(self.files.put(f"/data/{key}".encode(), body))
        except TooLarge:
            assert not self.fits(key, body)
        else:
            assert self.fits(key, body)
            self.model[key] = body

    @rule(key=KEYS)
    def put_new(self, key: str) -> None:
        """Is done if there is nothing, and room."""
        try:
            written = self.runner.run(self.tree.write(key, b"new", NEW))
        except TooLarge:
            assert not self.fits(key, b"new")
        else:
            assert written == (key not in self.model)
            self.model.setdefault(key, b"new")

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        """Tells whether there was one."""
        assert (key in self.model) == self.runner.run(self.tree.delete(key))
        self.model.pop(key, None)

    @rule(key=KEYS, offset=st.integers(0, 300), size=st.integers(0, 6000))
    def get(self, key: str, offset: int, size: int) -> None:
        """Has the part that a slice has."""
        try:
            length, part = self.runner.run(self.files.get(f"/data/{key}".encode(), offset, size))
        except NotThere:
            assert key not in self.model
        else:
            assert (len(self.model[key]), self.model[key][offset : offset + size]) == (length, part)

    @rule(prefix=KEYS | st.sampled_from(FOLDERS))
    def listed(self, prefix: str) -> None:
        """Has the names that begin so."""
        expected = sorted(f"/data/{key}" for key in self.model if key.startswith(prefix))
        assert expected == self.runner.run(self.files.list(f"/data/{prefix}".encode(), 10_000))

    @rule(key=KEYS)
    def head(self, key: str) -> None:
        """Knows how large a file is."""
        found = self.runner.run(self.tree.head(key))
        assert (None if found is None else found.size) == (
            len(self.model[key]) if key in self.model else None
        )

    @invariant()
    def folders_are_those_of_files(self) -> None:
        """At the top there are the files and the first parts of names."""
        expected = {(key.split("/")[0], "/" in key) for key in self.model}
        found = [(name, found.is_folder) for name, found in self.runner.run(self.tree.entries(""))]
        assert sorted(set(found)) == found
        surplus = set(found) - expected
        assert expected <= set(found)
        # SeaweedFS removes a folder some time after its last file
        assert not surplus or (self.keeps.name == "s3" and all(is_folder for _, is_folder in surplus))


def test_files_behave_as_a_dictionary(keeps: Backend) -> None:
    """Under every sequence of calls that Hypothesis finds."""

    class Here(Guest):
        """On this backend."""

    Here.keeps = keeps
    examples = {"disk": 40, "memory": 40}.get(keeps.name, 15) * int(os.environ.get("FILES_TIMES", "1"))
    run_state_machine_as_test(Here, settings=settings(max_examples=examples, stateful_step_count=20))
