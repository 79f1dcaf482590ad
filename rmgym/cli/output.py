"""How commands speak: results to stdout, progress to stderr, JSON on request."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich.table import Table

from rmgym.progress import Console, visible

AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable results to stdout.")]
"""The option ``--json`` of every command."""
AllowRemote = Annotated[
    bool, typer.Option("--allow-remote", help="Take a folder too whose model sends texts to a server that it names.")
]
"""The option ``--allow-remote`` of commands that take a reward model's folder."""

out = Console()
"""Results."""
err = Console(stderr=True)
"""Progress and remarks."""


def print_json(content: object) -> None:
    """Print JSON to stdout; NaN and infinities, which JSON lacks, become null."""
    typer.echo(json_text(_finite(content), indent=2))


def json_text(content: object, *, indent: int | None = None) -> str:
    """JSON in which each control character is written out as JSON does, also those that it may leave."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, default=str)
    return "".join(c if c == visible(c) else json.dumps(c)[1:-1] for c in text)


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), cut: Sequence[str] = ()
) -> Table:
    """A plain table; the columns named in ``right`` are aligned to the right. Cells are text, never markup.

    The first column, which says what a row is about, is never broken into lines; nor are the columns named in ``cut``,
    which end where the screen does.
    """
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), expand=bool(cut))
    for i, header in enumerate(headers):
        numeric = header in right
        grid.add_column(
            header,
            justify="right" if numeric else "left",
            overflow="ellipsis" if header in cut else "fold",
            no_wrap=numeric or i == 0 or header in cut,
            ratio=1 if header in cut else None,  # what the others leave of the line
        )
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    return grid


def parse_json_option(name: str, value: str | None) -> dict[str, object]:
    """Read an option that is a JSON object, such as ``--env-kwargs '{"map_name": "8x8"}'``.

    Raises:
        RunError: it is not a JSON object.
    """
    from rmgym.errors import RunError
    from rmgym.storage.foreign import parse_json

    if not value:
        return {}
    try:
        content = parse_json(value)
    except ValueError as error:
        raise RunError(
            f"{name} is a JSON object", got=f"{value[:100]}: {error}", fix=f"quote it: {name} '{{\"key\": 1}}'"
        ) from error
    if not isinstance(content, dict):
        raise RunError(f"{name} is a JSON object", got=value, fix=f"quote it: {name} '{{\"key\": 1}}'")
    return content


def _finite(content: object) -> object:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content


def both_returns(final: Mapping[str, float]) -> str:
    """What an agent earned at its last evaluation, a row of ``comparison.csv``, in words."""
    true, learned = (
        f"{final[f'{of}_return_mean']:.4g} ± {final[f'{of}_return_std']:.3g}" for of in ("true", "learned")
    )
    own = f"measure {final['measure_mean']:.4g} ± {final['measure_std']:.3g}, " if "measure_mean" in final else ""
    own += f"success {final['success_rate']:.0%}, " if "success_rate" in final else ""
    return f"{own}true return {true}, learned return {learned}, Spearman {final['spearman']:.3f}"


def narrate(name: str) -> None:
    """Show what a module logs about its choices, on stderr."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Remarks) for handler in logger.handlers):
        logger.addHandler(_Remarks())


class _Remarks(logging.Handler):
    """A line on stderr for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        err.print(record.getMessage(), markup=False)
