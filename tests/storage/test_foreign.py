"""What somebody else may have written is read whole, or refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.storage.foreign import DEEPEST, is_there, parse_json, read_json, read_text, read_toml, refuse_hollow
from tests.hostile import DEEP_ENOUGH, DEEP_JSON, DEEP_TOML, IN_THE_WAY, put_in_the_way


@pytest.mark.parametrize("text", [DEEP_JSON, DEEP_ENOUGH, DEEP_JSON[:50_000], '{"a":' * 99 + "1" + "}" * 99])
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"nested deeper than {DEEPEST}"):
        parse_json(text)


def test_what_is_nested_as_deeply_as_may_be_is_read() -> None:
    deep = parse_json("[" * DEEPEST + "]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        (deep,) = deep
    assert deep == []


def test_toml_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    for text in (DEEP_TOML, f"a = {DEEP_ENOUGH}\n", "a" + ".a" * 10_000 + " = 1\n"):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(ValueError, match="nested deeper"):
            read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "a.json", kind)
    with pytest.raises(OSError):  # noqa: PT011  # a loop of links is the system's own error
        read_json(tmp_path / "a.json")


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").symlink_to("a.json")
    assert read_text(tmp_path / "b.json") == "[1]"


def test_what_is_larger_than_any_text_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**40)  # of which the disk holds nothing
    with pytest.raises(ValueError, match="more than"):
        read_text(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["a\0b", "9" * 400])
def test_what_is_no_name_names_nothing(name: str) -> None:
    assert not is_there(Path(name))


@pytest.mark.parametrize(("size", "held", "hollow"), [(2**40, 0, True), (2**40, 2**20, True), (2**27, 2**26, False)])
def test_a_large_file_that_is_a_hole_is_refused(tmp_path: Path, size: int, held: int, hollow: bool) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(b"x" * (held // 2))
        file.seek(size - held // 2)
        file.write(b"x" * (held // 2))
        file.truncate(size)
    if hollow:
        with pytest.raises(ValueError, match="the rest is a hole"):
            refuse_hollow(tmp_path / "a")
    else:
        refuse_hollow(tmp_path / "a")
