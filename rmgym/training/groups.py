"""Which labels stay together when some are held out to judge by, or kept from some heads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rmgym.feedback.labels import Labels


def groups_of(labels: Labels) -> npt.NDArray[np.int64]:
    """Group of each label, ``int64 [R + N]``: its own one, joined with those of all labels that share a text with it.

    A text on both sides of a split would be recognised, not judged: several ratings of one text stay together, and so
    do comparisons of segments with an equal step.
    """
    parts = [part for part in (labels.ratings, labels.preferences) if part is not None]
    groups = np.concatenate([part.groups for part in parts])
    number = dict[str, int]()
    text = np.array([number.setdefault(string, len(number)) for string in labels.texts.strings()], np.int64)
    rated = 0 if labels.ratings is None else len(labels.ratings)
    rows = [np.arange(rated)]  # the texts that labels need: one of each rating, all steps of each pair
    if labels.preferences is not None:
        spans = np.stack([labels.preferences.left, labels.preferences.right], axis=1) + rated
        rows += [np.concatenate([np.arange(*left), np.arange(*right)]) for left, right in spans]
    of_label = np.repeat(np.arange(len(groups)), [1] * rated + [len(steps) for steps in rows[1:]])
    _, group = np.unique(groups, return_inverse=True)
    # A graph of labels, groups and texts, with an edge from each label to its group and to its texts.
    nodes = len(groups) + int(group.max(initial=-1)) + 1 + len(number)
    start = np.concatenate([np.arange(len(groups)), of_label])
    end = np.concatenate([len(groups) + group, nodes - len(number) + text[np.concatenate(rows)]])
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(nodes, nodes))
    joined: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1][: len(groups)]
    name = np.full(nodes, np.iinfo(np.int64).max)
    np.minimum.at(name, joined, groups)
    return name[joined]


def alike_of(labels: Labels) -> npt.NDArray[np.int64]:
    """Number of each label, ``int64 [R + N]``, that those have in common that tell the same.

    They are ratings of one episode by one value, such as those of one step in several wordings. Equal texts are not
    enough: where few things are ever said, steps that are asked for later were mostly rated too.
    """
    ratings, preferences = labels.ratings, labels.preferences
    alike, compared = np.zeros(0, np.int64), 0 if preferences is None else len(preferences)
    if ratings is not None:
        pairs = np.stack([ratings.groups.astype(np.float64), ratings.values.astype(np.float64)], axis=1)
        alike = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return np.concatenate([alike, alike.max(initial=-1) + 1 + np.arange(compared)])
