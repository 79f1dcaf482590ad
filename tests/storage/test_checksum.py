"""A JSON object that says its own checksum."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rmgym.storage.atomic import write_json
from rmgym.storage.checksum import checked, signed
from rmgym.storage.foreign import read_json

CONTENT = {"name": "飞", "values": [1, 1.0, -0.0, 1e-300, None, True], "inner": {"b": 2, "a": {"1": []}}}


def test_an_object_comes_back_as_it_was(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", CONTENT)
    assert read_json(file) == CONTENT
    assert json.loads(file.read_text(encoding="utf-8")) == signed(CONTENT)
    assert checked(signed({"tuple": (1, 2), 3: "key"})) == {"tuple": [1, 2], "3": "key"}


def test_no_flipped_bit_is_read_as_other_content(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", CONTENT)
    content, refused = file.read_bytes(), 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            read = read_json(file)
        except ValueError:
            refused += 1
        else:  # blanks between words alone: json.dumps tells 1 from 1.0, as == does not
            assert json.dumps(read) == json.dumps(CONTENT), f"bit {bit}"
    assert refused > 4 * len(content)


@pytest.mark.parametrize("content", [{}, {"a": 1}, {**signed({"a": 1}), "checksun": 1}])
def test_what_says_no_checksum_is_damaged(content: dict[str, object]) -> None:
    content.pop("checksum", None)
    with pytest.raises(ValueError, match="no key 'checksum'"):
        checked(content)


@pytest.mark.parametrize("content", [[1], 5, None, "x"])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="no object"):
        checked(content)


def test_half_a_surrogate_pair_comes_back(tmp_path: Path) -> None:
    """As in the name of a file whose bytes are no UTF-8."""
    content = {"file": os.fsdecode(b"run-\xff"), "\ud800": ["\udfff飞\\ud800"]}
    file = write_json(tmp_path / "a.json", content)
    assert read_json(file) == content
    assert "飞" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("said", [None, 5, "", [], {}, "0123456789abcdef"])
def test_another_checksum_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="not the one that it was written with"):
        checked({**signed(CONTENT), "checksum": said})
