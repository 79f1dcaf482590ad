"""From transitions to text: a card, the spaces and the environment's facts become templates and numbers.

The batch road touches whole columns and builds no string but one template per distinct combination of words.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rmgym.cards import EnvCard, Field, find_env_card, load_env_card
from rmgym.errors import CardError, TextError
from rmgym.text.batch import TextBatch
from rmgym.text.environment import fact_of, id_of, make_from_id, spaces_of
from rmgym.text.expressions import evaluate
from rmgym.text.grid import check_grid
from rmgym.text.ragged import Captioner
from rmgym.text.reading import Columns, Reader
from rmgym.text.spaces import card_from_spaces, check_fields, check_finite, leaf_spaces, signature
from rmgym.text.wording import Wording
from rmgym.transitions import Transitions
from rmgym.trees import stack

_MOST_REMEMBERED = 65_536
"""Templates that are kept: an environment has a handful, unless its observations hold free text."""


class Textualizer:
    """Puts the steps of one environment into words.

    Args:
        card: the environment's card.
        observation_space: space of raw observations.
        action_space: space of actions.
        facts: values of the card's ``facts``, by key, read from the environment.
        language: language of the words; a text that the card lacks in it falls back to English.
        captioner: says what is on pictures, ``uint8 [B, H, W, C]`` to ``B`` strings; deterministic.

    Attributes:
        card_hash: identity (16 hex digits) of everything that shapes the text: card, spaces, facts, language.

    Raises:
        CardError: the card does not fit the spaces or its text cannot be made.
        TextError: a space or the language is not supported.
    """

    def __init__(
        self,
        card: EnvCard,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        facts: Mapping[str, npt.NDArray[Any]] | None = None,
        language: str = "en",
        captioner: Captioner | None = None,
    ) -> None:
        self.card, self.language, self._captioner = card, language, captioner
        self.observation_space, self.action_space = observation_space, action_space
        self._facts = {key: np.asarray(value) for key, value in (facts or {}).items()}
        self._check_fields()
        self._observation = Reader(observation_space, card.observation, language, captioner, card.grid)
        self._action = Reader(action_space, card.action, language, captioner)
        self._check_derived()
        fragments = {"state": self._observation.fragments, "action": self._action.fragments}
        self._wording = Wording(card, self._facts, language, {part: set(keys) for part, keys in fragments.items()})
        self._templates = dict[tuple[int | str, ...], str]()
        self._number_fields = [(part, f) for part, _, f in self._wording.shown if f is not None and not f.labels]
        self._scale = 10.0 ** np.array([field.decimals for _, field in self._number_fields], np.float64)
        self.card_hash = self._hash()

    def batch(self, transitions: Transitions) -> TextBatch:
        """Return the text of every step, without building strings.

        Raises:
            TextError: a value is NaN or infinite, or a discrete value has no words.
        """
        table, texts = self._columns(transitions), self._fragments(transitions)
        numbers = self._numbers(table, len(transitions))
        words, counts = list[npt.NDArray[np.int64]](), list[int]()
        for part, key, field in self._wording.shown:
            if field is None:
                text = texts[part][key]
                words.append(text.template_index.astype(np.int64))
                counts.append(max(len(text.templates), 1))
            elif field.labels:
                words.append(_positions(field, table[part][key]))
                counts.append(len(field.labels))
        flags = transitions.absorbing * np.int64(4) + transitions.terminated * np.int64(2) + transitions.truncated
        combinations, template_index = _distinct([*words, flags], [*counts, 12])
        numbers, offsets = (
            self._in_order(numbers, texts)
            if any(texts.values())
            else (numbers.reshape(-1), np.arange(len(numbers) + 1, dtype=np.int64) * numbers.shape[1])
        )
        return TextBatch(
            templates=tuple(self._template(self._named(words, texts)) for words in combinations),
            template_index=template_index,
            numbers=numbers,
            offsets=offsets,
            language=self.language,
            card_hash=self.card_hash,
        )

    def describe(self, obs: Any, action: Any, next_obs: Any, terminated: bool = False, truncated: bool = False) -> str:
        """Return the text of one step as a string; errors as in :meth:`batch`."""
        before, after = (stack(self.observation_space, [said]) for said in (obs, next_obs))
        one = Transitions.from_arrays(before, stack(self.action_space, [action]), after, [terminated], [truncated])
        return self.batch(one).strings()[0]

    @property
    def number_keys(self) -> tuple[str, ...]:
        """Keys of the numbers that every text has, in order, as ``state.x``, ``action.torque``, ``next_state.x``."""
        return tuple(f"{part}.{field.key}" for part, field in self._number_fields)

    def _numbers(self, table: Mapping[str, Columns], size: int) -> npt.NDArray[np.float32]:
        """The numbers that every text has, rounded to what it shows, ``[B, N]``."""
        numbers = np.empty((size, len(self._number_fields)))
        for i, (part, field) in enumerate(self._number_fields):
            numbers[:, i] = table[part][field.key]
        check_finite(numbers, lambda column: self.number_keys[column])
        # Adding zero turns -0.0 into 0.0: both are shown, and scored, alike.
        return (np.rint(numbers * self._scale) / self._scale + 0.0).astype(np.float32)

    def _in_order(
        self, fixed: npt.NDArray[np.float32], texts: Mapping[str, Mapping[str, TextBatch]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """All numbers in the order of the slots, those of fragments among the others, and their offsets."""
        pieces = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]()  # numbers, and how many per text
        column = 0
        for part, key, field in self._wording.shown:
            if field is None:
                text = texts[part][key]
                pieces.append((text.numbers, np.diff(text.offsets)))
            elif not field.labels:
                pieces.append((fixed[:, column], np.ones(len(fixed), np.int64)))
                column += 1
        counts = np.stack([count for _, count in pieces])
        offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
        starts = offsets[:-1] + np.cumsum(counts, axis=0) - counts
        numbers = np.empty(offsets[-1], np.float32)
        for (said, count), start in zip(pieces, starts, strict=True):
            within = np.arange(len(said)) - np.repeat(np.cumsum(count) - count, count)
            numbers[np.repeat(start, count) + within] = said
        return numbers, offsets

    def _named(self, words: tuple[int, ...], texts: Mapping[str, Mapping[str, TextBatch]]) -> tuple[int | str, ...]:
        """One combination of words with the templates of fragments in place of their numbers in this batch."""
        said, positions = list[int | str](), iter(words)
        for part, key, field in self._wording.shown:
            if field is None:
                said.append(texts[part][key].templates[next(positions)])
            elif field.labels:
                said.append(next(positions))
        return (*said, next(positions))

    def _template(self, words: tuple[int | str, ...]) -> str:
        if words not in self._templates:
            if len(self._templates) >= _MOST_REMEMBERED:
                self._templates.clear()
            self._templates[words] = self._wording.template(words)
        return self._templates[words]

    def _columns(self, transitions: Transitions) -> dict[str, Columns]:
        """Values by part and key, each ``[B]``; derived fields are computed for both states at once."""
        size = len(transitions)
        before = self._observation.columns(transitions.obs, "obs")
        after = self._observation.columns(transitions.next_obs, "next_obs")
        values = {key: np.concatenate([before[key], after[key]]) for key in before}
        for field in self.card.derived:
            values[field.key] = self._derive(field, values, 2 * size)
        return {
            "state": {key: column[:size] for key, column in values.items()},
            "action": self._action.columns(transitions.action, "action"),
            "next_state": {key: column[size:] for key, column in values.items()},
        }

    def _fragments(self, transitions: Transitions) -> dict[str, dict[str, TextBatch]]:
        """Fragments of text by part and key."""
        return {
            "state": self._observation.texts(transitions.obs, "obs"),
            "action": self._action.texts(transitions.action, "action"),
            "next_state": self._observation.texts(transitions.next_obs, "next_obs"),
        }

    def _derive(self, field: Field, values: Columns, size: int) -> npt.NDArray[np.float64]:
        column = evaluate(field.expression, {**self._facts, **values})
        if column.shape == (size,):
            return column
        if column.shape == ():
            return np.full(size, column)
        raise CardError(
            f"derived field {field.key!r} is one number per step",
            got=f"{field.expression!r} of shape {column.shape} for {size} states",
            fix="correct its expression",
        )

    def _check_fields(self) -> None:
        card = self.card
        check_fields(card.observation, self.observation_space, card, "observation")
        check_fields(card.action, self.action_space, card, "action")
        for grid in card.grid:
            part = leaf_spaces(self.observation_space).get(grid.path)
            check_grid(grid, None if part is None else part.shape, card.file or card.id)
        if missing := set(card.facts) - set(self._facts):
            raise CardError("a card's facts are read from its environment", got=missing, fix="pass facts=")

    def _check_derived(self) -> None:
        """A mistake in an expression shows now, not at the first step."""
        known = {f.key: np.zeros(1) for f in self.card.observation if f.key not in self._observation.fragments}
        for field in self.card.derived:
            known[field.key] = self._derive(field, known, 1)

    def _hash(self) -> str:
        facts = {key: [list(fact.shape), fact.tolist()] for key, fact in self._facts.items()}
        spaces = [signature(self.observation_space), signature(self.action_space)]
        shaping = [self.card.hash, spaces, facts, self._wording.fixed()]
        if self._captioner is not None:
            kind = self._captioner if hasattr(self._captioner, "__qualname__") else type(self._captioner)
            shaping.append(getattr(self._captioner, "identity", f"{kind.__module__}.{kind.__qualname__}"))
        said = json.dumps(shaping, default=str, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def textualizer(
    env: Any,
    *,
    card: EnvCard | str | os.PathLike[str] | None = None,
    language: str = "en",
    captioner: Captioner | None = None,
) -> Textualizer:
    """Make the textualizer of an environment.

    Args:
        env: an environment id, a Gymnasium environment or vector environment, or an SB3 ``VecEnv``.
        card: an :class:`EnvCard` or the path of one; by default the installed card that fits, else one from the spaces.
        language: language of the words.
        captioner: says what is on pictures: a function from ``uint8 [B, H, W, C]`` to ``B`` strings, deterministic. Its
            ``identity`` (a string; by default its qualified name) becomes part of the text's hash.

    Raises:
        HarnessError: there is no environment of this id.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.

    Example:
        >>> import rmgym
        >>> say = rmgym.textualizer("FrozenLake-v1")
        >>> say.describe(14, 2, 15, terminated=True)[-29:]
        ' The episode terminated here.'
    """
    if isinstance(env, str):
        with make_from_id(env) as made:
            return textualizer(made, card=card, language=language, captioner=captioner)
    env_id = id_of(env)
    observation_space, action_space = spaces_of(env)
    if not isinstance(card, EnvCard):
        card = _installed_or_at(card, env_id) or card_from_spaces(
            env_id or "unregistered", observation_space, action_space, has_captioner=captioner is not None
        )
    facts = {key: np.asarray(fact_of(env, name)) for key, name in card.facts.items()}
    return Textualizer(card, observation_space, action_space, facts=facts, language=language, captioner=captioner)


def _installed_or_at(path: str | os.PathLike[str] | None, env_id: str | None) -> EnvCard | None:
    if env_id is not None:
        return find_env_card(env_id, path)
    return load_env_card(path) if path is not None else None  # an unregistered environment takes any card


def _positions(field: Field, column: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Positions of values among a field's sorted labels."""
    labels = np.array(sorted(field.labels))
    position = np.minimum(np.searchsorted(labels, column), len(labels) - 1)
    wrong = labels[position] != column
    if wrong.any():
        raise TextError(
            f"every value of {field.key!r} has words in the card",
            got=float(column[wrong][0]),
            fix=f"add it to 'labels' (known: {labels.tolist()})",
        )
    return position


def _distinct(
    words: Sequence[npt.NDArray[np.int64]], counts: Sequence[int]
) -> tuple[list[tuple[int, ...]], npt.NDArray[np.int32]]:
    """Distinct combinations of words in sorted order, and which one each step has.

    Each combination becomes one integer (mixed radix): sorting those is much faster than sorting rows.
    """
    code, span = np.zeros_like(words[0]), 1
    for position, count in zip(words, counts, strict=True):
        if span * count > 2**62:
            code, span = np.unique(code, return_inverse=True)[1], len(code)
        code, span = code * count + position, span * count
    _, first, index = np.unique(code, return_index=True, return_inverse=True)
    combinations = np.stack([position[first] for position in words], axis=1)
    return [tuple(row) for row in combinations.tolist()], index.reshape(-1).astype(np.int32)
