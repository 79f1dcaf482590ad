"""The plain road: (state text, action text, reward) triples that never saw an environment."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from rmgym.errors import FeedbackError, nearest
from rmgym.feedback.labels import Labels, Ratings
from rmgym.text.batch import TextBatch
from rmgym.text.numbers import DECIMALS, precise, show

PATTERNS = {"en": "State: {state} Action: {action}", "zh": "状态: {state} 行动: {action}"}
_CHINESE = re.compile(r"[\u3400-\u9fff]")


def describe_pair(state: object, action: object, language: str | None = None) -> str:
    """Return the text of a state and an action, the same for fitting and for predicting.

    Args:
        state: a string, a number, or an array of numbers: shown with four decimals, below 0.01 with four digits behind
            the first one, as 1.2346e-05; whole numbers as they are.
        action: the same.
        language: ``en`` or ``zh``; by default Chinese where either text holds Chinese characters.

    Raises:
        FeedbackError: a value is neither text nor finite numbers, or the language is not known.

    Example:
        >>> describe_pair([0.5, -1.0], "push left")
        'State: 0.5000, -1.0000 Action: push left'
    """
    texts = _say(state), _say(action)
    language = language or guess_language(texts)
    if language not in PATTERNS:
        raise FeedbackError("pairs are described in a known language", got=language, fix=nearest(language, PATTERNS))
    return PATTERNS[language].format(state=texts[0], action=texts[1])


def preprocess(triples: Iterable[tuple[object, object, float]], *, language: str | None = None) -> Labels:
    """Turn plain ``(state, action, reward)`` triples into labels.

    The texts are those of :func:`describe_pair`, one by one: the same call gives a pair the same text later. Numbers
    inside them become number slots, as in the text of an environment's steps. Every triple is a group of its own when
    labels are split into training and validation, but for those of one text, which stay together.

    Args:
        triples: state and action as in :func:`describe_pair`, and a reward or rating in any unit.
        language: ``en`` or ``zh``, for all of them; by default each pair's own. Pass it to :func:`describe_pair` too.

    Raises:
        FeedbackError: there are no triples, one is malformed, a reward is not finite, or all rewards are equal.

    Example:
        >>> labels = preprocess([("水温 80 度", "加热", 1), ("水温 80 度", "停止加热", 5)])
        >>> labels.texts.strings()[0], labels.texts.numbers.tolist()
        ('状态: 水温 80 度 行动: 加热', [80.0, 80.0])
    """
    rows = [_triple(i, triple) for i, triple in enumerate(triples)]
    if not rows:
        raise FeedbackError(
            "labels are made from triples", got="none", fix="pass [(state, action, reward), ...], at least two"
        )
    rewards = np.array([reward for _, _, reward in rows], np.float32)
    if not np.isfinite(rewards).all():
        wrong = int(np.flatnonzero(~np.isfinite(rewards))[0])
        raise FeedbackError("every reward is a finite number", got=f"triple {wrong}: {rows[wrong]}", fix="remove it")
    if np.ptp(rewards) == 0:
        raise FeedbackError(
            "rewards differ between triples", got=f"{len(rows)} times {rewards[0]:g}", fix="add triples rated otherwise"
        )
    strings = [describe_pair(state, action, language) for state, action, _ in rows]
    language = language or guess_language(strings)
    texts = TextBatch.from_strings(strings, language=language)
    ratings = Ratings(texts=texts, values=rewards, groups=np.arange(len(rows), dtype=np.int64))
    return Labels(ratings=ratings, source={"kind": "triples", "language": language, "ratings": len(rows)})


def guess_language(texts: Iterable[str]) -> str:
    """Return ``zh`` if any text holds Chinese characters, else ``en``."""
    return "zh" if any(_CHINESE.search(text) for text in texts) else "en"


def _triple(index: int, triple: tuple[object, object, float]) -> tuple[str, str, float]:
    try:
        if isinstance(triple, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("a text alone")  # which would be taken letter by letter
        state, action, reward = triple
        return _say(state), _say(action), float(reward)
    except FeedbackError:
        raise
    except (TypeError, ValueError) as error:
        raise FeedbackError(
            "a triple is (state, action, reward)", got=f"triple {index}: {triple!r}", fix="pass text, text, number"
        ) from error


def _say(value: object) -> str:
    """A state or an action as text."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        return ", ".join(str(x) for x in array.reshape(-1).tolist())
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise FeedbackError("a state or action is text or finite numbers", got=value, fix="pass a string or an array")
    return ", ".join(show(x, DECIMALS) for x in precise(array.astype(np.float64).reshape(-1), DECIMALS).tolist())
