"""A guest keeps no more than it may, whatever it keeps and however it hides it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_wasm.storage import quota as quotas
from serverless_wasm.storage.folder import File, Folder, Opening
from serverless_wasm.storage.quota import ENTRY, Quota, usage
from storage.trees import MAKE, READ, below, descriptors, dig, file, fill_in, put, refused

LIMIT = 10 * ENTRY


@pytest.fixture
def limited(root: Path) -> Iterator[Folder]:
    """A folder that may hold LIMIT bytes; after each test its count is what a look around finds."""
    before = descriptors()
    folder = Folder.at(str(root), writable=True, quota=LIMIT)
    yield folder
    assert used(folder) == usage(folder.descriptor)
    folder.close()
    assert before == descriptors()


def used(folder: Folder) -> int:
    """What is counted."""
    return folder._quota.used


def test_names_count(limited: Folder) -> None:
    """Files without a byte in them, folders in folders, and further names of one file."""
    put(limited, b"file", b"")
    limited.make_folder(b"d")
    limited.make_folder(b"d/d")
    limited.link(b"file", limited, b"d/link", follow=False)
    assert 4 * ENTRY == used(limited)
    for number in range(6):
        put(limited, b"%d" % number, b"")

    assert "EDQUOT" == refused(limited.open, b"new", MAKE)
    assert "EDQUOT" == refused(limited.make_folder, b"new")
    assert "EDQUOT" == refused(limited.make_link, b"a", b"new")
    assert "EDQUOT" == refused(limited.link, b"file", limited, b"new", follow=False)
    limited.rename(b"file", limited, b"other")
    put(limited, b"other", b"")
    limited.remove(b"0")
    put(limited, b"new", b"")
    assert "EDQUOT" == refused(limited.open, b"newer", MAKE)


def test_links_count_what_they_say(limited: Folder) -> None:
    """A long one takes as much room as a file."""
    assert "answered None" == refused(limited.make_link, b"a" * 4000, b"link")
    assert ENTRY + 4000 == used(limited)
    limited.link(b"link", limited, b"other", follow=False)
    limited.remove(b"link")
    assert ENTRY + 4000 == used(limited)
    limited.remove(b"other")
    assert 0 == used(limited)


@pytest.mark.parametrize(
    "grow",
    [
        lambda file: file.write_at(b"x" * 9 * ENTRY, 1),
        lambda file: file.write_at(b"x", 9 * ENTRY),
        lambda file: file.write_at(b"x", 2**62),
        lambda file: file.write_at(b"x", 2**63 - 2),
        lambda file: file.append(b"x" * (9 * ENTRY + 1)),
        lambda file: file.resize(9 * ENTRY + 1),
        lambda file: file.resize(2**63 - 1),
        lambda file: file.allocate(0, 9 * ENTRY + 1),
        lambda file: file.allocate(9 * ENTRY, 1),
        lambda file: file.allocate(2**62, 2**62 - 1),
    ],
)
def test_no_file_grows_beyond(limited: Folder, grow: Callable[[File], object]) -> None:
    """Neither by bytes nor by holes, however they are made; up to the limit it does."""
    opened = file(limited, b"file")

    assert "EDQUOT" == refused(grow, opened)
    assert 0 == opened.size
    opened.resize(9 * ENTRY - 1)
    assert 1 == opened.append(b"x")
    assert LIMIT == used(limited)
    assert "EDQUOT" == refused(opened.append, b"x")
    assert 1 == opened.write_at(b"y", 9 * ENTRY - 1)
    opened.close()


def test_what_is_cut_off_is_free_again(limited: Folder) -> None:
    """By its size, and when a file is opened to be written anew."""
    put(limited, b"file", b"x" * 1000)
    opened = file(limited, b"file")
    opened.resize(100)
    assert ENTRY + 100 == used(limited)
    opened.close()

    file(limited, b"file", Opening(write=True, truncate=True)).close()
    assert ENTRY == used(limited)


def test_a_file_that_is_open_counts_until_it_is_closed(limited: Folder) -> None:
    """Without a name, too: by its last descriptor, as large as it is by then."""
    put(limited, b"file", b"x" * 1000)
    one, other = file(limited, b"file", READ), file(limited, b"file")
    limited.remove(b"file")
    assert ENTRY + 1000 == used(limited)

    assert 500 == other.append(b"x" * 500)
    other.close()
    assert ENTRY + 1500 == used(limited)
    one.close()
    assert 0 == used(limited)


def test_files_without_names_do_not_add_up(limited: Folder) -> None:
    """Making, opening and removing again and again comes to the limit."""
    opened: list[File] = []
    with suppress(OSError):
        while len(opened) < 100:
            opened.append(file(limited, b"file"))
            limited.remove(b"file")

    assert 10 == len(opened)
    for each in opened:
        each.close()
    put(limited, b"file", b"")


def test_folders_without_names_do_not_add_up(limited: Folder) -> None:
    """As files do not."""
    opened: list[Folder] = []
    with suppress(OSError):
        while len(opened) < 100:
            limited.make_folder(b"d")
            opened.append(below(limited, b"d"))
            limited.remove_folder(b"d")

    assert 10 == len(opened)
    for each in opened:
        each.close()


def test_a_file_that_is_replaced_is_gone(limited: Folder) -> None:
    """Unless it is open, or has another name, or is the very file."""
    for name in b"a", b"b", b"c":
        put(limited, name, b"x" * 100)
    opened = file(limited, b"b")
    limited.rename(b"a", limited, b"b")
    assert 3 * (ENTRY + 100) == used(limited)
    opened.close()
    assert 2 * (ENTRY + 100) == used(limited)

    limited.link(b"b", limited, b"same", follow=False)
    limited.rename(b"b", limited, b"same")
    assert 3 * ENTRY + 200 == used(limited)
    limited.rename(b"c", limited, b"same")
    assert 2 * (ENTRY + 100) == used(limited)
    limited.make_folder(b"d")
    limited.make_folder(b"e")
    limited.rename(b"d", limited, b"e")
    assert 3 * ENTRY + 200 == used(limited)


def test_what_fails_counts_nothing(limited: Folder) -> None:
    """Neither taken nor given back."""
    put(limited, b"file", b"x")
    before = used(limited)

    assert "EEXIST" == refused(limited.make_folder, b"file")
    assert "ENAMETOOLONG" == refused(limited.make_link, b"a", b"b" * 256)
    assert "ENAMETOOLONG" == refused(limited.open, b"b" * 256, MAKE)
    assert "ENAMETOOLONG" == refused(limited.link, b"file", limited, b"b" * 256, follow=False)
    assert "ENOTDIR" == refused(limited.remove_folder, b"file")
    reader = file(limited, b"file", READ)
    assert "EINVAL" == refused(reader.resize, ENTRY)
    assert "EBADF" == refused(reader.write_at, b"x", ENTRY)
    reader.close()
    assert before == used(limited)


def test_what_was_there_counts(root: Path) -> None:
    """Each file once, under however many names; what cannot be read neither more nor less than a name."""
    (root / "d").mkdir()
    (root / "d" / "file").write_bytes(b"x" * 1000)
    (root / "second").hardlink_to(root / "d" / "file")
    (root / "link").symlink_to("x" * 50)
    os.mkfifo(root / "pipe")

    folder = Folder.at(str(root), writable=True, quota=LIMIT)

    assert 5 * ENTRY + 1050 == used(folder)
    folder.close()


def test_more_than_there_may_be(root: Path) -> None:
    """What was there beyond the limit stays, and can be removed and rewritten, but nothing is added."""
    (root / "file").write_bytes(b"x" * LIMIT)
    folder = Folder.at(str(root), writable=True, quota=LIMIT)
    opened = file(folder, b"file")

    assert "EDQUOT" == refused(opened.append, b"x")
    assert 1 == opened.write_at(b"y", 5)
    opened.resize(5)
    assert 1 == opened.append(b"x")
    opened.close()
    folder.close()


def test_a_deep_folder_is_counted(root: Path) -> None:
    """Neither recursion nor descriptors bound it."""
    dig(root, 2000)
    before = descriptors()
    folder = Folder.at(str(root), writable=True, quota=LIMIT)

    assert 2000 * ENTRY == used(folder)
    folder.close()
    assert before == descriptors()
    fill_in(root)


def test_two_quotas_are_two_places(root: Path, tmp_path: Path) -> None:
    """EXDEV from one to the other, and within one none, by whichever folder."""
    (root / "d").mkdir()
    (root / "file").write_bytes(b"")
    one, other = Folder.at(str(root), writable=True), Folder.at(str(tmp_path / "outside"), writable=True)
    inner = below(one, b"d")

    assert "EXDEV" == refused(one.rename, b"file", other, b"file")
    assert "EXDEV" == refused(one.link, b"file", other, b"file", follow=False)
    assert "EXDEV" == refused(other.rename, b"secret", inner, b"secret")
    one.rename(b"file", inner, b"file")
    inner.link(b"file", one, b"file", follow=False)
    for each in one, other, inner:
        each.close()


def test_no_call_of_a_guest_looks_around(limited: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing and making near the limit costs as much as anywhere else."""
    monkeypatch.setattr(quotas, "walk", None)
    for number in range(10):
        put(limited, b"%d" % number, b"")
    for _ in range(20):
        assert "EDQUOT" == refused(limited.open, b"new", MAKE)
        limited.remove(b"0")
        put(limited, b"0", b"")
    monkeypatch.undo()


