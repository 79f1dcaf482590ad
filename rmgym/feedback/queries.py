"""What to ask about: steps and pairs of segments, chosen by coverage or at random.

Selections are nested: the first ``n`` of a longer selection are the selection of length ``n`` (same data and seed), so
that asking for more later repeats nothing.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError, nearest
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import distinct
from rmgym.transitions import ENTERS_ABSORBING, IN_ABSORBING, Transitions

METHODS = ("coverage", "random")
Method = Literal["coverage", "random"]
Rows = npt.NDArray[np.int64]

_BLOCKS = 10


def select_steps(
    transitions: Transitions, texts: TextBatch, n: int, *, method: Method = "coverage", seed: int = 0
) -> Rows:
    """Choose steps to be rated; no two of them have the same text.

    ``coverage`` is greedy k-center (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5): each next step is the one
    farthest from those chosen so far, by the standardised numbers of the text, with different words one unit apart.
    Rare states are reached early, which is what makes few ratings enough.

    Where there are steps into, or in, the absorbing state of a fixed horizon, the second and third choice are such
    ones: no model knows by itself what nothing is worth.

    Args:
        transitions: the steps.
        texts: their texts, one per step.
        n: how many.
        method: ``coverage`` or ``random`` (uniform over distinct texts).
        seed: of the first step, or of the whole choice for ``random``.

    Returns:
        Rows, ``int64 [n]``, in the order of choice.

    Raises:
        FeedbackError: ``n`` is not positive or exceeds the number of distinct texts.
    """
    _check(method, n)
    if len(texts) != len(transitions):
        raise FeedbackError("every step has one text", got=(len(transitions), len(texts)), fix="pass all texts")
    features, words = features_of(texts)
    rows, _ = distinct(texts)
    if n > len(rows):
        raise FeedbackError(
            "only steps with distinct texts are rated",
            got=f"{n} asked for; {len(transitions)} steps hold {len(rows)} distinct texts",
            fix=f"collect more steps, or ask for at most {len(rows)}",
        )
    rng = np.random.default_rng(seed)
    ahead = _absorbing(transitions.absorbing[rows], np.random.default_rng([seed, 2]).permutation(len(rows)))
    if method == "coverage":
        return rows[_k_center(features[rows], words[rows], n, rng, ahead)]
    order = rng.permutation(len(rows))
    order = np.concatenate([order[:1], ahead[ahead != order[0]], order[1:][~np.isin(order[1:], ahead)]])
    chosen: Rows = rows[order[:n]]
    return chosen


def select_segments(
    transitions: Transitions,
    n_pairs: int,
    length: int,
    *,
    method: Method = "random",
    seed: int = 0,
    texts: TextBatch | None = None,
) -> Rows:
    """Choose pairs of segments to be compared.

    Segments lie inside one episode and do not overlap; none is used twice before all have been used once, and one is
    used of those with equal texts. Pairs are formed within ten blocks of episodes only: pairs that share an episode
    belong to one group, and chains of them over all episodes would leave no way to split labels into training and
    validation. Where there are segments with steps of the absorbing state of a fixed horizon, one of them is among the
    first.

    Args:
        transitions: whole episodes, each in order.
        n_pairs: how many pairs.
        length: steps per segment.
        method: ``random``, or ``coverage``: k-center over the mean of each segment's step features.
        seed: of the choice.
        texts: texts of all steps, by which one is chosen of equal segments; ``coverage`` needs them.

    Returns:
        First rows of the left and the right segments, ``int64 [n_pairs, 2]``.

    Raises:
        FeedbackError: a count is not positive, or there are not enough distinct pairs.
    """
    _check(method, n_pairs)
    if length < 1:
        raise FeedbackError("a segment has at least one step", got=length, fix="pass length=25")
    rng = np.random.default_rng(seed)
    starts = tiles(transitions, length)
    if texts is not None and len(starts):
        strings = texts.strings()
        first = {tuple(strings[start : start + length]): start for start in starts[::-1].tolist()}
        starts = np.sort(np.array(list(first.values()), np.int64))
    if method == "random":
        order = rng.permutation(len(starts))
    elif texts is None:
        raise FeedbackError("coverage of segments is measured on their texts", fix="pass texts=")
    else:
        features, _ = features_of(texts)
        mean = np.stack([features[s : s + length].mean(0) for s in starts]) if len(starts) else features[:0]
        order = _k_center(mean, np.zeros(len(starts), np.int64), len(starts), rng, starts[:0])
    starts = starts[order]
    for start in starts:
        if transitions.absorbing[start : start + length].any():
            starts = np.concatenate([[start], starts[starts != start]])
            break
    episodes, episode = np.unique(transitions.episode[starts], return_inverse=True)
    blocks = max(1, min(_BLOCKS, len(episodes) // 2))
    block = rng.permutation(np.arange(len(episodes)) % blocks)[episode]
    players = [np.flatnonzero(block == b) for b in range(blocks)]
    possible = sum(len(p) * (len(p) - 1) // 2 for p in players)
    if n_pairs > possible:
        raise FeedbackError(
            "segments that do not overlap are compared",
            got=f"{n_pairs} pairs of length {length} asked for; {len(starts)} distinct segments give {possible}",
            fix="collect more steps or longer episodes, shorten the segments, or ask for fewer pairs",
        )
    pairs = list[tuple[int, int]]()
    turn = 0
    while len(pairs) < n_pairs:  # ends: over all turns every possible pair occurs once
        met = [pair for p in players for pair in _meetings(p.tolist(), turn)]
        pairs += sorted(met, key=min)
        turn += 1
    chosen = np.array(pairs[:n_pairs], np.int64)
    swap = np.random.default_rng([seed, 1]).random(len(chosen)) < 0.5  # neither side is the earlier choice
    chosen[swap] = chosen[swap][:, ::-1]
    return starts[chosen]


def check_method(method: str) -> None:
    """Refuse a method that there is not.

    Raises:
        FeedbackError: the method is none of ``METHODS``.
    """
    if method not in METHODS:
        raise FeedbackError("steps are selected by a known method", got=method, fix=nearest(method, METHODS))


def _check(method: str, n: int) -> None:
    check_method(method)
    if n < 1:
        raise FeedbackError("at least one question is asked", got=n, fix="ask for a positive number")


def features_of(texts: TextBatch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Standardised numbers of each text ``[B, most numbers]`` (missing ones are average), and its template."""
    texts = texts.filled()
    counts = np.diff(texts.offsets)
    present = np.arange(counts.max(initial=0)) < counts[:, None]
    table = np.full(present.shape, np.nan)
    table[present] = texts.numbers
    total = np.maximum(present.sum(0), 1)
    mean = np.nansum(table, axis=0) / total
    spread = np.sqrt(np.nansum((table - mean) ** 2, axis=0) / total)
    scaled = (table - mean) / np.where(spread > 0, spread, 1.0)
    return np.where(present, scaled, 0.0).astype(np.float32), texts.template_index.astype(np.int64)


