"""Does the text of a step keep what a reward needs? What is lost between arrays and words is lost to any model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rmgym.environments.behaviours import BEHAVIOURS
from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.errors import RunError
from rmgym.metrics.ranking import r_squared
from rmgym.specs import EnvSpec
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import ToldApart, distinct, told_apart
from rmgym.text.textualizer import textualizer
from rmgym.transitions import Transitions
from rmgym.trees import Tree, leaves, take

Floats = npt.NDArray[np.float64]
KEPT = 0.9
"""Share of a value's variance that has to follow from the text on other episodes, or the value counts as lost."""
MOST_COLUMNS = 1500
"""Numbers and phrases of all texts that values are read from; of more (graphs, missions) nothing is read back."""
FEWEST = 200
"""Steps that are looked at, at least."""
MOST_PARTS = 64
"""Values of an array that are looked at one by one; of larger ones (pictures, grids) the text says a part."""
WORTH_A_WORD = 0.01
"""Share of steps with another one's text, and of unexplained variance, from which on it is a finding."""
_RESETS = 40
_KNOTS = 16
_RIDGES = (1e-9, 1e-6)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the text says of one value of a step.

    Attributes:
        value: which: ``observation[2]``, ``action``, ``next observation[2]``.
        share: of its variance on other episodes follows from the text, at most 1; NaN where it never changes.
        size_share: the same of its size without the sign; NaN where it has one sign.
        error: typical difference between it and what the text says, in units of its standard deviation.
    """

    value: str
    share: float
    size_share: float
    error: float

    @property
    def sign_is_lost(self) -> bool:
        """Whether the text says how large it is, and not on which side."""
        return self.share < KEPT <= self.size_share

    @property
    def is_lost(self) -> bool:
        """Whether it does not follow from the text."""
        return self.share < KEPT

    @property
    def is_judged(self) -> bool:
        """Whether it changes enough on other episodes for anything to be said of it."""
        return not math.isnan(self.share)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """How a language model's tokenizer takes the texts.

    Attributes:
        backbone: which.
        longest: tokens of the longest text.
        unknown: share of all tokens that stand for something it does not know.
    """

    backbone: str
    longest: int
    unknown: float


@dataclass(frozen=True, kw_only=True)
class TextAudit:
    """What came of comparing steps with their texts.

    Attributes:
        env: the task.
        card: file of the card, or None where the words come from the spaces.
        steps: how many were looked at.
        told_apart: how many of them differ, and how many have another one's text.
        explained: share of the true reward's variance that the text can tell at all: what is left differs between
            steps of one text; NaN where the reward never changes.
        kept: value by value.
        left_out: arrays that are too large to be looked at value by value.
        templates: how many sentences there are without their numbers and phrases.
        phrases: how many phrases fill them.
        numbers: most numbers that a text holds.
        characters: of the longest text.
        tokens: of those tokenizers that were asked for.
    """

    env: str
    card: str | None
    steps: int
    told_apart: ToldApart
    explained: float
    kept: tuple[Kept, ...]
    left_out: tuple[str, ...]
    templates: int
    phrases: int
    numbers: int
    characters: int
    tokens: tuple[Tokens, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """What a model of these texts cannot know, in words."""
        lost = list[str]()
        if self.told_apart.collisions > WORTH_A_WORD * self.told_apart.steps:
            lost.append(f"{self.told_apart}: no reward model can tell them apart")
        if self.explained < 1 - WORTH_A_WORD:
            share = f"{1 - self.explained:.2g} of the true reward's variance is between steps of one text"
            lost.append(f"{share}: it is missing there, or left to chance, and no model explains it")
        for kept in self.kept:
            if kept.sign_is_lost:
                size = f"its size follows from the text to R² {kept.size_share:.2f}"
                lost.append(f"{kept.value}: its sign is lost, {size}")
            elif not kept.is_judged:
                lost.append(f"{kept.value}: changes too little in these steps to be judged")
            elif kept.is_lost:
                lost.append(f"{kept.value}: does not follow from the text (R² {kept.share:.2f})")
        lost += [
            f"{tokens.backbone}: {tokens.unknown:.1%} of the tokens are unknown to it"
            for tokens in self.tokens
            if tokens.unknown
        ]
        lost += [f"{name}: too large, or no numbers, and not looked at value by value" for name in self.left_out]
        return tuple(lost)

    def to_json(self) -> dict[str, Any]:
        """Everything as values of JSON, NaN where something is not defined."""
        return {**asdict(self), "findings": list(self.findings)}


def audit_texts(env: str | EnvSpec, *, steps: int = 3000, seed: int = 0, backbones: Sequence[str] = ()) -> TextAudit:
    """Compare steps of several behaviours with what their texts say.

    Whether a value is kept is tried, not read off the card: it is predicted from the text's numbers and phrases by
    regression, number by number, and judged on other episodes. States, actions and next states are put together anew
    for it, so that what the text does not say does not follow from what came before or after. A value that is rare in
    these steps, or that follows from others (the angle from its sine and cosine), counts as kept.

    Args:
        env: Gymnasium id, or a spec; its ``card`` is the one that is looked at.
        steps: how many are taken.
        seed: of the first episode.
        backbones: names of language models (``minilm``, ``hf:FOLDER``) whose tokenizers are asked.

    Raises:
        ModelError: there is no such language model.
        RunError: the environment cannot be made, or steps are too few.
        CardError: the card does not fit.
        TextError: a space is not supported.
    """
    if steps < FEWEST:
        raise RunError("an audit looks at several episodes", got=f"{steps} steps", fix=f"pass steps={FEWEST} or more")
    spec = EnvSpec(id=env) if isinstance(env, str) else env
    with closing(build_env(spec)) as live:
        words = textualizer(live, card=spec.card, language=spec.language)
    taken = collect(
        spec, steps, seed=seed, reset_every=_RESETS, policy={name: name for name in BEHAVIOURS}, progress=False
    )
    texts = words.batch(taken)
    rng = np.random.default_rng(seed)
    learned = np.isin(taken.episode, rng.permutation(np.unique(taken.episode))[::2])
    apart = taken if words.card.history else _taken_apart(taken, learned, rng)
    features = _features(words.batch(apart))
    reader = None if features is None else _Reader(features, learned)
    values, left_out = _values(apart)
    first, _ = distinct(texts)
    strings, used = texts[first].strings(), texts.used()
    return TextAudit(
        env=spec.task,
        card=words.card.file,
        steps=len(taken),
        told_apart=told_apart(taken, texts),
        explained=_explained(taken.true_reward.astype(np.float64), texts),
        kept=() if reader is None else tuple(reader.kept(name, value) for name, value in values.items()),
        left_out=left_out if reader is not None else (*left_out, "all other values: the texts have too many phrases"),
        templates=len(used.templates),
        phrases=len(used.phrases),
        numbers=int(np.diff(texts.offsets).max()),
        characters=max(map(len, strings)),
        tokens=tuple(_tokens(name, strings) for name in backbones),
    )


def _taken_apart(steps: Transitions, learned: npt.NDArray[np.bool_], rng: np.random.Generator) -> Transitions:
    """The same states, actions and next states, each with others of the same half of the episodes."""
    rows = np.arange(len(steps))
    order = [rows.copy() for _ in range(2)]
    for each in order:
        for half in (learned, ~learned):
            each[half] = rng.permutation(rows[half])
    return replace(steps, action=take(steps.action, order[0]), next_obs=take(steps.next_obs, order[1]))


def _tokens(name: str, strings: Sequence[str]) -> Tokens:
    from rmgym.models.backbones.backbone import load_backbone  # and with it torch

    tokenizer = load_backbone(name).tokenizer
    ids = tokenizer(list(strings), add_special_tokens=False)["input_ids"]
    unknown = sum(tokenizer.unk_token_id in text and text.count(tokenizer.unk_token_id) for text in ids)
    return Tokens(backbone=name, longest=max(map(len, ids)), unknown=unknown / sum(map(len, ids)))


def _values(steps: Transitions) -> tuple[dict[str, Floats], tuple[str, ...]]:
    """Every number of a step that changes, by name; and the names of what is too large, or no numbers."""
    values, left_out = dict[str, Floats](), list[str]()
    trees: Mapping[str, Tree] = {"observation": steps.obs, "action": steps.action, "next observation": steps.next_obs}
    for name, tree in trees.items():
        for path, leaf in leaves(tree).items():
            where = f"{name} {path}".strip()
            if leaf.dtype.kind not in "biuf" or math.prod(leaf.shape[1:]) > MOST_PARTS:
                left_out.append(where)
                continue
            flat = leaf.reshape(len(leaf), -1).astype(np.float64)
            for i in np.flatnonzero(np.ptp(flat, axis=0) > 0).tolist():
                values[where if leaf.ndim == 1 else f"{where}[{i}]"] = flat[:, i]
    return values, tuple(left_out)


def _features(texts: TextBatch) -> Floats | None:
    """What the texts say as numbers ``[B, F]``: each number by its template, each phrase by its place, standardised.

    None where there are too many.
    """
    counts, columns = np.diff(texts.offsets), list[Floats]()
    for template in range(len(texts.templates)):
        rows = np.flatnonzero(texts.template_index == template)
        columns.append((texts.template_index == template).astype(np.float64))
        for k in range(int(counts[rows[0]]) if len(rows) else 0):
            column = np.zeros(len(texts))
            column[rows] = texts.numbers[texts.offsets[rows] + k]
            columns.append(column)
        for k in range(int(texts.word_counts[rows[0]]) if len(rows) else 0):
            word = np.full(len(texts), -1)
            word[rows] = texts.words[texts.word_offsets[rows] + k]
            columns += [(word == phrase).astype(np.float64) for phrase in np.unique(word[rows])]
        if len(columns) > MOST_COLUMNS:
            return None
    table = np.stack(columns, axis=1)
    spread = table.std(axis=0)
    features: Floats = (table[:, spread > 0] - table[:, spread > 0].mean(axis=0)) / spread[spread > 0]
    return features


class _Reader:
    """Reads values off texts: learns on some episodes, and is judged on the others.

    Args:
        features: of the texts, ``[B, F]``.
        learns: on which rows, ``bool [B]``.
    """

    def __init__(self, features: Floats, learns: npt.NDArray[np.bool_]) -> None:
        one, inside = np.ones((len(features), 1)), np.linspace(0, 1, _KNOTS + 2)[1:-1]
        numbers = features[:, [len(np.unique(column)) > 2 for column in features.T]]  # a phrase is there or not
        bends = np.maximum(numbers[:, None] - np.quantile(numbers[learns], inside, axis=0), 0).reshape(len(numbers), -1)
        bends = bends[:, bends[learns].std(axis=0) > 0]
        self._learns = learns
        designs = (np.concatenate(parts, axis=1) for parts in ([features, one], [features, one, bends]))
        self._designs = [_solved(*each, learns) for each in zip(designs, _RIDGES, strict=True)]

    def kept(self, name: str, value: Floats) -> Kept:
        """What can be read of a value, ``[B]``."""
        read, judged = self._read(value), ~self._learns
        size = math.nan
        if value.min() < 0 < value.max():
            size = r_squared(self._read(np.abs(value))[judged], np.abs(value)[judged])
        error = float(np.median(np.abs(read - value)[judged]) / value.std())
        return Kept(value=name, share=r_squared(read[judged], value[judged]), size_share=size, error=error)

    def _read(self, value: Floats) -> Floats:
        """A value as the texts say it, ``[B]``: linear in what they hold, or a sum of bent lines of each number."""
        from scipy.linalg import cho_solve

        learns = self._learns
        tried = [design @ cho_solve(factor, design[learns].T @ value[learns]) for design, factor in self._designs]
        return max(tried, key=lambda read: r_squared(read[~learns], value[~learns]))


def _solved(design: Floats, ridge: float, learns: npt.NDArray[np.bool_]) -> tuple[Floats, tuple[Floats, bool]]:
    """A design and the factor of its normal equations on some rows."""
    from scipy.linalg import cho_factor

    here = design[learns]
    return design, cho_factor(here.T @ here + ridge * len(here) * np.eye(here.shape[1]))


def _explained(reward: Floats, texts: TextBatch) -> float:
    """Share of the variance that is between texts; NaN where there is none."""
    total = float(((reward - reward.mean()) ** 2).sum())
    if not total > 0:
        return math.nan
    _, which = distinct(texts)
    mean = np.bincount(which, reward) / np.bincount(which)
    return 1 - float(((reward - mean[which]) ** 2).sum()) / total
