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
from rmgym.text.spaces import card_from_spaces, check_fields, check_finite, columns, paths, signature
from rmgym.text.wording import Wording
from rmgym.transitions import Transitions

Columns = dict[str, npt.NDArray[np.float64]]


class Textualizer:
    """Puts the steps of one environment into words.

    Args:
        card: the environment's card.
        observation_space: space of raw observations.
        action_space: space of actions.
        facts: values of the card's ``facts``, by key, read from the environment.
        language: language of the words; a text that the card lacks in it falls back to English.

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
    ) -> None:
        self.card, self.language = card, language
        self.observation_space, self.action_space = observation_space, action_space
        self._facts = {key: np.asarray(value) for key, value in (facts or {}).items()}
        self._check_card()
        self._observation_paths, self._action_paths = paths(observation_space), paths(action_space)
        self._wording = Wording(card, self._facts, language)
        self._templates = dict[tuple[int, ...], str]()
        self._number_fields = [(part, field) for part, field in self._wording.shown if not field.labels]
        self._word_fields = [(part, field) for part, field in self._wording.shown if field.labels]
        self._scale = 10.0 ** np.array([field.decimals for _, field in self._number_fields], np.float64)
        self.card_hash = self._hash()

    def batch(self, transitions: Transitions) -> TextBatch:
        """Return the text of every step, without building strings.

        Raises:
            TextError: a value is NaN or infinite, or a discrete value has no words.
        """
        size = len(transitions)
        table = self._columns(transitions)
        numbers = np.empty((size, len(self._number_fields)))
        for i, (part, field) in enumerate(self._number_fields):
            numbers[:, i] = table[part][field.key]
        check_finite(numbers, lambda column: self.number_keys[column])
        # Adding zero turns -0.0 into 0.0: both are shown, and scored, alike.
        rounded = np.rint(numbers * self._scale) / self._scale + 0.0
        words = [_positions(field, table[part][field.key]) for part, field in self._word_fields]
        words.append(transitions.terminated * np.int64(2) + transitions.truncated)
        combinations, template_index = _distinct(words, [*(len(f.labels) for _, f in self._word_fields), 4])
        return TextBatch(
            templates=tuple(self._template(words) for words in combinations),
            template_index=template_index,
            numbers=rounded.astype(np.float32).reshape(-1),
            offsets=np.arange(size + 1, dtype=np.int64) * len(self._number_fields),
            language=self.language,
            card_hash=self.card_hash,
        )

    def describe(self, obs: Any, action: Any, next_obs: Any, terminated: bool = False, truncated: bool = False) -> str:
        """Return the text of one step as a string; errors as in :meth:`batch`."""
        one = Transitions.from_arrays(
            np.asarray(obs)[None], np.asarray(action)[None], np.asarray(next_obs)[None], [terminated], [truncated]
        )
        return self.batch(one).strings()[0]

    @property
    def number_keys(self) -> tuple[str, ...]:
        """Keys of the numbers of one text, in order, as ``state.x``, ``action.torque``, ``next_state.x``."""
        return tuple(f"{part}.{field.key}" for part, field in self._number_fields)

    def _template(self, words: tuple[int, ...]) -> str:
        if words not in self._templates:
            self._templates[words] = self._wording.template(words)
        return self._templates[words]

    def _columns(self, transitions: Transitions) -> dict[str, Columns]:
        """Values by part and key, each ``[B]``; derived fields are computed for both states at once."""
        size, space = len(transitions), self.observation_space
        obs, next_obs = columns(space, transitions.obs, "obs"), columns(space, transitions.next_obs, "next_obs")
        values = _by_key(self.card.observation, self._observation_paths, np.concatenate([obs, next_obs]))
        for field in self.card.derived:
            values[field.key] = self._derive(field, values, 2 * size)
        action = columns(self.action_space, transitions.action, "action")
        return {
            "state": {key: column[:size] for key, column in values.items()},
            "action": _by_key(self.card.action, self._action_paths, action),
            "next_state": {key: column[size:] for key, column in values.items()},
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

    def _check_card(self) -> None:
        card = self.card
        check_fields(card.observation, self.observation_space, card, "observation")
        check_fields(card.action, self.action_space, card, "action")
        if missing := set(card.facts) - set(self._facts):
            raise CardError("a card's facts are read from its environment", got=missing, fix="pass facts=")
        known = {field.key: np.zeros(1) for field in card.observation}
        for field in card.derived:  # a mistake in an expression shows now, not at the first step
            known[field.key] = self._derive(field, known, 1)

    def _hash(self) -> str:
        facts = {key: [list(fact.shape), fact.tolist()] for key, fact in self._facts.items()}
        spaces = [signature(self.observation_space), signature(self.action_space)]
        said = json.dumps([self.card.hash, spaces, facts, self._wording.fixed()], default=str, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def textualizer(env: Any, *, card: EnvCard | str | os.PathLike[str] | None = None, language: str = "en") -> Textualizer:
    """Make the textualizer of an environment.

    Args:
        env: an environment id, a Gymnasium environment or vector environment, or an SB3 ``VecEnv``.
        card: an :class:`EnvCard` or the path of one; by default the installed card that fits, else one from the spaces.
        language: language of the words.

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
            return textualizer(made, card=card, language=language)
    env_id = id_of(env)
    observation_space, action_space = spaces_of(env)
    if not isinstance(card, EnvCard):
        card = _installed_or_at(card, env_id) or card_from_spaces(
            env_id or "unregistered", observation_space, action_space
        )
    facts = {key: np.asarray(fact_of(env, name)) for key, name in card.facts.items()}
    return Textualizer(card, observation_space, action_space, facts=facts, language=language)


def _installed_or_at(path: str | os.PathLike[str] | None, env_id: str | None) -> EnvCard | None:
    if env_id is not None:
        return find_env_card(env_id, path)
    return load_env_card(path) if path is not None else None  # an unregistered environment takes any card


def _by_key(fields: Sequence[Field], paths: Sequence[str], table: npt.NDArray[np.float64]) -> Columns:
    return {field.key: table[:, paths.index(field.path)] for field in fields}


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
