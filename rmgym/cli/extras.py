"""Packages that not every installation has."""

from __future__ import annotations

from importlib import import_module

from rmgym.errors import ServeError


def require(extra: str, *modules: str) -> None:
    """Import what an extra installs.

    Raises:
        ServeError: it is not installed.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise ServeError(
                f"this needs packages of the extra {extra!r}", got=str(error), fix=f"pip install 'rmgym[{extra}]'"
            ) from error
