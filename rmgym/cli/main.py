"""The command ``rmgym``: a table of commands, each imported only when it is called.

``rmgym --help`` therefore answers at once: the libraries that take seconds to import (torch, transformers,
Stable-Baselines3) are behind the commands that need them.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

from rmgym.cli.flags import Flags, flags_of, in_words_of
from rmgym.errors import RmgymError


class Entry(NamedTuple):
    """A command: function ``name`` of module ``rmgym.cli.<name>``.

    Attributes:
        about: its line in ``rmgym --help``.
        resume: what to do after Ctrl-C.
    """

    about: str
    resume: str = ""


_SAME = "run the same command again; what is finished is kept"

COMMANDS: dict[str, Entry] = {
    "demo": Entry("The whole road, from labels to a verdict, in minutes.", _SAME),
    "envs": Entry("What environments have a card; what a step of one says."),
    "agents": Entry("What algorithms have a card."),
    "models": Entry("What reward models are built in; what a fitted one is."),
    "audit": Entry("Does the text of a step keep what a reward needs?"),
    "collect": Entry("Collect real steps of an environment."),
    "label": Entry("Have steps rated or compared, by a script, a function of yours, a table, or you.", _SAME),
    "judge": Entry("Measure a language model as a judge of steps; make a reward model of a good one.", _SAME),
    "ui": Entry("Label on a page in the browser, alone or with others.", _SAME),
    "fit": Entry("Fit a reward model on labels.", "run the same command with --resume"),
    "export": Entry("Write labels as tables for other programs: Parquet, datasets, TRL."),
    "check": Entry("Look at a reward model before any agent learns from it: a light, and reasons."),
    "distil": Entry("Teach a fast model what a slow one says.", _SAME),
    "train": Entry("Train an agent on a reward model; watch learned and true return.", "add --resume to the command"),
    "loop": Entry(
        "Train an agent on a reward learned on the way, from questions about what it does.",
        "add --resume to the command",
    ),
    "serve": Entry("Serve a reward model over HTTP, so that many workers share it."),
    "bench": Entry("Run a suite: environments x algorithms x rewards x seeds.", _SAME),
    "report": Entry("Compare runs in one HTML page."),
}
"""Every command, in the order of ``--help``."""


_Click: TypeAlias = Any
"""An object of click: of the package, or of the copy that newer versions of typer carry."""


class _Command(TyperCommand):
    """A command whose expected errors are sentences, not tracebacks (``RMGYM_DEBUG=1`` shows those too)."""

    def invoke(self, ctx: _Click) -> object:
        as_json = any("--json" in p.opts and ctx.params.get(p.name) for p in self.params)
        try:
            return super().invoke(ctx)
        except RmgymError as error:
            if os.environ.get("RMGYM_DEBUG") == "1":
                raise
            _explain(error, flags_of(self.params), as_json=as_json)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as interrupt:
            resume = COMMANDS[self.name].resume if self.name in COMMANDS else ""
            typer.echo("\nstopped." + (f" To go on: {resume}." if resume else ""), err=True)
            raise typer.Exit(130) from interrupt


class _Lazy(TyperGroup):
    """The group of commands: lists them from the table, imports one when it is called."""

    def list_commands(self, ctx: _Click) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: _Click, cmd_name: str) -> _Click:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            function = getattr(import_module(f"rmgym.cli.{cmd_name}"), cmd_name)
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name, cls=_Command)(function)
            self.commands[cmd_name] = typer.main.get_command(alone)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: _Click, args: list[str]) -> _Click:
        if args and args[0] not in COMMANDS:
            self._stand_in()  # typer suggests the nearest among these
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: _Click, incomplete: str) -> list[_Click]:
        self._stand_in()
        return super().shell_complete(ctx, incomplete)

    def format_help(self, ctx: _Click, formatter: _Click) -> None:
        self._stand_in()
        super().format_help(ctx, formatter)

    def _stand_in(self) -> None:
        """Names and help lines are all that help, suggestions and completion need; nothing is called afterwards."""
        for name, entry in COMMANDS.items():
            self.commands.setdefault(name, TyperCommand(name, help=entry.about))


def _explain(error: RmgymError, flags: Flags, *, as_json: bool) -> None:
    """Say which rule was broken, what was received and what to do: to stderr, or as JSON to stdout."""
    kind, error = type(error).__name__, in_words_of(error, flags)
    if as_json:
        got = error.got if isinstance(error.got, str) or error.got is None else repr(error.got)
        facts = {"type": kind, "rule": error.rule, "received": got, "fix": error.fix}
        typer.echo(json.dumps({"error": facts}))  # ASCII alone
    else:
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        from rmgym.progress import visible

        typer.echo(visible(str(error)), err=True)


def _version(asked: bool) -> None:
    if asked:
        import rmgym

        typer.echo(rmgym.__version__)
        raise typer.Exit


app = typer.Typer(
    cls=_Lazy,
    name="rmgym",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Language-model rewards for any Gymnasium environment, and a verdict on whether they are any good."""
    del version
    _find_modules_here()
    _show_remarks_as_text()


def _show_remarks_as_text() -> None:
    """Let warnings, and what libraries log, act upon no terminal: names and paths in them may be anybody's."""
    import logging
    import warnings

    from rmgym.cli.remarks import VisibleFormatter, visible_warning

    warnings.formatwarning = visible_warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(VisibleFormatter())


def _find_modules_here() -> None:
    """Let ``my_envs:Room-v0`` find ``my_envs.py`` in the current folder, as ``python -m rmgym`` does.

    Python looks there last, so that no file that happens to lie there takes the place of an installed package; with
    ``PYTHONSAFEPATH`` it does not look there.
    """
    with suppress(FileNotFoundError):  # the folder is gone
        here = str(Path.cwd())
        if not sys.flags.safe_path and not {"", here} & set(sys.path):
            sys.path.append(here)
