"""Labels that no model of text can all learn: the same words, and another answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.feedback.labels import Labels, Preferences, Ratings
from rmgym.text.distinct import distinct


def contradictions(labels: Labels) -> int:
    """How many labels have another value than a label of the same text, or prefer one of two equal segments.

    Some are noise, or what a label by outcome says of chance. Many mean that the text leaves out, or rounds away, what
    the labels are about.
    """
    rated = 0 if labels.ratings is None else _of_ratings(labels.ratings)
    return rated + (0 if labels.preferences is None else _of_preferences(labels.preferences))


def _of_ratings(ratings: Ratings) -> int:
    return _differing(distinct(ratings.texts)[1], ratings.values)


def _of_preferences(preferences: Preferences) -> int:
    text = distinct(preferences.steps)[1]
    number = dict[tuple[tuple[int, ...], ...], int]()
    pair, choice = list[int](), preferences.choice.astype(np.float64)
    itself = np.zeros(len(preferences), np.bool_)
    for i, (left, right) in enumerate(zip(preferences.left, preferences.right, strict=True)):
        sides = tuple(text[slice(*left)].tolist()), tuple(text[slice(*right)].tolist())
        if sides[0] > sides[1]:
            sides, choice[i] = sides[::-1], 1 - choice[i]
        itself[i] = sides[0] == sides[1] and choice[i] != 0.5
        pair.append(number.setdefault(sides, len(number)))
    return _differing(np.array(pair, np.int64), choice, itself)


def _differing(
    which: npt.NDArray[np.int64], values: npt.NDArray[np.floating], also: npt.NDArray[np.bool_] | bool = False
) -> int:
    """Labels ``also``, and those of a thing that has two values."""
    if not len(which):
        return 0
    low, high = np.full(which.max() + 1, np.inf), np.full(which.max() + 1, -np.inf)
    np.minimum.at(low, which, values)
    np.maximum.at(high, which, values)
    return int(((low < high)[which] | also).sum())
