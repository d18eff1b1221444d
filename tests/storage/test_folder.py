"""What can be done below a folder, and how each call answers what it cannot do."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from serverless_wasm.storage import folder as folders
from serverless_wasm.storage.folder import Folder, Opening
from storage.trees import MAKE, READ, below, content, file, names_in, put, refused

WRITE = Opening(write=True)


def test_a_file_is_made_written_and_read(folder: Folder, root: Path) -> None:
    """Bytes go where they are written, with zeros before them."""
    opened = file(folder, b"file")

    assert 3 == opened.write_at(b"abc", 0)
    assert 3 == opened.write_at(b"xyz", 5)
    assert 8 == opened.size == opened.stat().st_size
    assert b"abc\0\0xyz" == opened.read_at(100, 0)
    assert b"\0x" == opened.read_at(2, 4)
    assert b"" == opened.read_at(100, 8)
    assert b"" == opened.read_at(0, 0)
    opened.sync()
    opened.close()
    assert b"abc\0\0xyz" == (root / "file").read_bytes()


def test_the_end_is_where_it_is_by_now(folder: Folder) -> None:
    """What two append is never lost; and a write elsewhere stays elsewhere."""
    one, other = file(folder, b"file"), file(folder, b"file")

    assert 2 == one.append(b"ab")
    assert 2 == other.append(b"cd")
    assert 1 == one.write_at(b"X", 0)
    assert 0 == one.append(b"")
    assert 1 == one.append(b"e")
    assert b"Xbcde" == one.read_at(100, 0)
    one.close()
    other.close()


def test_a_file_is_cut_and_made_longer(folder: Folder) -> None:
    """By its size, or so that a range fits."""
    opened = file(folder, b"file")
    opened.write_at(b"abc", 0)

    opened.resize(1)
    assert b"a" == opened.read_at(100, 0)
    opened.resize(2)
    opened.allocate(1, 3)
    assert b"a\0\0\0" == opened.read_at(100, 0)
    opened.allocate(0, 1)
    assert 4 == opened.size
    opened.close()


def test_one_call_moves_a_bounded_number_of_bytes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is another call's: counts are as they were done."""
    monkeypatch.setattr(folders, "MOST_BYTES", 4)
    opened = file(folder, b"file")

    assert 4 == opened.write_at(b"abcdefgh", 0)
    assert 4 == opened.append(b"efghijkl")
    assert b"bcde" == opened.read_at(2**62, 1)
    opened.close()


@pytest.mark.parametrize(
    ("how", "there", "answer"),
    [
        (Opening(), b"old", b"old"),
        (Opening(), None, "ENOENT"),
        (Opening(write=True), b"old", b"old"),
        (Opening(write=True), None, "ENOENT"),
        (Opening(write=True, read=False), None, "ENOENT"),
        (Opening(create=True), b"old", b"old"),
        (Opening(create=True), None, b""),
        (Opening(create=True, exclusive=True), b"old", "EEXIST"),
        (Opening(create=True, exclusive=True), None, b""),
        (Opening(exclusive=True), b"old", b"old"),
        (Opening(write=True, truncate=True), b"old", b""),
        (Opening(write=True, truncate=True), None, "ENOENT"),
        (Opening(write=True, truncate=True, create=True), b"old", b""),
        (Opening(truncate=True), b"old", "EINVAL"),
        (Opening(folder=True), b"old", "ENOTDIR"),
        (Opening(folder=True), None, "ENOENT"),
        (Opening(folder=True, create=True), None, "EINVAL"),
        (Opening(folder=True, create=True), b"old", "EINVAL"),
    ],
)
def test_how_a_file_is_opened(
    folder: Folder, root: Path, how: Opening, there: bytes | None, answer: bytes | str
) -> None:
    """Each way with a file that is there, and without."""
    if there is not None:
        (root / "file").write_bytes(there)

    if isinstance(answer, str):
        assert answer == refused(folder.open, b"file", how)
        return
    file(folder, b"file", how).close()
    assert answer == (root / "file").read_bytes()


