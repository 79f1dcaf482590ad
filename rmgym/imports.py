"""What a user names as ``module:name``, imported, or refused in words."""

from __future__ import annotations

import pkgutil
import sys
import traceback
from importlib import import_module
from pathlib import Path

from rmgym.errors import RmgymError, nearest


def imported(name: str, error: type[RmgymError]) -> object:
    """What stands in a module by a name.

    Args:
        name: ``module:name``, such as ``my_rewards:comfort``.
        error: what is raised.

    Raises:
        RmgymError: (of kind ``error``) it is named otherwise, there is no such module or name, or importing the module
            fails.

    Example:
        >>> imported("math:pi", RmgymError)
        3.141592653589793
    """
    module_name, colon, attribute = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise error("what is your own is named module:name", got=name, fix="write my_module:my_function")
    value: object = _module(module_name, error)
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [each for each in vars(value) if not each.startswith("_")] if hasattr(value, "__dict__") else []
            raise error(f"{module_name} has the name that is asked for", got=attribute, fix=nearest(part, names))
        value = getattr(value, part)
    return value


def _module(name: str, error: type[RmgymError]) -> object:
    """A module, which may be of the user and anything but ready."""
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise _failed(name, missing, error) from missing
        here = [each.name for each in pkgutil.iter_modules([str(Path.cwd())])]
        close = nearest(name, here)
        fix = close if close.startswith("did you mean") else f"call it in the folder of {name.replace('.', '/')}.py"
        raise error("a module can be imported: it is installed, or in the current folder", got=name, fix=fix) from None
    except (Exception, SystemExit) as other:  # whatever a module does while it is imported
        raise _failed(name, other, error) from other


def _failed(name: str, cause: BaseException, error: type[RmgymError]) -> RmgymError:
    return error(
        "a module can be imported",
        got=f"{name}: {in_short(cause)}",
        fix=f"correct it: {Path(sys.executable).name} -c 'import {name}' shows where it fails",
    )


def in_short(error: BaseException) -> str:
    """An error of somebody else's code on one line: what and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def needed(package: str, extra: str, error: type[RmgymError]) -> None:
    """See that a package is there which not every installation has.

    Args:
        package: as it is imported.
        extra: of rmgym, which installs it.
        error: what is raised.

    Raises:
        RmgymError: (of kind ``error``) it cannot be imported.
    """
    try:
        import_module(package)
    except ImportError as missing:
        raise error(
            f"this needs the package {package!r}", got=str(missing), fix=f"pip install 'rmgym[{extra}]'"
        ) from missing
