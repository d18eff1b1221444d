"""A scratch folder is its invocation's alone, and gone after it, however that ends."""

from __future__ import annotations

import gc
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import Folder
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.storage.scratch import Scratch, sweep
from storage.trees import MAKE, SECRET, content, descriptors, dig, file, names_in, put, refused

LIMIT = 100 * ENTRY
HOLDER = """
import sys, time
from serverless_wasm.storage.scratch import Scratch
scratch = Scratch(sys.argv[1], 10**6)
scratch.folder.make_folder(b"d")
print("made", flush=True)
time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Path]:
    """Where scratch folders are made; it is not there yet. No descriptor is left."""
    gc.collect()  # what others have left behind is not counted
    before = descriptors()
    yield tmp_path / "run" / "scratch"
    assert before == descriptors()


def asked(scratch: Scratch) -> Folder:
    """Asks for the folder."""
    return scratch.folder


@contextmanager
def holder(parent: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a scratch folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert "made\n" == process.stdout.readline()
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_it_is_made_when_it_is_asked_for(parent: Path) -> None:
    """Once, for its owner alone; and removed with all that is in it."""
    scratch = Scratch(str(parent), LIMIT)
    assert not parent.exists()

    folder = scratch.folder
    assert folder is scratch.folder
    [made] = parent.iterdir()
    assert 0o700 == stat.S_IMODE(made.stat().st_mode) == stat.S_IMODE(parent.stat().st_mode)
    put(folder, b"file", b"here")
    folder.make_folder(b"d")
    put(folder, b"d/file", b"there")
    assert b"here" == content(folder, b"file")

    scratch.close()
    assert not names_in(parent)


def test_one_that_is_not_used_is_not_made(parent: Path) -> None:
    """And closing it is nothing, however often."""
    scratch = Scratch(str(parent), LIMIT)

    scratch.close()
    scratch.close()
    assert not parent.exists()
    assert "EBADF" == refused(asked, scratch)


def test_it_holds_no_more_than_it_may(parent: Path) -> None:
    """And the next one holds as much."""
    for _ in range(2):
        scratch = Scratch(str(parent), LIMIT)
        opened = file(scratch.folder, b"file")
        assert "EDQUOT" == refused(opened.resize, LIMIT)
        opened.resize(LIMIT - ENTRY)
        opened.close()
        scratch.close()


def test_two_are_strangers(parent: Path) -> None:
    """Neither is reached from the other, and one is removed without the other."""
    one, other = Scratch(str(parent), LIMIT), Scratch(str(parent), LIMIT)
    put(one.folder, b"file", b"here")

    assert "EXDEV" == refused(one.folder.rename, b"file", other.folder, b"file")
    assert 2 == len(other.folder.names())
    other.close()
    assert b"here" == content(one.folder, b"file")
    one.close()


def test_links_lead_nowhere_when_it_is_removed(parent: Path, root: Path) -> None:
    """What they name outside stays, be it a file or a folder."""
    scratch = Scratch(str(parent), LIMIT)
    folder = scratch.folder
    folder.make_link(b"../../../outside", b"folder")
    folder.make_link(b"../../../secret", b"file")
    [made] = parent.iterdir()
    (made / "absolute").symlink_to(root.parent / "outside")
    assert (made / "folder" / "secret").read_bytes() == SECRET

    scratch.close()
    assert not names_in(parent)
    assert SECRET == (root.parent / "outside" / "secret").read_bytes()
    assert SECRET == (root.parent / "secret").read_bytes()


def test_depth_does_not_keep_it(parent: Path) -> None:
    """Thousands of folders in one another: the stack would not do, nor would descriptors."""
    scratch = Scratch(str(parent), LIMIT)
    assert 2 == len(scratch.folder.names())
    [made] = parent.iterdir()
    dig(made, 3000)

    scratch.close()
    assert not names_in(parent)


def test_rights_do_not_keep_it(parent: Path) -> None:
    """A folder that its owner may not even list."""
    scratch = Scratch(str(parent), LIMIT)
    scratch.folder.make_folder(b"d")
    put(scratch.folder, b"d/file", b"")
    [made] = parent.iterdir()
    (made / "d").chmod(0)

    scratch.close()
    assert not names_in(parent)


def test_pipes_do_not_keep_it(parent: Path) -> None:
    """Nothing is opened but folders."""
    scratch = Scratch(str(parent), LIMIT)
    assert scratch.folder.writable
    [made] = parent.iterdir()
    os.mkfifo(made / "pipe")

    scratch.close()
    assert not names_in(parent)


def test_what_is_open_may_be_closed_later(parent: Path) -> None:
    """The guest's descriptors are another's to close; so is the folder itself."""
    scratch = Scratch(str(parent), LIMIT)
    opened = file(scratch.folder, b"file")
    scratch.folder.close()

    scratch.close()
    assert not names_in(parent)
    assert 1 == opened.append(b"x")
    opened.close()


def test_a_child_that_is_being_forked_does_not_keep_it(parent: Path) -> None:
    """It shares the open folder and its lock, until it runs its program."""
    scratch = Scratch(str(parent), LIMIT)
    copy = os.dup(scratch.folder.descriptor)

    scratch.close()
    os.close(copy)
    assert not names_in(parent)


def test_closing_never_fails(parent: Path, root: Path) -> None:
    """Not when somebody else was faster, or put something in its place."""
    for place in "nothing", "a file", "a link", "no parent":
        scratch = Scratch(str(parent), LIMIT)
        assert scratch.folder.writable
        [made] = parent.iterdir()
        made.rmdir()
        if place == "a file":
            made.write_bytes(b"")
        elif place == "a link":
            made.symlink_to(root.parent / "outside")
        elif place == "no parent":
            parent.rmdir()

        scratch.close()
        made.unlink(missing_ok=True)
    assert SECRET == (root.parent / "outside" / "secret").read_bytes()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_others_may_not_write_to_the_parent(parent: Path, mode: int) -> None:
    """They could put a link in the place of a folder: nothing is made there, and nothing removed."""
    parent.mkdir(parents=True)
    (parent / f"scratch-{'0' * 16}").mkdir()
    parent.chmod(mode)
    scratch = Scratch(str(parent), LIMIT)

    assert "EPERM" == refused(asked, scratch)
    scratch.close()
    sweep(str(parent))
    assert 1 == len(names_in(parent))


def test_the_parent_is_no_link(parent: Path, tmp_path: Path) -> None:
    """Whose it is would not be known: in /tmp everybody can make one."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    parent.parent.mkdir()
    parent.symlink_to(tmp_path / "elsewhere")

    assert refused(asked, Scratch(str(parent), LIMIT)) in {"ENOTDIR", "ELOOP"}
    assert not names_in(tmp_path / "elsewhere")


