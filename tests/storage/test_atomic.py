"""Files and folders are old or new whatever fails, and on the disk before the call returns."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path
from threading import Thread, get_native_id

import pytest

from rmgym.errors import StorageError
from rmgym.storage.atomic import (
    partial_path,
    remove_partials,
    replacing,
    replacing_folder,
    restore_folder,
    write_bytes,
    write_json,
    write_text,
)
from rmgym.storage.checksum import signed


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_old_until_it_is_new(tmp_path: Path) -> None:
    file = write_text(tmp_path / "file", "old")
    with replacing(file) as target:
        target.write(b"new")
        assert file.read_text() == "old"
        assert names(tmp_path) == [partial_path(file).name, "file"]
        assert partial_path(file).name == f".file.{get_native_id()}.partial"
    assert file.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_threads_that_write_one_file_at_once_each_write_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with replacing(file) as target:
        target.write(b"first")
        other = Thread(target=write_bytes, args=[file, b"second"])
        other.start()
        other.join()
        assert file.read_bytes() == b"second"
    assert file.read_bytes() == b"first"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_full_disk_is_an_error_that_names_what_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    file = write_text(tmp_path / "file", "old")
    if failing != "write":
        monkeypatch.setattr(os, failing, full)

    def write() -> None:
        with replacing(file, what="a reward model") as target:
            target.write(b"half")
            if failing == "write":
                full()

    with pytest.raises(StorageError) as caught:
        write()
    assert caught.value.rule == "a reward model is written to a writable folder with enough space"
    assert str(file) in str(caught.value.got)
    assert "No space left" in str(caught.value.got)
    assert caught.value.fix == "free space or choose another folder; what was there before is intact"
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ValueError)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_what_fails_for_another_reason_comes_through_and_leaves_nothing(tmp_path: Path) -> None:
    file = write_text(tmp_path / "file", "old")
    with pytest.raises(TypeError, match="JSON"):
        write_json(file, {"x": object()})

    def interrupted() -> None:
        with replacing(file) as target:
            target.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_file_and_folder_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deeds: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        deeds.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        fsync(handle)

    def replaced(*paths: str) -> None:
        deeds.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_bytes(tmp_path / "file", b"new")
    assert deeds == ["file", "rename", "folder"]


def test_folders_are_made_and_values_come_back(tmp_path: Path) -> None:
    assert write_bytes(tmp_path / "a" / "b", b"\0\xff").read_bytes() == b"\0\xff"
    assert write_text(tmp_path / "a" / "c", "飞\n").read_text(encoding="utf-8") == "飞\n"
    written = json.loads(write_json(tmp_path / "a" / "d", {"飞": [1, None]}).read_text(encoding="utf-8"))
    assert written == signed({"飞": [1, None]})


def test_a_file_in_the_way_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StorageError, match="writable folder"):
        write_text(tmp_path / "taken" / "file", "text")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to a pipe"])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to(tmp_path / "pipe") if kind == "link to a pipe" else (tmp_path / "pipe").rename(place)
    before = names(tmp_path)
    with pytest.raises(StorageError, match=r"a picture is written to a file\n.*a folder or a device"):
        write_bytes(place, b"content", what="a picture")
    assert names(tmp_path) == before
    assert not place.is_file()


def test_a_folder_is_old_until_it_is_new(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replacing_folder(folder) as partial:
        write_text(partial / "deep" / "file", "first")
        assert not folder.exists()
    with replacing_folder(folder) as partial:
        assert names(partial) == []
        (partial / "other").write_text("second")
        assert (folder / "deep" / "file").read_text() == "first"
    assert names(folder) == ["other"]
    assert names(tmp_path) == ["folder"]


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replacing_folder(folder) as partial:
        (partial / "file").write_text("old")

    def write() -> None:
        with replacing_folder(folder, what="a checkpoint") as partial:
            (partial / "file").write_text("half")
            full()

    with pytest.raises(StorageError, match="a checkpoint is written"):
        write()
    assert (folder / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_killed_around_a_rename_the_old_folder_or_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """A process that is killed cleans nothing up."""
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "old").touch()
    child = os.fork()
    if not child:
        rename, count = Path.rename, iter(range(3))

        def killed(path: Path, target: Path) -> None:
            if next(count) == renames:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(path, target)

        Path.rename = killed  # type: ignore[method-assign, assignment]
        with replacing_folder(folder) as partial:
            (partial / "new").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    restore_folder(folder)
    assert names(folder) == (["new"] if renames == 2 else ["deep"])
    with replacing_folder(folder) as partial:
        (partial / "newer").touch()
    remove_partials(folder)
    assert (names(folder), names(tmp_path)) == (["newer"], ["folder"])


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_not_replaced_by_one(tmp_path: Path, kind: str) -> None:
    place, other = tmp_path / "place", tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    place.symlink_to(other) if kind == "link" else place.write_text("mine")
    with pytest.raises(StorageError, match="a checkpoint is written"), replacing_folder(place, what="a checkpoint"):
        pass
    assert names(tmp_path) == ["other", "place"]
    assert names(other) == ["file"]


def test_an_old_folder_comes_back_where_the_new_one_cannot_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "folder", Path.rename
    (folder / "old").mkdir(parents=True)

    def renamed(path: Path, target: Path) -> None:
        if path.name.endswith(".partial"):
            full()
        rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    with pytest.raises(StorageError, match="No space left"), replacing_folder(folder):
        pass
    assert (names(folder), names(tmp_path)) == (["old"], ["folder"])


def test_what_killed_processes_left_of_one_file_is_removed(tmp_path: Path) -> None:
    for name in (".file.12.partial", ".file.345.partial", ".file2.12.partial", ".file.x.12.partial", "file"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".file.6.partial").mkdir()
    remove_partials(tmp_path / "file")
    assert names(tmp_path) == [".file.x.12.partial", ".file2.12.partial", "file"]