def test_a_file_is_used_as_it_was_opened(folder: Folder) -> None:
    """What was opened to be read is not written, nor the other way round."""
    put(folder, b"file", b"old")
    reader, writer = file(folder, b"file", Opening()), file(folder, b"file", Opening(read=False, write=True))

    assert refused(reader.write_at, b"x", 0) == "EBADF"
    assert refused(reader.append, b"x") == "EBADF"
    assert refused(reader.resize, 0) == "EINVAL"
    assert refused(reader.allocate, 0, 10) == "EINVAL"
    assert refused(writer.read_at, 1, 0) == "EBADF"
    assert b"old" == content(folder, b"file")
    reader.close()
    writer.close()


@pytest.mark.parametrize("how", [MAKE, WRITE, Opening(create=True), Opening(write=True, truncate=True)])
def test_a_folder_is_opened_to_be_read_alone(folder: Folder, how: Opening) -> None:
    """EISDIR for any way that would change a file."""
    folder.make_folder(b"d")

    for path in b"d", b"d/", b".", b"d/..":
        assert "EISDIR" == refused(folder.open, path, how)
    assert "EEXIST" == refused(folder.open, b"d", Opening(create=True, exclusive=True))


def test_a_link_is_followed_if_asked(folder: Folder) -> None:
    """At the end of a path; on the way and before a slash it always is."""
    folder.make_folder(b"d")
    put(folder, b"d/file", b"here")
    folder.make_link(b"d", b"link")
    folder.make_link(b"link/file", b"second")
    folder.make_link(b"nothing", b"dangling")

    assert b"here" == content(folder, b"link/file") == content(folder, b"second")
    assert "ELOOP" == refused(folder.open, b"link", Opening())
    assert "ELOOP" == refused(folder.open, b"second", WRITE)
    assert "ELOOP" == refused(folder.open, b"dangling", MAKE)
    assert "ENOENT" == refused(folder.open, b"dangling", READ)
    assert stat.S_ISLNK(folder.stat(b"link", follow=False).st_mode)
    assert stat.S_ISDIR(folder.stat(b"link", follow=True).st_mode)
    assert stat.S_ISDIR(folder.stat(b"link/", follow=False).st_mode)
    assert "ENOTDIR" == refused(folder.stat, b"second/", follow=False)
    below(folder, b"link").close()


def test_a_link_may_end_in_a_slash_itself(folder: Folder) -> None:
    """Then it leads to a folder, or to nothing that can be opened or made."""
    folder.make_folder(b"d")
    put(folder, b"file", b"")
    for name in b"d", b"file", b"new":
        folder.make_link(name + b"/", b"link-" + name)

    below(folder, b"link-d").close()
    assert "ENOTDIR" == refused(folder.open, b"link-file", READ)
    assert "ENOTDIR" == refused(folder.stat, b"link-file", follow=True)
    assert "EISDIR" == refused(folder.open, b"link-new", Opening(create=True, follow=True))


def test_a_link_that_leads_to_nothing_makes_what_it_names(folder: Folder, root: Path) -> None:
    """Unless only a new file will do: then the link is in the way."""
    folder.make_link(b"new", b"dangling")
    how = Opening(write=True, create=True, follow=True)

    assert "EEXIST" == refused(folder.open, b"dangling", Opening(create=True, exclusive=True, follow=True))
    assert not (root / "new").exists()
    file(folder, b"dangling", how).close()
    assert (root / "new").exists()