def test_a_quota_is_exact() -> None:
    """Up to the limit and no byte further; what is refused is not counted; it never counts below nothing."""
    quota = Quota(10)

    quota.take(10)
    quota.take(0)
    assert "EDQUOT" == refused(quota.take, 1)
    quota.give_back(4)
    assert 6 == quota.used
    with suppress(OSError), quota.taken(4):
        raise OSError
    assert 6 == quota.used
    quota.give_back(100)
    assert 0 == quota.used
    Quota().take(2**70)


NAMES = st.sampled_from([b"a", b"b", b"c", b"d/a", b"d/b", b"d", b"d/d"])
SIZES = st.integers(0, 3 * ENTRY) | st.sampled_from([2**40, 2**63 - 1])
DOINGS = st.one_of(
    st.tuples(st.sampled_from(["put", "open", "cut", "mkdir", "rmdir", "remove", "symlink", "enter"]), NAMES),
    st.tuples(st.sampled_from(["rename", "link"]), NAMES, NAMES),
    st.tuples(st.sampled_from(["write", "resize", "allocate", "append"]), st.integers(0, 3), SIZES),
    st.tuples(st.just("close"), st.integers(0, 3)),
)


class Guest:
    """Does something, and keeps what it opens."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.opened: list[File | Folder] = []

    def do(self, what: str, *given: bytes | int) -> None:
        """One of DOINGS; raises OSError."""
        match what, given:
            case "put" | "open" | "cut" | "enter", (bytes(path),):
                how = {"put": MAKE, "cut": Opening(write=True, truncate=True)}.get(what, READ)
                self.opened.append(self.folder.open(path, how))
            case "mkdir", (bytes(path),):
                self.folder.make_folder(path)
            case "rmdir", (bytes(path),):
                self.folder.remove_folder(path)
            case "remove", (bytes(path),):
                self.folder.remove(path)
            case "symlink", (bytes(path),):
                self.folder.make_link(path * 100, path)
            case "rename", (bytes(path), bytes(other)):
                self.folder.rename(path, self.folder, other)
            case "link", (bytes(path), bytes(other)):
                self.folder.link(path, self.folder, other, follow=False)
            case "close", (int(number),):
                self._close(number)
            case _, (int(number), int(size)):
                self._change(what, number, size)

    def _close(self, number: int) -> None:
        if number < len(self.opened):
            self.opened.pop(number).close()

    def _change(self, what: str, number: int, size: int) -> None:
        opened = self.opened[number] if number < len(self.opened) else None
        if not isinstance(opened, File):
            return
        if what == "append":
            opened.append(b"x" * min(size, 2 * ENTRY))
        elif what == "write":
            opened.write_at(b"xyz", size)
        elif what == "resize":
            opened.resize(size)
        else:
            opened.allocate(size // 2, size - size // 2)

    def orphans(self) -> int:
        """What it has open that has no name any more, counted by the system."""
        sizes: dict[int, int] = {}
        for each in self.opened:
            found = os.fstat(each.descriptor)
            if found.st_nlink == 0:
                sizes[found.st_ino] = ENTRY + (found.st_size if isinstance(each, File) else 0)
        return sum(sizes.values())


@given(st.lists(DOINGS, max_size=40))
@settings(max_examples=150)
def test_the_count_is_what_there_is(doings: list[tuple[str, bytes | int]]) -> None:
    """After whatever a guest does, with what it keeps open; and never more than it may."""
    with tempfile.TemporaryDirectory() as name:
        folder = Folder.at(name, writable=True, quota=LIMIT)
        guest = Guest(folder)
        for what, *given_ in doings:
            with suppress(OSError):
                guest.do(what, *given_)
            assert usage(folder.descriptor) + guest.orphans() == used(folder) <= LIMIT
        while guest.opened:
            guest.opened.pop().close()
        assert usage(folder.descriptor) == used(folder)
        folder.close()
