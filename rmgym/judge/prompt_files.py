"""Prompts: text files with ``$task`` and the like in them, rmgym's own or those of a folder of yours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

from rmgym.errors import JudgeError
from rmgym.storage.foreign import read_text

Kind = Literal["rating", "preference"]
_OWN = Path(__file__).parent / "prompts"
_NAMES = {"rating": frozenset({"task", "lines", "best"}), "preference": frozenset({"task", "left", "right"})}
_NEEDED = {"rating": frozenset({"lines"}), "preference": frozenset({"left", "right"})}


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """The wordings of both questions; several of one are paraphrases, whose answers are averaged.

    Names are filled in by ``string.Template``, which reads no attributes and runs nothing.

    Attributes:
        rating: of a question for a digit: ``$lines`` (what happened), ``$task``, and ``$best``, the highest digit.
        preference: of one for A or B: ``$left`` and ``$right``, ``$task``.

    Raises:
        JudgeError: a kind has no wording, or one has a name that it must not have, or lacks one that it must have.
    """

    rating: tuple[str, ...]
    preference: tuple[str, ...]

    def __post_init__(self) -> None:
        for kind, texts in (("rating", self.rating), ("preference", self.preference)):
            if not texts:
                raise JudgeError("a judge has prompts of both kinds", got=f"no {kind}", fix=f"write {kind}-1.txt")
            for text in texts:
                _check(kind, text)

    @classmethod
    def read(cls, folder: str | None = None, paraphrases: int = 1) -> Prompts:
        """Read ``rating-1.txt``, ``preference-1.txt`` and so on.

        Args:
            folder: of your own; by default rmgym's, which has three wordings of each.
            paraphrases: how many wordings of each question are asked.

        Raises:
            JudgeError: there are not so many, or one is not a prompt.
        """
        place = _OWN if folder is None else Path(folder).expanduser()
        wordings = dict[str, tuple[str, ...]]()
        for kind in _NAMES:
            files = [place / f"{kind}-{i}.txt" for i in range(1, paraphrases + 1)]
            try:
                wordings[kind] = tuple(read_text(file).strip() for file in files)
            except (OSError, ValueError) as error:
                there = sorted(file.name for file in place.glob(f"{kind}-*.txt"))
                fix = f"name the folder's files {kind}-1.txt, {kind}-2.txt; there are {', '.join(there) or 'none'}"
                raise JudgeError(f"there are {paraphrases} prompts of each kind", got=str(error), fix=fix) from error
        return cls(**wordings)

    @property
    def digest(self) -> str:
        """SHA-256 (16 hex digits) of all of them."""
        return hashlib.sha256(json.dumps([self.rating, self.preference]).encode()).hexdigest()[:16]

    def of(self, kind: Kind) -> tuple[str, ...]:
        """The wordings of a kind."""
        return self.rating if kind == "rating" else self.preference

    def fill(self, kind: Kind, task: str, contents: Sequence[str], best: int) -> list[str]:
        """A question in all its wordings.

        Args:
            kind: of the question.
            task: what is to be done.
            contents: what happened: one thing to rate, or two to compare.
            best: the highest digit.
        """
        names = ("lines",) if kind == "rating" else ("left", "right")
        values = {"task": task, "best": str(best), **dict(zip(names, contents, strict=True))}
        return [Template(text).substitute(values) for text in self.of(kind)]


def _check(kind: str, text: str) -> None:
    template = Template(text)
    names = set(template.get_identifiers())
    if not template.is_valid() or not _NEEDED[kind] <= names <= _NAMES[kind]:
        raise JudgeError(
            f"a prompt of kind {kind} has {_list(_NEEDED[kind])} in it, and of other names at most "
            f"{_list(_NAMES[kind] - _NEEDED[kind])}",
            got=f"{_list(names) or 'none'} in {text[:60]!r}",
            fix="write a plain dollar sign as $$",
        )


def _list(names: set[str] | frozenset[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names))
