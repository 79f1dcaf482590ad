"""A folder whose files are told by their SHA-256."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.storage.atomic import write_json
from rmgym.storage.sums import SUMS, check_sums, file_sha256, is_whole, write_sums
from tests.hostile import IN_THE_WAY, put_in_the_way


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    (tmp_path / "deep" / "b.bin").write_bytes(b"b")
    write_sums(tmp_path)
    return tmp_path


def test_a_folder_is_whole_until_a_bit_flips(folder: Path) -> None:
    check_sums(folder)
    for file in (folder / "a.bin", folder / "deep" / "b.bin"):
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(ValueError, match=rf"SHA-256 of .*{file.name}"):
            check_sums(folder)
        file.write_bytes(content)
        assert is_whole(folder)


def test_a_file_that_is_gone_is_missed(folder: Path) -> None:
    (folder / "deep" / "b.bin").unlink()
    with pytest.raises(ValueError, match=r"'deep/b\.bin' is in sha256\.json alone"):
        check_sums(folder)


@pytest.mark.parametrize("name", ["other", "deep/other"])
def test_a_file_that_came_since_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("of another program")
    with pytest.raises(ValueError, match=f"'{name}' is in the folder alone"):
        check_sums(folder)


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize("name", ["a.bin", "other", SUMS])
def test_what_is_no_regular_file_is_not_opened(folder: Path, name: str, kind: str) -> None:
    put_in_the_way(folder / name, kind)
    if (name, kind) == ("other", "folder"):
        check_sums(folder)  # there is no file in it
    else:
        with pytest.raises((OSError, ValueError)):
            check_sums(folder)
        with pytest.raises(OSError):  # noqa: PT011  # a loop of links is the system's own error
            file_sha256(folder / name)


@pytest.mark.parametrize("name", ["../x", "deep/../../x", "/dev/zero", "./a.bin", "deep//b.bin", "", "a\0", "\ud800"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "x").write_text("outside")
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "deep" / "b.bin").write_bytes(b"b")
    sums = {file: file_sha256(folder / file) for file in ("a.bin", "deep/b.bin")}
    write_json(folder / SUMS, {**sums, name: file_sha256(tmp_path / "x")})
    opened = list[Path]()
    monkeypatch.setattr("rmgym.storage.sums.file_sha256", opened.append)
    with pytest.raises(ValueError, match="alone"):
        check_sums(folder)
    assert not opened


@pytest.mark.parametrize("content", ["", "{}", "[]", "5", '{"a.bin": 5}', '{"a.bin": "0", "checksum": "0"}'])
def test_sums_that_are_none_are_refused(folder: Path, content: str) -> None:
    (folder / SUMS).write_text(content)
    assert not is_whole(folder)
    (folder / SUMS).unlink()
    assert not is_whole(folder)
