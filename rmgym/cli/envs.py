"""``rmgym envs``: what environments have a card, and what a step of one says."""

from __future__ import annotations

from contextlib import closing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from rmgym.cards import EnvCard, env_cards
from rmgym.cli.options import takes_environment
from rmgym.cli.output import AsJson, out, print_json, table
from rmgym.errors import CardError

if TYPE_CHECKING:
    from rmgym.specs import EnvSpec


class _CardFacts(TypedDict):
    """What is listed of a card."""

    id: str
    task: str
    horizon: int | None
    threshold: float | None
    random_return: float | None
    card: str | None
    hash: str
    languages: list[str]


class _EnvFacts(_CardFacts):
    """What is shown of one environment."""

    env: str
    card_hash: str
    observation_space: str
    action_space: str
    text: str


@takes_environment
def envs(
    env: EnvSpec | None = None,
    check: Annotated[
        bool, typer.Option("--check", help="Try it: words, random steps, Gymnasium's check_env, a short training.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List environment cards, or show one environment and the text of a real step, or (--check) try all of it.

    ENV may be a pattern, such as 'MiniGrid*', to list the cards that match it. An environment without a card works too:
    its text is made from its spaces.
    """
    if env is None or any(wildcard in env.id for wildcard in "*?["):
        _list("*" if env is None else env.id, as_json)
    elif check:
        _check(env, as_json)
    else:
        _show(_describe(env), as_json)


def _list(pattern: str, as_json: bool) -> None:
    """List the cards whose id matches a pattern, a line for each.

    Raises:
        CardError: there is none.
    """
    cards = [card for card in env_cards() if fnmatchcase(card.id.lower(), pattern.lower())]
    if not cards:
        raise CardError("a pattern matches ids of cards", got=pattern, fix="see them all: rmgym envs")
    if as_json:
        print_json([_facts(card) for card in cards])
        return
    headers = ("id", "horizon", "random", "task")
    rows = [(c.id, _number(c.horizon), _number(_random(c)), c.task["en"]) for c in cards]
    out.print(table(headers, rows, right=headers[1:3], cut=headers[3:]))
    out.print(
        f"\n{len(cards)} cards; random is a random policy's return. One in full: rmgym envs ID\n"
        "Fewer: rmgym envs 'MiniGrid*'",
        markup=False,
    )


def _check(env: EnvSpec, as_json: bool) -> None:
    """Try an environment; the exit code is 1 where it does not pass."""
    from dataclasses import asdict

    from rmgym.runs.check import check_environment

    came = check_environment(env)
    if as_json:
        print_json(asdict(came))
    else:
        rows = [
            ("status", came.status if came.status == "passed" else f"{came.status}, at {came.stage}"),
            ("reason", came.reason or "-"),
            ("card", came.card or "none: the text is made from the spaces"),
            ("observation", came.observation or "-"),
            ("action", came.action or "-"),
            ("trained", came.algorithm or "-"),
            ("texts", "-" if came.texts is None else str(came.texts)),
            ("warnings", "\n".join(came.warnings) or "-"),
        ]
        out.print(table((env.id, ""), rows))
    if came.status != "passed":
        raise typer.Exit(1)


def _describe(spec: EnvSpec) -> _EnvFacts:
    """Facts about one environment, and the text of its first step under a random action."""
    from rmgym.cards import find_env_card
    from rmgym.environments.build import build_env
    from rmgym.text import textualizer

    with closing(build_env(spec)) as env:
        say = textualizer(env, card=spec.card, language=spec.language)
        env.action_space.seed(0)
        obs, _ = env.reset(seed=0)
        action = env.action_space.sample()
        next_obs, _, terminated, truncated, _ = env.step(action)
        text = say.describe(obs, action, next_obs, bool(terminated), bool(truncated))
        installed = find_env_card(spec.id, spec.card)
        return {
            **_facts(say.card),
            "env": spec.id,
            "card": installed.file if installed else None,
            "card_hash": say.card_hash,
            "observation_space": str(env.observation_space),
            "action_space": str(env.action_space),
            "text": text,
        }


def _show(facts: _EnvFacts, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    rows = [
        ("task", str(facts["task"])),
        ("card", facts["card"] or "none: the text is made from the spaces"),
        ("observation", facts["observation_space"]),
        ("action", facts["action_space"]),
        ("horizon", _number(facts["horizon"])),
        ("threshold", _number(facts["threshold"])),
        ("random policy", _number(facts["random_return"])),
        ("a step says", facts["text"]),
    ]
    out.print(table((facts["env"], ""), rows))


def _facts(card: EnvCard) -> _CardFacts:
    return {
        "id": card.id,
        "task": card.task["en"],
        "horizon": card.horizon,
        "threshold": card.threshold,
        "random_return": _random(card),
        "card": card.file,
        "hash": card.hash,
        "languages": sorted(card.task),
    }


def _random(card: EnvCard) -> float | None:
    reference = card.reference.get("random")
    return reference.mean if reference else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if abs(value) < 1 else f"{value:.4g}"