def test_where_none_can_be_made(parent: Path) -> None:
    """An error of the system, and the next time it may well be made."""
    parent.parent.mkdir()
    parent.write_bytes(b"")
    scratch = Scratch(str(parent), LIMIT)

    assert refused(asked, scratch) in {"EEXIST", "ENOTDIR"}
    parent.unlink()
    assert scratch.folder.writable
    scratch.close()
    assert not names_in(parent)


def test_without_descriptors_nothing_is_left(parent: Path) -> None:
    """A folder that cannot be opened is not kept either."""
    parent.mkdir(parents=True, mode=0o700)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    scratch = Scratch(str(parent), LIMIT)

    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        refusal = refused(asked, scratch)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "EMFILE" == refusal
    assert not names_in(parent)
    scratch.close()


def test_what_a_killed_process_left_is_swept(parent: Path) -> None:
    """But not what one has that lives, whoever asks."""
    scratch = Scratch(str(parent), LIMIT)
    put(scratch.folder, b"file", b"mine")
    with holder(parent):
        sweep(str(parent))
        assert 2 == len(names_in(parent))

    assert 2 == len(names_in(parent))
    sweep(str(parent))
    assert 1 == len(names_in(parent))
    assert b"mine" == content(scratch.folder, b"file")
    scratch.close()


def test_only_scratch_folders_are_swept(parent: Path, root: Path) -> None:
    """By their names; and links of such a name are not followed."""
    parent.mkdir(parents=True, mode=0o700)
    (parent / "mine").mkdir()
    (parent / "scratch-file").write_bytes(b"")
    (parent / f"scratch-{'0' * 16}").mkdir()
    (parent / f"scratch-{'1' * 16}").symlink_to(root.parent / "outside")
    (parent / f"scratch-{'2' * 16}").write_bytes(b"")

    sweep(str(parent))

    assert {"mine", "scratch-file", f"scratch-{'1' * 16}", f"scratch-{'2' * 16}"} == names_in(parent)
    assert SECRET == (root.parent / "outside" / "secret").read_bytes()


def test_there_may_be_nothing_to_sweep(parent: Path) -> None:
    """Nor a place where it would be."""
    sweep(str(parent))
    assert not parent.exists()


def test_one_makes_while_others_sweep(parent: Path) -> None:
    """No folder is swept away from under the one who just made it."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            sweep(str(parent))

    others = [threading.Thread(target=run) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(300):
            scratch = Scratch(str(parent), LIMIT)
            scratch.folder.open(b"file", MAKE).close()
            assert b"" == content(scratch.folder, b"file")
            scratch.close()
    finally:
        is_over.set()
        for other in others:
            other.join()
    sweep(str(parent))
    assert not names_in(parent)
