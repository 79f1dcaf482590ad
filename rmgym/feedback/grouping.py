"""Long lists of fields in groups with one beginning, such as the joints of one leg, so that a person finds a way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[\u4e00-\u9fff]{1,2}|\d+|[^\W\d_\u4e00-\u9fff]+")  # most Chinese words have two characters
_MOST = 6


@dataclass(frozen=True, kw_only=True)
class Group:
    """Names with one beginning.

    Attributes:
        heading: what they share; empty for the group of those that share nothing.
        labels: the rest of each name, by name.
    """

    heading: str
    labels: dict[str, str]


def grouped(names: Sequence[str]) -> list[Group]:
    """Names by the words they begin with, every group where its first name was.

    A group of more than six is split by the next word where that leaves fewer than half of its names alone.

    Example:
        >>> [group.heading for group in grouped(["left hip angle", "height", "left hip speed"])]
        ['left hip', '']
    """
    parts = _parts([(name, *(_WORD.findall(name) or [name])) for name in names], 1)
    alone = {part[0]: part[0] for part in parts if len(part) == 1}
    first = [*alone][:1]
    return [
        Group(heading="", labels=alone) if part == first else _group(part)
        for part in parts
        if len(part) > 1 or part == first
    ]


def _parts(names: list[tuple[str, ...]], depth: int) -> list[list[str]]:
    """Groups of names (each before its words) that share their words before ``depth``."""
    by_word = dict[tuple[str, ...], list[tuple[str, ...]]]()
    for name in names:
        by_word.setdefault(name[depth : depth + 1], []).append(name)
    parts = list(by_word.values())
    alone = sum(len(part) == 1 for part in parts)
    if depth > 1 and (() in by_word or (len(parts) > 1 and (len(names) <= _MOST or 2 * alone >= len(names)))):
        return [[name for name, *_ in names]]
    return [group for part in parts for group in _parts(part, depth + 1)]


def _group(names: list[str]) -> Group:
    """A group of its names: the words that all of them begin with, and what follows."""
    words = {name: [*_WORD.finditer(name)] for name in names}
    columns = zip(*([word[0] for word in parts] for parts in words.values()), strict=False)
    count = next((i for i, same in enumerate(columns) if len({*same}) > 1), min(map(len, words.values())))
    end = {name: parts[count - 1].end() for name, parts in words.items()}
    labels = {name: name[end[name] :].strip(" _") for name in names}
    return Group(heading=names[0][: end[names[0]]].strip(" _"), labels=labels)
