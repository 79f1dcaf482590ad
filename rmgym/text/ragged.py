"""Values of spaces without a fixed shape as fragments of text: Text, Sequence, Graph, OneOf, and captions of pictures.

Every value is written as a string that tells it from every other one (up to four decimals of its numbers, or of small
ones four digits behind the first), and the numbers in it become slots by the rule for plain strings. That is a string
per value: fixed leaves do without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector.utils import iterate

from rmgym.cards.schema import FREE_NUMBER
from rmgym.errors import TextError
from rmgym.text.batch import Numbered, TextBatch
from rmgym.text.numbers import DECIMALS, WORD, extract_numbers, precise, show
from rmgym.text.rows import offsets_of
from rmgym.trees import Array, Space, Value, is_text

LONGEST = 1000
"""Characters of a Text value that are shown. A longer one is cut, and the text says so and how long it is: two values
that differ behind the cut have the same text."""
Captioner = Callable[[npt.NDArray[np.uint8]], Iterable[str]]
"""Says what is on pictures: ``uint8 [B, H, W, C]`` to ``B`` strings, deterministic, independent of the batch."""


def fragments(space: Space, values: Array, language: str) -> TextBatch:
    """The text of each value of a ragged leaf.

    Args:
        space: the leaf's space.
        values: the values themselves, ``object [B]``.
        language: language code of the text around them.

    Raises:
        TextError: a number is NaN or infinite.
    """
    if is_text(space):
        return _quotations([str(value) for value in values], language)
    return TextBatch.from_strings([say(space, value) for value in values], language=language)


def captions(captioner: Captioner, space: Space, values: Array, language: str) -> TextBatch:
    """What the captioner says of pictures ``uint8 [B, *space.shape]``, quoted.

    Raises:
        TextError: it does not say one string per picture.
    """
    pictures = np.asarray(values, np.uint8).reshape(len(values), *(space.shape or ()))
    pictures = pictures[..., None] if pictures.ndim == 3 else pictures
    sentences: list[object] = list(captioner(pictures)) if len(pictures) else []
    texts = [sentence for sentence in sentences if isinstance(sentence, str)]
    if not len(texts) == len(sentences) == len(pictures):
        raise TextError(
            "a captioner says one string per picture", got=sentences[:3], fix=f"return {len(pictures)} strings"
        )
    return _quotations(texts, language)


def say(space: Space, value: Value) -> str:
    """One value in words.

    Raises:
        TextError: a number is NaN or infinite, or the space is of an unknown kind.
    """
    if is_text(space):
        return _quoted(str(value))
    if isinstance(space, gym.spaces.Dict):
        return "{" + "; ".join(f"{key}: {say(part, value[key])}" for key, part in space.items()) + "}"
    if isinstance(space, gym.spaces.Tuple):
        return "(" + "; ".join(say(part, item) for part, item in zip(space, value, strict=True)) + ")"
    if isinstance(space, gym.spaces.OneOf):
        choice, item = value
        return f"option {int(choice)}: {say(space.spaces[int(choice)], item)}"
    if isinstance(space, gym.spaces.Sequence):
        items: list[Value] = list(iterate(space.stacked_feature_space, value)) if space.stack else list(value)
        return f"{len(items)} of [{'; '.join(say(space.feature_space, item) for item in items)}]"
    if isinstance(space, gym.spaces.Graph):
        return _graph(space, value)
    return _numbers(space, value)


def _graph(space: gym.spaces.Graph, value: gym.spaces.GraphInstance) -> str:
    shown: list[Value] = list(value.nodes)
    nodes = "; ".join(say(space.node_space, node) for node in shown)
    sentence = f"{len(shown)} nodes [{nodes}]"
    if value.edge_links is None or not len(value.edge_links):
        return f"{sentence}, no edges"
    labels: list[str] = [""] * len(value.edge_links)
    if space.edge_space is not None and value.edges is not None:
        labels = [f": {say(space.edge_space, edge)}" for edge in value.edges]
    links = [f"{a} to {b}{label}" for (a, b), label in zip(value.edge_links.tolist(), labels, strict=True)]
    return f"{sentence}, {len(links)} edges [{'; '.join(links)}]"


def _numbers(space: Space, value: Value) -> str:
    """A fixed leaf: its elements, whole numbers exactly."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        digits = [str(int(x)) for x in array.reshape(-1).tolist()]
        return digits[0] if not array.shape else f"[{', '.join(digits)}]"
    flat = array.reshape(-1).astype(np.float64)
    if not np.isfinite(flat).all():
        raise TextError(
            "every number in a text is finite",
            got=f"{flat[~np.isfinite(flat)][0]} in {space}",
            fix="find out why the environment returns it; clip or replace it before rmgym's wrapper",
        )
    digits = [show(x, DECIMALS) for x in precise(flat, DECIMALS).tolist()]
    return digits[0] if not array.shape else f"[{', '.join(digits)}]"


def _quotations(texts: Sequence[str], language: str) -> TextBatch:
    """Each text in quotes, a phrase where there is no number in it."""
    templates, phrases = Numbered(), Numbered()
    index, words, numbers, counts = list[str](), list[str](), list[float](), list[int]()
    for text in texts:
        body, cut = _quotable(text)
        is_phrase = FREE_NUMBER.search(body) is None
        template, shown = extract_numbers(cut if is_phrase else f'"{body}"{cut}')
        index.append(f'"{WORD}"{template}' if is_phrase else template)
        words += [body] if is_phrase else []
        numbers += shown
        counts.append(len(shown))
    template_index, positions = templates.moved(index), phrases.moved(words)
    return TextBatch(
        templates=tuple(templates),
        template_index=template_index,
        numbers=np.array(numbers, np.float64),
        offsets=offsets_of(np.array(counts, np.int64)),
        phrases=tuple(phrases),
        words=positions,
        language=language,
    )


def _quoted(text: str) -> str:
    """The text in quotes."""
    body, cut = _quotable(text)
    return f'"{body}"{cut}'


def _quotable(text: str) -> tuple[str, str]:
    """What stands between quotes, with those in it marked so that its end can be told, and what is said of the rest."""
    cut = "" if len(text) <= LONGEST else f" (cut; {len(text)} characters)"
    return text[:LONGEST].replace("\\", "\\\\").replace('"', '\\"'), cut
