"""What a text says twice is read a third time: by how much it has changed.

A text says a state and the next one, which differ by little. A reward for progress is in that little, and numbers that
are standardised one by one hide it: a lander's height changes by a thousandth of its range in a step. The difference
has a spread of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rmgym.models.readers.hashing import Name, slot_names
from rmgym.text.batch import TextBatch
from rmgym.text.kept import kept
from rmgym.text.numbers import IS_WORD, split_template
from rmgym.text.rows import Counts, padded


@kept
def number_names(template: str) -> tuple[Name, ...]:
    """The names of a template's numbers: of those in its slots, then of their changes, which have a negative place."""
    decimals = split_template(template)[1]
    names = [name for name, d in zip(slot_names(template), decimals, strict=True) if d != IS_WORD]
    return (*names, *(names[i]._replace(before=-names[i].before) for i, _ in repeated(template)))


@kept
def repeated(template: str) -> tuple[tuple[int, int], ...]:
    """Which numbers of a template were there before: their places among the numbers, and those of the ones before.

    Two numbers are of one thing if the clauses before them are the same.

    Example:
        >>> repeated("State: height: {:.1f}, speed: {:.1f}. Next state: height: {:.1f}.")
        ((2, 0),)
    """
    names = zip(slot_names(template), split_template(template)[1], strict=True)
    last, pairs = dict[str, int](), list[tuple[int, int]]()
    for i, clause in enumerate(name.clause for name, d in names if d != IS_WORD):
        if clause and clause in last:  # without words of its own, it is one of a list
            pairs.append((i, last[clause]))
        last[clause] = i
    return tuple(pairs)


def with_changes(texts: TextBatch) -> tuple[npt.NDArray[np.float64], Counts]:
    """The numbers of texts and then their changes, ``[B, S]``, as :func:`number_names`; and how many each text has."""
    counts = np.diff(texts.offsets)
    pairs = [repeated(template) for template in texts.templates]
    if len(pairs) == 1:  # as of most environments
        written = padded(texts.numbers, counts)
        later, earlier = np.array(pairs[0], np.int64).reshape(-1, 2).T
        return np.concatenate([written, written[:, later] - written[:, earlier]], axis=1), counts + len(later)
    more = np.array([len(each) for each in pairs], np.int64)[texts.template_index]
    written, all_counts = padded(texts.numbers, counts), counts + more
    table = np.zeros((len(texts), int(all_counts.max(initial=0))))
    table[:, : written.shape[1]] = written
    order = np.argsort(texts.template_index, kind="stable")
    ends = np.bincount(texts.template_index, minlength=len(pairs)).cumsum()
    for repeats, rows in zip(pairs, np.split(order, ends[:-1]), strict=True):
        if repeats and len(rows):
            later, earlier = np.array(repeats).T
            end = all_counts[rows[0]]
            table[rows, end - len(repeats) : end] = written[rows][:, later] - written[rows][:, earlier]
    return table, all_counts