def test_what_could_wait_or_do_things_is_never_opened(
    folder: Folder, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe would wait for its other end; but it can be renamed and removed."""
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # a path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in b"pipe", b"socket":
            for how in READ, WRITE, MAKE, Opening(read=False, write=True), Opening(write=True, truncate=True):
                assert "EPERM" == refused(folder.open, path, how)
            assert "ENOTDIR" == refused(folder.open, path + b"/", READ)
            assert "EPERM" == refused(folder.link, path, folder, b"new", follow=False)
    folder.rename(b"pipe", folder, b"other")
    folder.remove(b"other")
    assert {("socket", 0)} == {(name, kind) for name, _, kind in folder.names()[2:]}


def test_no_device_is_opened() -> None:
    """Not even one that would do nothing."""
    devices = Folder.at("/dev", writable=True)

    for how in READ, WRITE, MAKE:
        assert "EPERM" == refused(devices.open, b"null", how)
    devices.close()


def test_folders_are_made_and_removed(folder: Folder, root: Path) -> None:
    """One at a time, and only when they are empty."""
    folder.make_folder(b"a")
    folder.make_folder(b"a/b/")
    put(folder, b"file", b"")
    folder.make_link(b"a", b"link")

    assert "EEXIST" == refused(folder.make_folder, b"a")
    assert "EEXIST" == refused(folder.make_folder, b"a/")
    assert "EEXIST" == refused(folder.make_folder, b"file")
    assert "EEXIST" == refused(folder.make_folder, b"link")
    assert "EEXIST" == refused(folder.make_folder, b".")
    assert "ENOENT" == refused(folder.make_folder, b"nothing/new")
    assert "ENOENT" == refused(folder.make_folder, b"new/.")
    assert "ENOTDIR" == refused(folder.make_folder, b"file/new")
    assert "ENOTEMPTY" == refused(folder.remove_folder, b"a")
    assert "ENOTDIR" == refused(folder.remove_folder, b"file")
    assert "ENOTDIR" == refused(folder.remove_folder, b"link")
    assert "ENOENT" == refused(folder.remove_folder, b"nothing")
    assert "EINVAL" == refused(folder.remove_folder, b".")
    assert "EINVAL" == refused(folder.remove_folder, b"a/b/.")
    folder.remove_folder(b"a/b/")
    folder.remove_folder(b"a")
    assert {"file", "link"} == names_in(root)


def test_files_and_links_are_removed(folder: Folder, root: Path) -> None:
    """The link, not what it leads to."""
    folder.make_folder(b"d")
    put(folder, b"file", b"")
    folder.make_link(b"d", b"link")
    folder.make_link(b"file", b"other")

    assert "EISDIR" == refused(folder.remove, b"d")
    assert "EISDIR" == refused(folder.remove, b"d/")
    assert "EISDIR" == refused(folder.remove, b".")
    assert "ENOTDIR" == refused(folder.remove, b"file/")
    assert "ENOTDIR" == refused(folder.remove, b"file/.")
    assert "ENOENT" == refused(folder.remove, b"nothing")
    folder.remove(b"link")
    folder.remove(b"other")
    assert {"d", "file"} == names_in(root)
    folder.remove(b"file")


def test_names_change(folder: Folder, root: Path) -> None:
    """What had the new name is replaced, if it is of the same kind and empty."""
    folder.make_folder(b"a")
    folder.make_folder(b"b")
    put(folder, b"a/file", b"one")
    put(folder, b"file", b"two")
    opened = below(folder, b"a")

    assert "ENOTEMPTY" == refused(folder.rename, b"b", folder, b"a")
    assert "EISDIR" == refused(folder.rename, b"file", folder, b"b")
    assert "ENOTDIR" == refused(folder.rename, b"b", folder, b"file")
    assert "ENOTDIR" == refused(folder.rename, b"file", folder, b"new/")
    assert "ENOTDIR" == refused(folder.rename, b"file", folder, b"b/")
    assert "ENOTDIR" == refused(folder.rename, b"file/", folder, b"new")
    assert "EINVAL" == refused(folder.rename, b"a", folder, b"a/below")
    assert "EINVAL" == refused(folder.rename, b".", folder, b"new")
    assert "EINVAL" == refused(folder.rename, b"a", folder, b"b/.")
    assert "ENOENT" == refused(folder.rename, b"nothing", folder, b"new")
    opened.rename(b"file", folder, b"file")
    assert b"one" == (root / "file").read_bytes()
    folder.rename(b"a/", folder, b"b/")
    folder.rename(b"b", folder, b"new/")
    folder.rename(b"new", folder, b"new")
    assert {"file", "new"} == names_in(root)
    opened.close()


def test_a_file_has_further_names(folder: Folder, root: Path) -> None:
    """A link, too; a folder never."""
    folder.make_folder(b"d")
    put(folder, b"file", b"one")
    folder.make_link(b"file", b"link")
    folder.make_link(b"../secret", b"outside")

    folder.link(b"file", folder, b"d/second", follow=False)
    folder.link(b"link", folder, b"third", follow=False)
    folder.link(b"link", folder, b"fourth", follow=True)
    assert (root / "file").samefile(root / "d" / "second")
    assert (root / "third").is_symlink()
    assert not (root / "fourth").is_symlink()
    assert "EPERM" == refused(folder.link, b"outside", folder, b"new", follow=True)
    assert "EPERM" == refused(folder.link, b"d", folder, b"new", follow=False)
    assert "EPERM" == refused(folder.link, b".", folder, b"new", follow=False)
    assert "ENOTDIR" == refused(folder.link, b"file/", folder, b"new", follow=False)
    assert "ENOENT" == refused(folder.link, b"file", folder, b"new/", follow=False)
    assert "EEXIST" == refused(folder.link, b"file", folder, b"third", follow=False)
    assert "EEXIST" == refused(folder.link, b"file", folder, b"d/", follow=False)
    assert "ENOENT" == refused(folder.link, b"nothing", folder, b"new", follow=False)


def test_links_are_made_and_read(folder: Folder) -> None:
    """As they were written; never absolute, which would mean something else outside."""
    put(folder, b"file", b"")
    folder.make_folder(b"d")
    folder.make_link(b"../x/./y/", b"link")

    assert b"../x/./y/" == folder.read_link(b"link")
    assert "EPERM" == refused(folder.make_link, b"/etc/passwd", b"new")
    assert "ENOENT" == refused(folder.make_link, b"", b"new")
    assert "EINVAL" == refused(folder.make_link, b"a\0b", b"new")
    assert "EILSEQ" == refused(folder.make_link, b"\xff", b"new")
    assert "ENAMETOOLONG" == refused(folder.make_link, b"a" * 4096, b"new")
    assert "EEXIST" == refused(folder.make_link, b"a", b"link")
    assert "EEXIST" == refused(folder.make_link, b"a", b"d/")
    assert "EEXIST" == refused(folder.make_link, b"a", b".")
    assert "ENOTDIR" == refused(folder.make_link, b"a", b"file/")
    assert "ENOENT" == refused(folder.make_link, b"a", b"new/")
    assert "EINVAL" == refused(folder.read_link, b"file")
    assert "EINVAL" == refused(folder.read_link, b"d")
    assert "EINVAL" == refused(folder.read_link, b".")
    assert "ENOENT" == refused(folder.read_link, b"nothing")


@pytest.mark.parametrize("times", [(0, 0), (1, 10**18 + 1), (-5, -(10**9)), (2**62, 2**63 - 1)])
def test_times_are_set(folder: Folder, times: tuple[int, int]) -> None:
    """Of files, links and folders, as far as the disk can say them."""
    put(folder, b"file", b"")
    folder.make_link(b"nothing", b"link")
    opened = file(folder, b"file")

    opened.set_times(times)
    folder.set_times(b"link", times, follow=False)
    folder.set_times(b".", times, follow=True)
    found = [opened.stat(), folder.stat(b"link", follow=False), folder.own_stat()]
    opened.close()
    if abs(times[1]) < 2**61:
        assert {times} == {(each.st_atime_ns, each.st_mtime_ns) for each in found}
    assert "ENOENT" == refused(folder.set_times, b"link", times, follow=True)
    assert "ENOTDIR" == refused(folder.set_times, b"file/", times, follow=True)


@pytest.mark.parametrize("times", [(2**63, 0), (0, 2**64), (-(2**63), 0), (0, 10**40)])
def test_times_that_no_clock_has(folder: Folder, times: tuple[int, int]) -> None:
    """EINVAL, whatever the integer."""
    opened = file(folder, b"file")

    assert "EINVAL" == refused(opened.set_times, times)
    assert "EINVAL" == refused(folder.set_times, b"file", times, follow=False)
    opened.close()


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63, 2**64 - 1, 2**70])
def test_offsets_beyond_any_file(folder: Folder, offset: int) -> None:
    """An errno or no bytes at all; the file stays as it is."""
    opened = file(folder, b"file")

    assert refused(opened.read_at, 10, offset) in {"EFBIG", "EINVAL", "EOVERFLOW"}
    assert refused(opened.write_at, b"x", offset) in {"EFBIG", "EINVAL"}
    assert refused(opened.allocate, offset, 1) == "EFBIG"
    assert refused(opened.allocate, 1, offset) == "EFBIG"
    if offset >= 2**63:
        assert refused(opened.resize, offset) == "EFBIG"
    assert 0 == opened.size
    opened.close()


def test_numbers_below_zero(folder: Folder) -> None:
    """EINVAL, as for no bytes to allocate."""
    opened = file(folder, b"file")

    assert "EINVAL" == refused(opened.read_at, 1, -1)
    assert "EINVAL" == refused(opened.read_at, -1, 0)
    assert "EINVAL" == refused(opened.write_at, b"x", -1)
    assert "EINVAL" == refused(opened.resize, -1)
    assert "EINVAL" == refused(opened.allocate, -1, 5)
    assert "EINVAL" == refused(opened.allocate, 5, -1)
    assert "EINVAL" == refused(opened.allocate, 5, 0)
    opened.close()


def test_nothing_written_makes_nothing_longer(folder: Folder) -> None:
    """Wherever it was not written."""
    opened = file(folder, b"file")

    assert 0 == opened.write_at(b"", 2**40)
    assert "EFBIG" == refused(opened.write_at, b"", 2**64)
    assert "EINVAL" == refused(opened.write_at, b"", -(2**64))
    assert 0 == opened.size
    opened.close()


def test_names_are_listed(folder: Folder, root: Path) -> None:
    """With inode and kind; of the parent nothing is told."""
    folder.make_folder(b"d")
    put(folder, b"file", b"")
    folder.make_link(b"x", b"link")
    own = root.stat().st_ino

    names = folder.names()

    assert [(".", own, stat.S_IFDIR), ("..", own, stat.S_IFDIR)] == names[:2]
    assert {
        ("d", (root / "d").stat().st_ino, stat.S_IFDIR),
        ("file", (root / "file").stat().st_ino, stat.S_IFREG),
        ("link", (root / "link").lstat().st_ino, stat.S_IFLNK),
    } == set(names[2:])
    assert sorted(names) == sorted(folder.names())


def test_a_list_of_names_is_bounded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it there is none; and the next time the list begins at its beginning."""
    for number in range(5):
        put(folder, b"%d" % number, b"")
    monkeypatch.setattr(folders, "MOST_ENTRIES", 6)
    assert "ENOMEM" == refused(folder.names)

    monkeypatch.setattr(folders, "MOST_ENTRIES", 7)
    assert 7 == len(folder.names())


def test_a_folder_that_was_removed_holds_nothing(folder: Folder) -> None:
    """Nothing can be made in it, and its parent is not reached."""
    folder.make_folder(b"d")
    opened = below(folder, b"d")
    folder.remove_folder(b"d")

    assert "ENOENT" == refused(opened.open, b"file", MAKE)
    assert "ENOENT" == refused(opened.make_folder, b"e")
    assert "EPERM" == refused(opened.open, b"..", READ)
    opened.close()


def test_what_is_closed_is_of_no_use(folder: Folder) -> None:
    """Not even by the number that it had, which may be another's by now."""
    folder.make_folder(b"d")
    opened, inner = file(folder, b"file"), below(folder, b"d")
    for _ in range(2):
        opened.close()
        inner.close()

    assert "EBADF" == refused(opened.read_at, 1, 0)
    assert "EBADF" == refused(opened.write_at, b"x", 0)
    assert "EBADF" == refused(opened.append, b"x")
    assert "EBADF" == refused(opened.resize, 0)
    assert "EBADF" == refused(opened.set_times, (0, 0))
    assert "EBADF" == refused(opened.sync)
    assert "EBADF" == refused(inner.names)
    assert "EBADF" == refused(inner.open, b"file", READ)
    assert "EBADF" == refused(inner.make_folder, b"file")
    assert "EBADF" == refused(inner.sync)
    assert "EBADF" == refused(inner.own_stat)


def test_names_do_not_depend_on_the_system_coding(folder: Folder, root: Path) -> None:
    """A name on disk that is no text is listed as it is, and cannot be a path."""
    os.close(os.open(os.fsencode(root) + b"/\xff", os.O_CREAT))

    assert [b"\xff"] == [os.fsencode(name) for name, _, _ in folder.names()[2:]]
    assert "EILSEQ" == refused(folder.open, b"\xff", READ)
    folder.sync()


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    """And be one."""
    (tmp_path / "file").write_bytes(b"")

    assert "ENOENT" == refused(Folder.at, str(tmp_path / "nothing"), writable=True)
    assert "ENOTDIR" == refused(Folder.at, str(tmp_path / "file"), writable=True, quota=10)