def _k_center(
    features: npt.NDArray[np.float32],
    words: npt.NDArray[np.int64],
    n: int,
    rng: np.random.Generator,
    ahead: Rows,
) -> Rows:
    """Greedy farthest-point order of ``n`` rows; texts with different words are one unit apart.

    After the first, which is drawn, come those ``ahead``.
    """
    chosen = np.empty(n, np.int64)
    gap = np.full(len(features), np.inf)
    waiting = ahead[::-1].tolist()
    for i in range(n):
        chosen[i] = rng.integers(len(features)) if i == 0 else waiting.pop() if waiting else int(gap.argmax())
        if chosen[i] in waiting:
            waiting.remove(chosen[i])
        distance = ((features - features[chosen[i]]) ** 2).sum(1) + (words != words[chosen[i]])
        gap = np.minimum(gap, distance)
        gap[chosen[i]] = -1.0  # never again, even where others are equally near
    return chosen


def _absorbing(absorbing: npt.NDArray[np.int8], order: Rows) -> Rows:
    """One row in the absorbing state and one that enters it, the first of each in an order, where there are any."""
    return np.concatenate([order[absorbing[order] == kind][:1] for kind in (IN_ABSORBING, ENTERS_ABSORBING)])


def tiles(transitions: Transitions, length: int) -> Rows:
    """First rows of segments that do not overlap, laid end to end from each episode's start."""
    starts = list[npt.NDArray[np.int64]]()
    bounds = np.flatnonzero(np.diff(transitions.episode)) + 1
    for first, last in zip([0, *bounds], [*bounds, len(transitions)], strict=True):
        starts.append(np.arange(first, last - length + 1, length, dtype=np.int64))
    return np.concatenate(starts)


def _meetings(players: list[int], turn: int) -> list[tuple[int, int]]:
    """Pairs of one turn of a round-robin tournament (circle method): neighbours in turn 0; no pair in two turns.

    A bye (-1) makes the number even; a player who meets it rests. After the last turn there are no meetings.
    """
    seats = players + [-1] * (len(players) % 2)
    if turn >= len(seats) - 1:
        return []
    seats = seats[::2] + seats[1::2][::-1]  # opposite seats are neighbours: (0, 1), (2, 3), ...
    circle = seats[:1] + list(np.roll(seats[1:], turn))
    opposite = zip(circle, circle[::-1], strict=True)
    return [(int(a), int(b)) for a, b in list(opposite)[: len(circle) // 2] if a >= 0 and b >= 0]
