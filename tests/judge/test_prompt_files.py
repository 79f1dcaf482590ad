"""Prompts are files; what stands in them is filled in and never acted upon."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.errors import JudgeError
from rmgym.judge.prompt_files import Prompts
from tests.hostile import ESCAPE, FIELDS


def test_there_are_three_wordings_of_each() -> None:
    prompts = Prompts.read(None, 3)
    for kind, contents in (("rating", ("it fell",)), ("preference", ("it fell", "it rose"))):
        texts = prompts.fill(kind, "Climb.", contents, 9)  # type: ignore[arg-type]
        assert len(set(texts)) == 3
        for text in texts:
            assert "$" not in text
            assert all(part in text for part in ("Climb.", *contents))
    with pytest.raises(JudgeError, match=r"4 prompts of each kind[\s\S]*rating-3\.txt"):
        Prompts.read(None, 4)


def test_your_own_are_read_and_have_another_digest(tmp_path: Path) -> None:
    (tmp_path / "rating-1.txt").write_text("Rate $lines, 0 to $best. $$5.\n", encoding="utf-8")
    (tmp_path / "preference-1.txt").write_text("$left or $right?", encoding="utf-8")
    prompts = Prompts.read(str(tmp_path))
    assert prompts.fill("rating", "Climb.", ("it fell",), 9) == ["Rate it fell, 0 to 9. $5."]
    assert prompts.digest != Prompts.read().digest
    assert prompts.digest == Prompts.read(str(tmp_path)).digest


@pytest.mark.parametrize("text", ["no lines", "$lines and $secret", "$lines $", "${lines.__class__}"])
def test_what_is_no_prompt_is_refused(text: str) -> None:
    with pytest.raises(JudgeError, match=r"\$lines"):
        Prompts(rating=(text,), preference=("$left $right",))


@pytest.mark.parametrize("content", [*FIELDS, ESCAPE, "$task", "${best}"])
def test_contents_are_text_alone(content: str) -> None:
    prompts = Prompts(rating=("<$lines>",), preference=("$left|$right",))
    assert prompts.fill("rating", "T", (content,), 9) == [f"<{content}>"]
    assert prompts.fill("preference", "T", (content, "x"), 9) == [f"{content}|x"]


def test_a_missing_folder_is_an_error_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"rating-1\.txt"):
        Prompts.read(str(tmp_path / "none"))
