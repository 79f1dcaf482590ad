"""``rmgym envs``: what environments have a card, and what a step of one says."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from rmgym.cards import EnvCard, env_cards
from rmgym.cli.output import AsJson, out, parse_json_option, print_json, table

Kwargs = Annotated[str | None, typer.Option("--env-kwargs", help="Arguments of the environment, a JSON object.")]


def envs(
    env: Annotated[str | None, typer.Argument(help="An environment id; without one, all cards are listed.")] = None,
    env_kwargs: Kwargs = None,
    language: Annotated[str, typer.Option(help="Language of the text: en, zh.")] = "en",
    card: Annotated[str | None, typer.Option(help="An environment card of your own (.toml).")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Try it: words, random steps, Gymnasium's check_env, a short training.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List environment cards, or show one environment and the text of a real step, or (--check) try all of it.

    An environment without a card works too: its text is made from its spaces.
    """
    kwargs = parse_json_option("--env-kwargs", env_kwargs)
    if env is not None and check:
        _check(env, kwargs, card, as_json)
    elif env is not None:
        _show(_describe(env, kwargs, language, card), as_json)
    elif as_json:
        print_json([_facts(card) for card in env_cards()])
    else:
        rows = [
            (c.id, c.task["en"], _number(c.horizon), _number(c.threshold), _number(_random(c))) for c in env_cards()
        ]
        headers = ("id", "task", "horizon", "threshold", "random return")
        out.print(table(headers, rows, right=headers[2:]))


def _check(env_id: str, kwargs: dict[str, Any], card: str | None, as_json: bool) -> None:
    """Try an environment; the exit code is 1 where it does not pass."""
    from dataclasses import asdict

    from rmgym.harness.check import check_environment

    came = check_environment(env_id, env_kwargs=kwargs, card=card)
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
            ("warnings", "\n".join(came.warnings) or "-"),
        ]
        out.print(table((env_id, ""), rows))
    if came.status != "passed":
        raise typer.Exit(1)


def _describe(env_id: str, kwargs: dict[str, Any], language: str, card: str | None) -> dict[str, Any]:
    """Facts about one environment, and the text of its first step under a random action."""
    from rmgym.cards import find_env_card
    from rmgym.harness.collect import make_env
    from rmgym.text import textualizer

    with closing(make_env(env_id, kwargs)) as made:
        say = textualizer(made, card=card, language=language)
        made.action_space.seed(0)
        obs, _ = made.reset(seed=0)
        action = made.action_space.sample()
        next_obs, _, terminated, truncated, _ = made.step(action)
        text = say.describe(obs, action, next_obs, bool(terminated), bool(truncated))
        found = find_env_card(env_id, card)
        return {
            **_facts(say.card),
            "env": env_id,
            "card": found.file if found else None,
            "card_hash": say.card_hash,
            "observation_space": str(made.observation_space),
            "action_space": str(made.action_space),
            "text": text,
        }


def _show(facts: dict[str, Any], as_json: bool) -> None:
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


def _facts(card: EnvCard) -> dict[str, Any]:
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
