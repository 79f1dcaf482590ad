"""Options that commands share: every command that takes an environment takes it the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from rmgym.cli.completion import environment_ids
from rmgym.cli.output import parse_json_option
from rmgym.errors import RmgymError
from rmgym.storage.foreign import parse_json

if TYPE_CHECKING:
    pass

Command = Callable[..., None]


def takes_environment(command: Command) -> Command:
    """Give a command the argument ``ENV`` and the options of an environment; it gets them as one ``env: EnvSpec``.

    Where the command's own ``env`` may be None, so may the argument.
    """
    own, shared = dict(signature(command).parameters), dict(signature(_environment).parameters)
    hints = {**get_type_hints(_environment, include_extras=True), **_hints(command)}
    if own["env"].default is None:
        about = "An environment id, or a pattern such as 'MiniGrid*'; without one, all cards are listed."
        hints["env"] = Annotated[str | None, typer.Argument(help=about, autocompletion=environment_ids)]
        shared["env"] = shared["env"].replace(default=None)

    @wraps(command)
    def run(**given: Any) -> None:
        options = {name: given.pop(name) for name in shared}
        command(env=None if options["env"] is None else _environment(**options), **given)

    parameters = [*{**own, **shared}.values()]  # ENV where the command has it, the options after its own
    run.__signature__ = Signature(  # type: ignore[attr-defined]
        [p.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in parameters]
    )
    run.__annotations__ = {p.name: hints[p.name] for p in parameters}
    return run


def _environment(
    env: Annotated[str, typer.Argument(help="Environment id, such as Pendulum-v1.", autocompletion=environment_ids)],
    env_kwargs: Annotated[str | None, typer.Option(help="Arguments of the environment, a JSON object.")] = None,
    fixed_horizon: Annotated[
        int | None, typer.Option(help="Let every episode last so many steps; after its end nothing happens any more.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Environment card to use instead of the installed one.")] = None,
    language: Annotated[str, typer.Option(help="Language of the texts: en, zh.")] = "en",
) -> object:
    """The environment that these options describe."""
    from rmgym.specs import EnvSpec

    return EnvSpec(
        id=env,
        kwargs=parse_json_option("--env-kwargs", env_kwargs),
        horizon=fixed_horizon,
        card=None if card is None else os.path.realpath(card),  # which a link to itself does not fail
        language=language,
    )


def key_values(option: str, pairs: Sequence[str], error: type[RmgymError]) -> dict[str, Any]:
    """Values by name of an option that is given as ``key=value``, again and again; JSON where it can be, else text.

    Raises:
        RmgymError: (of kind ``error``) one is something else.
    """
    values = dict[str, Any]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise error(f"{option} is key=value", got=pair, fix=f"write {option} key=value")
        try:
            values[key] = parse_json(value)
        except ValueError:
            values[key] = value
    return values


def _hints(command: Command) -> dict[str, Any]:
    """Annotations of a command's own options; that of ``env`` is not imported before it is needed."""
    hints = get_type_hints(command, include_extras=True, localns={"EnvSpec": Any})
    return {name: hint for name, hint in hints.items() if name not in ("env", "return")}
