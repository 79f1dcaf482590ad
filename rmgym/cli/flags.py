"""Errors in the words of the command line: what Python calls ``fixed_horizon=500`` is ``--fixed-horizon 500`` there.

Errors are raised far below the command, by code that knows arguments only. They are translated by the options that the
command has: an argument without an option stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from rmgym.errors import RmgymError

_CALLED = {
    "total_steps": ("steps",),
    "max_steps": ("fit_steps", "steps"),
    "learning_rate": ("lr",),
    "lm_learning_rate": ("lm_lr",),
    "reward_model": ("reward",),
    "kind": ("ask",),
}
"""Arguments that commands call otherwise; of several names the first that a command has."""
_VALUE = r"""('[^']*'|"[^"]*"|[^\s,;()'"]+)?"""
_CALL = re.compile(rf"(?:\b[A-Za-z_.]+\((?=\w+=[^(),]*\)))?\b(?P<name>\w+)=(?P<value>{_VALUE})(?P<end>\))?")


class Flag(NamedTuple):
    """An option: how it is written, and whether it stands alone, without a value."""

    text: str
    alone: bool


Flags: TypeAlias = Mapping[str, Flag]
"""Options of a command by the name of the argument that they set."""


def flags_of(params: Iterable[Any]) -> Flags:
    """The options among the parameters of a command (click's)."""
    flags = dict[str, Flag]()
    for param in params:
        long = next((text for text in param.opts if text.startswith("--")), None)
        if long is not None:
            flag = Flag(long, bool(getattr(param, "is_flag", False)))
            flags[param.name] = flags[long.removeprefix("--").replace("-", "_")] = flag
    for name, others in _CALLED.items():
        options = [flags[other] for other in others if other in flags]
        if name not in flags and options:
            flags[name] = options[0]
    return flags


def in_flags(text: str, flags: Flags) -> str:
    """A sentence about arguments as one about options.

    Example:
        >>> flags = {"fixed_horizon": Flag("--fixed-horizon", False), "resume": Flag("--resume", True)}
        >>> in_flags("pass fixed_horizon=500, or resume=True", flags)
        'pass --fixed-horizon 500, or --resume'
        >>> in_flags("fixed_horizon is at least 1", flags)
        '--fixed-horizon is at least 1'
    """

    def called(match: re.Match[str]) -> str:
        flag, value = flags.get(match["name"]), match["value"].strip("'\"")
        if flag is None:
            off = flags.get(f"no_{match['name']}") if value == "False" else None
            return match[0] if off is None else off.text
        opened, end = match[0].startswith(match["name"]), match["end"] or ""
        given = "" if flag.alone or not value else f" {value}"
        return ("without " if flag.alone and value == "False" else "") + flag.text + given + (end if opened else "")

    text = _CALL.sub(called, text)
    for name, flag in flags.items():
        # Names that are words too ("steps") are meant where a sentence begins with them in the singular.
        text = re.sub(rf"^'?{name}'?(?= is )", flag.text, text)
        if "_" in name:  # but no part of a path, nor what is quoted, such as a folder's name
            text = re.sub(rf"(?<![\w/.'\"-]){name}(?![\w=/'\"-]|\.\w)", flag.text, text)
    return text


def in_words_of(error: RmgymError, flags: Flags) -> RmgymError:
    """The same error, its rule and fix about the options of a command."""
    return RmgymError(in_flags(error.rule, flags), got=error.got, fix=in_flags(error.fix, flags))
