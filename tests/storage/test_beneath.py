"""No path leads out of its folder, and every path within leads where the system says it does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_wasm.storage.beneath import DEPTH, LINKS, LONGEST, STEPS, refusal, walk
from serverless_wasm.storage.folder import Folder
from storage.trees import READ, Guide, Tree, below, content, descriptors, dig, names_in, plant, put, refused

PARTS = st.sampled_from(["a", "b", "c", "a", "b", "..", ".", "", "nothing"])
PATHS = st.lists(PARTS, min_size=1, max_size=8).map("/".join)
TARGETS = PATHS | st.sampled_from(["/", "/etc/passwd", "../root/a", "../secret", "..", "a/", "b/."])
TREES = st.recursive(
    st.none() | TARGETS.filter(bool),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)


@given(
    tree=st.dictionaries(st.sampled_from("abc"), TREES, min_size=1),
    paths=st.lists(PATHS, max_size=20),
    follow=...,
)
@settings(max_examples=200)
def test_a_path_leads_where_it_should(tree: Tree, paths: list[str], follow: bool) -> None:  # noqa: FBT001
    """As a plain reading of the rules has it; and as the system does, where it does not leave the folder."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "root"
        root.mkdir()
        (root.parent / "secret").write_bytes(b"")
        plant(tree, root)
        folder = Folder.at(str(root), writable=False)
        before = descriptors()
        try:
            for path in paths:
                found = _outcome(folder, path, follow=follow)
                assert _foreseen(tree, root, path, follow=follow) == found
                if found != "EPERM":
                    assert _of_system(root, path, follow=follow) == found
                assert before == descriptors()
        finally:
            folder.close()


def _outcome(folder: Folder, path: str, *, follow: bool) -> str:
    try:
        return str(folder.stat(path.encode(), follow=follow).st_ino)
    except OSError:
        return refused(folder.stat, path.encode(), follow=follow)


def _foreseen(tree: Tree, root: Path, path: str, *, follow: bool) -> str:
    try:
        names = Guide(tree).lead(path, follow=follow)
    except OSError:
        return refused(Guide(tree).lead, path, follow=follow)
    assert Path(*names) == Path(os.path.relpath(root.joinpath(*names), root))
    return str(root.joinpath(*names).lstat().st_ino)


def _of_system(root: Path, path: str, *, follow: bool) -> str:
    whole = f"{root}/{path}" if path else ""
    try:
        return str(os.stat(whole, follow_symlinks=follow).st_ino)  # noqa: PTH116 - Path drops a slash
    except OSError:
        return refused(os.stat, whole, follow_symlinks=follow)


@given(tree=st.dictionaries(st.sampled_from("abc"), TREES, min_size=1), paths=st.lists(PATHS, max_size=20))
@settings(max_examples=100)
def test_what_is_opened_lies_below(tree: Tree, paths: list[str]) -> None:
    """The real path of whatever a guest has open begins with that of its folder."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "root"
        root.mkdir()
        (root.parent / "secret").write_bytes(b"")
        plant(tree, root)
        folder = Folder.at(str(root), writable=True)
        try:
            for path in paths:
                try:
                    opened = folder.open(path.encode(), READ)
                except OSError:
                    continue
                real = Path(f"/proc/self/fd/{opened.descriptor}").resolve()
                opened.close()
                assert real.is_relative_to(root)
        finally:
            folder.close()


@pytest.mark.parametrize(
    "path",
    [
        b"..",
        b"../secret",
        b"../root/inside",
        b"below/../../secret",
        b"below/../../root/inside",
        b"./../secret",
        b"/",
        b"/etc/passwd",
        b"//etc/passwd",
        b"absolute",
        b"relative",
        b"folder/secret",
        b"below/up/secret",
        b"below/up/root/inside",
        b"chain",
        b"chain/",
        b"top",
    ],
)
def test_nothing_outside_is_reached(folder: Folder, root: Path, path: bytes) -> None:
    """By no path and no link is there an answer but EPERM, not even of whether something is there."""
    (root / "inside").write_bytes(b"")
    (root / "below").mkdir()
    (root / "below" / "up").symlink_to("../..")
    (root / "absolute").symlink_to(root.parent / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "folder").symlink_to("../outside")
    (root / "chain").symlink_to("second")
    (root / "second").symlink_to("below/up")
    (root / "top").symlink_to("/")

    assert refused(folder.open, path, READ) == "EPERM"
    assert refused(folder.stat, path, follow=True) == "EPERM"
    assert refused(folder.set_times, path, (0, 0), follow=True) == "EPERM"
    assert refused(folder.make_folder, path + b"/new") == "EPERM"


def test_a_folder_is_the_top_for_those_who_opened_it(folder: Folder, root: Path) -> None:
    """Its parent cannot be reached through it, although the guest may have that, too."""
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"")
    (root / "a" / "b" / "link").symlink_to("../file")
    opened = below(folder, b"a/b")

    assert refused(opened.open, b"..", READ) == "EPERM"
    assert refused(opened.open, b"link", READ) == "EPERM"
    assert refused(opened.rename, b"link", opened, b"../link") == "EPERM"
    opened.close()


def test_a_folder_that_is_moved_is_the_top_still(folder: Folder, root: Path) -> None:
    """Whatever its parent is by now."""
    (root / "a" / "b").mkdir(parents=True)
    opened = below(folder, b"a/b")
    (root / "a" / "b").rename(root.parent / "outside" / "b")

    assert refused(opened.open, b"../secret", READ) == "EPERM"
    opened.close()


@pytest.mark.parametrize("path", [b"root/etc/passwd", b"cwd/.", b"exe", b"fd/0", b"task/../root/", b"ns/mnt"])
def test_links_that_are_no_paths_lead_nowhere(path: bytes) -> None:
    """A link of /proc is followed by its text alone, which is absolute or nothing's name."""
    folder = Folder.at("/proc/self", writable=False)

    assert refused(folder.open, path, READ) in {"EPERM", "ENOENT"}
    folder.close()


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        (b"", "ENOENT"),
        (b"a\0b", "EINVAL"),
        (b"\0", "EINVAL"),
        (b"\xff", "EILSEQ"),
        (b"\xed\xa0\x80", "EILSEQ"),
        (b"a" * 256, "ENAMETOOLONG"),
        (b"a/" * (LONGEST // 2), "ENAMETOOLONG"),
        (b"a" * 2**20, "ENAMETOOLONG"),
    ],
)
def test_what_is_no_path(folder: Folder, path: bytes, refusal: str) -> None:
    """Every call refuses it with an errno."""
    put(folder, b"file", b"")

    assert refused(folder.open, path, READ) == refusal
    assert refused(folder.stat, path, follow=False) == refusal
    assert refused(folder.set_times, path, (0, 0), follow=False) == refusal
    assert refused(folder.make_folder, path) == refusal
    assert refused(folder.remove_folder, path) == refusal
    assert refused(folder.remove, path) == refusal
    assert refused(folder.read_link, path) == refusal
    assert refused(folder.make_link, b"target", path) == refusal
    assert refused(folder.link, path, folder, b"new", follow=False) == refusal
    assert refused(folder.link, b"file", folder, path, follow=False) == refusal
    assert refused(folder.rename, path, folder, b"new") == refusal
    assert refused(folder.rename, b"file", folder, path) == refusal


