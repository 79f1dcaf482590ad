"""A folder whose files are told by their SHA-256."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.storage.sums import SUMS, check_sums, is_whole, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    (tmp_path / "deep" / "b.bin").write_bytes(b"b")
    write_sums(tmp_path)
    return tmp_path


def test_a_folder_is_whole_until_a_bit_flips(folder: Path) -> None:
    check_sums(folder)
    (folder / "other").write_text("of another program")
    assert is_whole(folder)
    for file in (folder / "a.bin", folder / "deep" / "b.bin"):
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(ValueError, match=rf"SHA-256 of .*{file.name}"):
            check_sums(folder)
        file.write_bytes(content)
        assert is_whole(folder)


def test_a_file_that_is_gone_is_missed(folder: Path) -> None:
    (folder / "deep" / "b.bin").unlink()
    with pytest.raises(FileNotFoundError):
        check_sums(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "5", '{"a.bin": 5}', '{"a.bin": "0", "checksum": "0"}'])
def test_sums_that_are_none_are_refused(folder: Path, content: str) -> None:
    (folder / SUMS).write_text(content)
    assert not is_whole(folder)
    (folder / SUMS).unlink()
    assert not is_whole(folder)
