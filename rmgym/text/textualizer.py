"""From transitions to text: a card, the spaces and the environment's facts become templates, numbers and phrases.

The batch road touches whole columns and builds no string but a few templates and each distinct phrase.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from rmgym.cards import EnvCard, Field, find_env_card, load_env_card
from rmgym.environments.introspect import facts_of, id_of, plain_fact, spaces_of, wrapper_attribute
from rmgym.environments.kinds import Environment
from rmgym.environments.make import make_env
from rmgym.environments.wrapper_chain import ChangesMeaning, ChangesPictures, Trait, first_of
from rmgym.errors import CardError, RunError
from rmgym.text.batch import TextBatch
from rmgym.text.card_fit import check_card
from rmgym.text.expressions import evaluate
from rmgym.text.grid_view import check_grid
from rmgym.text.history import history_text, past_of
from rmgym.text.language import phrases
from rmgym.text.ragged import Captioner
from rmgym.text.reader import Columns, Reader
from rmgym.text.rendering import Renderer
from rmgym.text.spaces import card_from_spaces, leaf_spaces, signature
from rmgym.text.wording import HISTORY, Wording
from rmgym.transitions import Transitions
from rmgym.trees import Array, Space, Tree, Value, batch_size, stack


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
        card_hash: identity (16 hex digits) of everything that shapes the text: card, spaces with their bounds, facts,
            language.
        facts: values of the card's facts, by key.

    Raises:
        CardError: the card does not fit the spaces or its text cannot be made.
        TextError: a space or the language is not supported.
    """

    def __init__(
        self,
        card: EnvCard,
        observation_space: Space,
        action_space: Space,
        *,
        facts: Mapping[str, Array] | None = None,
        language: str = "en",
        captioner: Captioner | None = None,
    ) -> None:
        self.card, self.language, self._captioner = card, language, captioner
        self.observation_space, self.action_space = observation_space, action_space
        self.facts = {key: np.asarray(value) for key, value in (facts or {}).items()}
        self._check_fields()
        self._observation = Reader(observation_space, card.observation, language, captioner, card.grid)
        self._action = Reader(action_space, card.action, language, captioner)
        self._check_derived()
        fragments = {"state": {*self._observation.fragments}, "action": {*self._action.fragments}}
        self._wording = Wording(card, self.facts, language, fragments)
        self._render = Renderer(self._wording, language)
        if card.history:
            self._render_earlier = Renderer(Wording(card, self.facts, language, fragments, of="past"), language)
        self.card_hash = self._hash()

    def batch(self, transitions: Transitions) -> TextBatch:
        """Return the text of every step, without building strings.

        Raises:
            TextError: a value is NaN or infinite, a discrete value has no words, or the card's history is not there.
            CardError: the steps were collected where a fact of the card had another value.
        """
        self._check_facts(transitions)
        flags = transitions.absorbing * np.int64(4) + transitions.terminated * np.int64(2) + transitions.truncated
        fragments = self._fragments(transitions)
        if self.card.history:
            past = past_of(transitions, self.card.history)
            earlier = history_text(past, len(transitions), self._earlier, phrases(self.language))
            fragments["history"] = {HISTORY: earlier}
        return self._render(self._columns(transitions), fragments, flags, self.card_hash)

    def describe(
        self,
        obs: Value,
        action: Value,
        next_obs: Value,
        terminated: bool = False,
        truncated: bool = False,
        *,
        past: Sequence[tuple[Value, Value]] = (),
    ) -> str:
        """Return the text of one step as a string.

        Args:
            obs: s.
            action: a.
            next_obs: s'.
            terminated: the task ended here.
            truncated: a time limit cut the episode here.
            past: observation and action of the steps before it in its episode, oldest first; those that the card's
                ``history`` does not reach are not shown.

        Raises:
            TextError: as in :meth:`batch`.
        """
        steps = [*past, (obs, action)]
        before, after = (
            stack(self.observation_space, seen) for seen in ([o for o, _ in steps], [next_obs] * len(steps))
        )
        acted, last = stack(self.action_space, [a for _, a in steps]), np.arange(len(steps)) == len(past)
        text = self.batch(Transitions.from_arrays(before, acted, after, last & terminated, last & truncated))
        return text[-1:].strings()[0]

    @property
    def number_keys(self) -> tuple[str, ...]:
        """Keys of the numbers that every text has, in order, as ``state.x``, ``action.torque``, ``next_state.x``."""
        return self._render.number_keys

    def _earlier(self, obs: Tree, action: Tree) -> TextBatch:
        """Observation and action of earlier steps in words."""
        size = batch_size(obs)
        read = self._observation.columns(obs, "earlier obs")
        columns = {"state": self._derived(read, size), "action": self._action.columns(action, "earlier action")}
        texts = {
            "state": self._observation.texts(obs, "earlier obs"),
            "action": self._action.texts(action, "earlier action"),
        }
        return self._render_earlier(columns, texts, np.zeros(size, np.int64))

    def _columns(self, transitions: Transitions) -> dict[str, Columns]:
        """Values by part and key, each ``[B]``; derived fields are computed for both states at once."""
        size = len(transitions)
        before = self._observation.columns(transitions.obs, "obs")
        after = self._observation.columns(transitions.next_obs, "next_obs")
        if self.card.derived:
            values = {key: np.concatenate([before[key], after[key]]) for key in before}
            values = self._derived(values, 2 * size)
            before = {key: column[:size] for key, column in values.items()}
            after = {key: column[size:] for key, column in values.items()}
        return {
            "state": before,
            "action": self._action.columns(transitions.action, "action"),
            "next_state": after,
        }

    def _fragments(self, transitions: Transitions) -> dict[str, dict[str, TextBatch]]:
        """Fragments of text by part and key."""
        return {
            "state": self._observation.texts(transitions.obs, "obs"),
            "action": self._action.texts(transitions.action, "action"),
            "next_state": self._observation.texts(transitions.next_obs, "next_obs"),
        }

    def _derived(self, values: Columns, size: int) -> Columns:
        """Values with the derived ones among them."""
        values = dict(values)
        for field in self.card.derived:
            values[field.key] = self._derive(field, values, size)
        return values

    def _derive(self, field: Field, values: Columns, size: int) -> npt.NDArray[np.float64]:
        column = evaluate(field.expression, {**self.facts, **values})
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
        check_card(card, "observation", self.observation_space)
        check_card(card, "action", self.action_space)
        for grid in card.grid:
            part = leaf_spaces(self.observation_space).get(grid.path)
            check_grid(grid, None if part is None else part.shape, card.file or card.id)
        if missing := set(card.facts) - set(self.facts):
            raise CardError("a card's facts are read from its environment", got=missing, fix="pass facts=")

    def _check_facts(self, transitions: Transitions) -> None:
        """The map in a text is the one that its step was taken on."""
        there = transitions.metadata.get("facts", {})
        for key, fact in self.facts.items():
            if key in there and there[key] != plain_fact(fact):
                raise CardError(
                    f"steps are put into words with the {key!r} of the environment that they were collected in",
                    got=f"{plain_fact(fact)}, where the steps have {there[key]}",
                    fix="make both environments with the same one (env_kwargs)",
                )

    def _check_derived(self) -> None:
        """A mistake in an expression shows now, not at the first step."""
        values = {f.key: np.zeros(1) for f in self.card.observation if f.key not in self._observation.fragments}
        for field in self.card.derived:
            values[field.key] = self._derive(field, values, 1)

    def _hash(self) -> str:
        facts = {key: [list(fact.shape), fact.tolist()] for key, fact in self.facts.items()}
        spaces = [signature(self.observation_space), signature(self.action_space)]
        shaping = [self.card.hash, spaces, facts, self._wording.fixed()]
        if self._captioner is not None:
            kind = self._captioner if hasattr(self._captioner, "__qualname__") else type(self._captioner)
            shaping.append(getattr(self._captioner, "identity", f"{kind.__module__}.{kind.__qualname__}"))
        content = json.dumps(shaping, default=str, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def textualizer(
    env: str | Environment,
    *,
    card: EnvCard | str | os.PathLike[str] | None = None,
    language: str = "en",
    captioner: Captioner | None = None,
    history: int | None = None,
) -> Textualizer:
    """Make the textualizer of an environment.

    Args:
        env: an environment id, a Gymnasium environment or vector environment, or an SB3 ``VecEnv``.
        card: an :class:`EnvCard` or the path of one; by default the installed card that fits, else one from the spaces.
        language: language of the words.
        captioner: says what is on pictures: a function from ``uint8 [B, H, W, C]`` to ``B`` strings, deterministic; by
            default the one that the environment brings along (:class:`rmgym.CaptionWrapper`). Its
            ``identity`` (a string; by default its qualified name) becomes part of the text's hash.
        history: steps before each that its text shows, instead of the card's.

    Raises:
        RunError: there is no environment of this id, or a wrapper changes what the card's words are about.
        CardError: the card does not exist or does not fit.
        TextError: a space is not supported.

    Example:
        >>> import rmgym
        >>> say = rmgym.textualizer("FrozenLake-v1")
        >>> say.describe(14, 2, 15, terminated=True)[-29:]
        ' The episode terminated here.'
    """
    if isinstance(env, str):
        with closing(make_env(env)) as own:
            return textualizer(own, card=card, language=language, captioner=captioner, history=history)
    env_id = id_of(env)
    observation_space, action_space = spaces_of(env)
    if captioner is None and (captioner := wrapper_attribute(env, "captioner")) is not None:
        _refuse(env, ChangesPictures, "a captioner says what is on the pictures of the environment that it wraps")
    if not isinstance(card, EnvCard):
        card = _installed_or_at(card, env_id)
    if card is None:
        card = card_from_spaces(
            env_id or "unregistered", observation_space, action_space, has_captioner=captioner is not None
        )
    else:
        _refuse(env, ChangesMeaning, "a card's words are about what the environment itself takes and returns")
    if history is not None:
        card = replace(card, history=history)
    facts = facts_of(env, card.facts)
    return Textualizer(card, observation_space, action_space, facts=facts, language=language, captioner=captioner)


def _refuse(env: Environment, trait: type[Trait], rule: str) -> None:
    if changing := first_of(env, trait):
        # The members of a Gymnasium vector environment cannot hand anything on.
        on = (
            ""
            if isinstance(env, VectorEnv)
            else (", or around rmgym.RawObservation(env), which hands the environment's own numbers on to the text")
        )
        raise RunError(
            rule,
            got=f"{changing} between the environment and its text",
            fix=f"put it around the learned reward{on}; or register an id whose entry point returns the wrapped "
            "environment, and write a card for that",
        )


def _installed_or_at(path: str | os.PathLike[str] | None, env_id: str | None) -> EnvCard | None:
    if env_id is not None:
        return find_env_card(env_id, path)
    return load_env_card(path) if path is not None else None  # an unregistered environment takes any card