@pytest.mark.parametrize("name", ["ä", "日本", "🦀", " ", "-", "\n", "a\\b", "...", "\u202e"])
def test_names_may_be_anything_else(folder: Folder, name: str) -> None:
    """What is UTF-8 and no step is a name."""
    put(folder, name.encode(), b"here")

    assert b"here" == content(folder, b"./" + name.encode())


def test_links_on_the_way_are_counted(folder: Folder, root: Path) -> None:
    """As many as Linux follows, and not one more; a loop is too many."""
    (root / "0").write_bytes(b"")
    for number in range(LINKS + 1):
        (root / f"{number + 1}").symlink_to(f"{number}")
    (root / "loop").symlink_to("loop/loop")

    assert refused(folder.stat, f"{LINKS}".encode(), follow=True).startswith("answered")
    assert refused(folder.stat, f"{LINKS + 1}".encode(), follow=True) == "ELOOP"
    assert refused(folder.stat, b"loop", follow=True) == "ELOOP"
    assert refused(folder.stat, b"loop/", follow=False) == "ELOOP"


def test_folders_on_the_way_are_counted(folder: Folder) -> None:
    """Each is a descriptor; a deeper one is reached through a folder that is open."""
    for number in range(DEPTH + 1):
        assert refused(folder.make_folder, b"d/" * number + b"d") == "answered None"

    assert refused(folder.make_folder, b"d/" * (DEPTH + 1) + b"d") == "ENAMETOOLONG"
    halfway = below(folder, b"d/" * 100)
    assert refused(halfway.make_folder, b"d/" * (DEPTH - 99) + b"d") == "answered None"
    halfway.close()


def test_steps_are_counted(folder: Folder, root: Path) -> None:
    """A short path cannot make a long way, whatever links it goes through."""
    folder.make_folder(b"d")
    (root / "again").symlink_to("d/../" * 800 + "d")

    assert refused(folder.stat, b"d/../" * (STEPS // 2) + b"d", follow=True).startswith("answered")
    assert refused(folder.stat, b"again/../again", follow=True) == "ENAMETOOLONG"


def test_a_walk_goes_as_deep_as_there_are_folders(root: Path) -> None:
    """Neither the stack nor the descriptors bound it."""
    dig(root, 3000)
    seen = []
    before = descriptors()
    top = os.open(root, os.O_RDONLY)

    def visit(_folder: int, entry: os.DirEntry[str]) -> bool:
        seen.append(entry.name)
        return True

    # each is removed on the way back: pytest could not
    walk(top, visit, lambda folder, name: os.rmdir(name, dir_fd=folder))

    os.close(top)
    assert 3000 == len(seen)
    assert not names_in(root)
    assert before == descriptors()


def test_a_walk_ends_where_a_folder_was_moved(root: Path) -> None:
    """It does not go on in the new parent's other folders."""
    (root / "a" / "b").mkdir(parents=True)
    seen: list[str] = []

    def visit(_folder: int, entry: os.DirEntry[str]) -> bool:
        seen.append(entry.name)
        if entry.name == "c":
            (root / "a" / "b").rename(root.parent / "outside" / "b")
        return entry.is_dir(follow_symlinks=False)

    (root / "a" / "b" / "c").mkdir()
    top = os.open(root, os.O_RDONLY)

    assert refused(walk, top, visit) == "ESTALE"

    os.close(top)
    assert ["a", "b", "c"] == seen


def test_a_walk_passes_over_what_is_removed_meanwhile(root: Path) -> None:
    """It was there when its name was read."""
    (root / "a").mkdir()

    def visit(_folder: int, entry: os.DirEntry[str]) -> bool:
        (root / entry.name).rmdir()
        return True

    top = os.open(root, os.O_RDONLY)
    walk(top, visit)
    os.close(top)


def test_a_refusal_is_as_the_system_has_it() -> None:
    """Python's subclass of the errno, with the text of it."""
    assert isinstance(refusal(1), PermissionError)
    assert os.strerror(1) in str(refusal(1))
