"""What a card may say. Unknown keys are errors (see :mod:`rmgym.cards.load`)."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, model_validator
from pydantic import Field as Rule
from pydantic.dataclasses import dataclass

from rmgym.errors import nearest

FREE_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])(?<!(?<![A-Za-z0-9_.])-)(?<![0-9][eE][-+])-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
    r"(?:e-[0-9]{2,3})?(?![A-Za-z0-9_]|\.[0-9])"
)
"""A number standing free in text, such as ``-0.52`` or ``1.2346e-05``: no part of a word, not the exponent of ``1e-5``,
not behind a sign as in ``--1``.

Such numbers are slots for models, so a card's fixed words may hold none.
"""


def fits(pattern: str, env_id: str) -> bool:
    """Whether a pattern (shell-style wildcards) covers an id.

    ``module:`` before an id, which Gymnasium imports, is no part of it.
    """
    return fnmatchcase(env_id.rpartition(":")[2], pattern)


def specificity(pattern: str, env_id: str) -> tuple[bool, int]:
    """Order of patterns that fit the same id: itself first, then the longest.

    Without the first rule ``Env-v*`` would tie with ``Env-v1``.
    """
    return pattern == env_id.rpartition(":")[2], len(pattern)


STRICT = ConfigDict(extra="forbid")
"""Of every part of a card: an unknown key is an error."""


def _no_free_number(text: str) -> str:
    if FREE_NUMBER.search(text):
        raise ValueError(
            "numbers in a step's text are values of fields; write a fixed number as a word ('two hundred')"
        )
    return text


def _has_english(words: dict[str, str]) -> dict[str, str]:
    if "en" not in words:
        raise ValueError("the language 'en' is required")
    return words


Text = Annotated[str, AfterValidator(_no_free_number)]
Words = Annotated[dict[str, Text], AfterValidator(_has_english)]
"""One text by language code; ``en`` is required, others fall back to it."""
Key = Annotated[str, Rule(pattern=r"^[a-z][a-z0-9_]*$")]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Field:
    """One value that the text of a step shows.

    Attributes:
        key: its name in expressions and reports.
        name: what it is, by language.
        path: where it is: ``"0"`` is element 0 of a flattened Box, ``""`` a Discrete value itself.
        expression: for derived fields, arithmetic over other keys and facts (see :mod:`rmgym.text.expressions`).
        unit: its unit, empty for none.
        decimals: digits kept behind the point; values are rounded to it once, in the text.
        scientific: write values of which fewer than three digits would be left, such as 0.0000123456 with four
            decimals, as ``1.2346e-05``.
        labels: words for discrete values, by value; a labelled field is shown as words, never as a number.
        shown: False for a field that only feeds derived ones.
    """

    key: Key
    name: Words
    path: str = ""
    expression: str = ""
    unit: Text = ""
    decimals: Annotated[int, Rule(ge=0, le=6)] = 3
    scientific: bool = False
    labels: dict[int, Words] = Rule(default_factory=dict)
    shown: bool = True


def _places(fields: list[Field]) -> list[Field]:
    for field in fields:
        if field.expression:
            raise ValueError(f"{field.key!r} has an expression; fields with one stand under [[derived]]")
    return fields


def _expressions(fields: list[Field]) -> list[Field]:
    for field in fields:
        if not field.expression or field.path:
            raise ValueError(f"the derived field {field.key!r} has an expression and no path")
    return fields


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Grid:
    """A view of a grid world in an observation, one cell ``(object, colour, state)`` per place, as MiniGrid's.

    The text says what the agent carries, what is directly ahead of it, how far the way is free, and which objects are
    in view at what distance (see :mod:`rmgym.text.grid_view`).

    Attributes:
        key: its name in reports.
        path: where it is: an integer array ``[columns, rows, 3]``.
        size: its columns and rows.
        agent: column and row of the agent, which looks towards row zero; its own cell holds what it carries.
        objects: words for every object, by value.
        colours: words for every colour of the ``coloured`` ones.
        states: words for every state of the ``stateful`` ones.
        coloured: objects of which the text says the colour.
        stateful: objects of which the text says the state.
        empty: objects that are no obstacle and nothing to speak of; the free way leads over them.
        unlisted: objects that are named only directly ahead, such as walls; neither they nor ``empty`` can be carried.
        most: objects that are named, the nearest ones; of further ones only the number is said.
    """

    key: Key
    path: str
    size: tuple[int, int]
    agent: tuple[int, int]
    objects: dict[int, Words]
    colours: dict[int, Words] = Rule(default_factory=dict)
    states: dict[int, Words] = Rule(default_factory=dict)
    coloured: list[int] = Rule(default_factory=list)
    stateful: list[int] = Rule(default_factory=list)
    empty: list[int] = Rule(default_factory=list)
    unlisted: list[int] = Rule(default_factory=list)
    most: Annotated[int, Rule(ge=0, le=64)] = 8

    @model_validator(mode="after")
    def _places_and_objects_exist(self) -> Self:
        (columns, rows), (column, row) = self.size, self.agent
        if not (0 <= column < columns and 0 < row < rows):
            raise ValueError(f"the agent stands in the view, below row zero; not at {self.agent} of {self.size}")
        for name in ("coloured", "stateful", "empty", "unlisted"):
            if unknown := set(getattr(self, name)) - set(self.objects):
                raise ValueError(f"{name!r} names {unknown}, which 'objects' has no words for")
        for name, objects in (("colours", self.coloured), ("states", self.stateful)):
            if objects and not getattr(self, name):
                raise ValueError(f"{name!r} holds the words for objects {objects}")
        for value in [*self.objects, *self.colours, *self.states]:
            if not 0 <= value < 256:
                raise ValueError(f"objects, colours and states of a grid are bytes, not {value}")
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Symmetry:
    """What changes together when the world is mirrored.

    Attributes:
        flip: keys whose values change their sign.
        swap: pairs of keys that exchange their values, such as those of two legs.
        swap_actions: pairs of discrete actions that stand for each other.
    """

    flip: list[Key] = Rule(default_factory=list)
    swap: list[tuple[Key, Key]] = Rule(default_factory=list)
    swap_actions: list[tuple[int, int]] = Rule(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Reference:
    """A measured (or published) episode return.

    Attributes:
        mean: mean episode return over seeds.
        std: standard deviation over episodes.
        seeds: seeds it was measured with.
        episodes: episodes per seed.
        source: the command or publication it comes from.
    """

    mean: float
    std: float | None = None
    seeds: list[int] = Rule(default_factory=list)
    episodes: int | None = None
    source: str


def _a_wrapper(path: str) -> str:
    if not re.fullmatch(r"(gymnasium|minigrid)\.wrappers\.[A-Za-z0-9_]+", path):
        raise ValueError(
            "a policy wrapper is a class of gymnasium.wrappers or minigrid.wrappers, such as "
            "'gymnasium.wrappers.FlattenObservation'"
        )
    return path


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LeftOut:
    """What no text of the environment shows: an element's path, that of a leaf with all its elements, or
    ``first..last``.

    Attributes:
        observation: of the observation.
        action: of the action.
    """

    observation: list[str] = Rule(default_factory=list)
    action: list[str] = Rule(default_factory=list)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvCard:
    """What an environment's numbers mean.

    Attributes:
        id: the environment ids it is for, with shell-style wildcards; the longest matching id wins.
        extends: file name of a card, in the same folder or else of rmgym's own; its keys count where this one has none.
        task: one sentence about what is to be done, by language; it never gives the true reward away.
        version: number of the card's edition.
        source: where names, units and signs come from.
        observation: values of the observation.
        derived: values computed from ``observation``, earlier ones of ``derived``, and ``facts``.
        grid: views of a grid world in the observation.
        action: values of the action.
        left_out: elements of the spaces that are none of these. A card fits a space every element of which it names or
            leaves out.
        history: steps before each whose observation and action its text shows too, cut at the episode's beginning; for
            tasks where one observation does not tell the state.
        facts: public attributes of the environment that texts and expressions may use, by key.
        symmetries: mirror images of the task.
        policy_wrappers: class paths of observation wrappers that an agent's network needs, innermost first, from
            ``gymnasium.wrappers`` or ``minigrid.wrappers``; the text is made from the raw observation.
        horizon: steps after which an episode is truncated.
        threshold: mean true return from which the task counts as solved.
        reference: measured returns of a random policy and of an agent trained on the true reward.
        text: layout of a step's text, by language (see :mod:`rmgym.text.language`).
        file: where the card was read from.
    """

    id: str
    extends: str = ""
    task: Words
    version: Annotated[int, Rule(ge=1)] = 1
    source: str = ""
    observation: Annotated[list[Field], AfterValidator(_places)] = Rule(default_factory=list)
    derived: Annotated[list[Field], AfterValidator(_expressions)] = Rule(default_factory=list)
    grid: list[Grid] = Rule(default_factory=list)
    action: Annotated[list[Field], AfterValidator(_places)] = Rule(default_factory=list)
    left_out: LeftOut = Rule(default_factory=LeftOut)
    history: Annotated[int, Rule(ge=0, le=16)] = 0
    facts: dict[Key, str] = Rule(default_factory=dict)
    symmetries: list[Symmetry] = Rule(default_factory=list)
    policy_wrappers: list[Annotated[str, AfterValidator(_a_wrapper)]] = Rule(default_factory=list)
    horizon: Annotated[int, Rule(ge=1)] | None = None
    threshold: float | None = None
    reference: dict[Literal["random", "agent"], Reference] = Rule(default_factory=dict)
    text: dict[str, str] = Rule(default_factory=dict)
    file: str = ""

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        """A key names one thing, and a symmetry speaks of keys that are there."""
        state = [*(f.key for f in [*self.observation, *self.derived]), *(g.key for g in self.grid), *self.facts]
        for keys in (state, [f.key for f in self.action]):
            if twice := sorted(key for key, count in Counter(keys).items() if count > 1):
                raise ValueError(f"the key {twice[0]!r} is used twice; rename one of its fields")
        keys_of_card = {*state, *(f.key for f in self.action)}
        for symmetry in self.symmetries:
            named = [("flips", key) for key in symmetry.flip]
            named += [("swaps", key) for pair in symmetry.swap for key in pair]
            for does, key in named:
                if key not in keys_of_card:
                    raise ValueError(
                        f"the symmetry {does} {key!r}, which is no key of this card; {nearest(key, keys_of_card)}"
                    )
        return self

    def matches(self, env_id: str) -> bool:
        """Whether this card's ``id`` pattern (shell-style wildcards) covers an environment id."""
        return fits(self.id, env_id)

    @property
    def hash(self) -> str:
        """SHA-256 (16 hex digits) of everything that shapes the text; measured returns do not count."""
        content = asdict(self)
        unsaid = ("extends", "source", "left_out", "symmetries", "policy_wrappers", "horizon", "threshold", "reference")
        for name in (*unsaid, "file"):
            del content[name]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]
