"""A JSON object that says its own checksum."""

from __future__ import annotations

import json
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
        else:  # blanks between words, or the name of the checksum: json.dumps tells 1 from 1.0, as == does not
            read = {key: value for key, value in read.items() if key in CONTENT}
            assert json.dumps(read) == json.dumps(CONTENT), f"bit {bit}"
    assert refused > 4 * len(content)


@pytest.mark.parametrize("content", [{}, {"a": 1}, [1], 5, None, "x"])
def test_what_says_no_checksum_is_taken_as_it_is(content: object) -> None:
    assert checked(content) == content


@pytest.mark.parametrize("said", [None, 5, "", [], {}, "0123456789abcdef"])
def test_another_checksum_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="not the one that it was written with"):
        checked({**signed(CONTENT), "checksum": said})
