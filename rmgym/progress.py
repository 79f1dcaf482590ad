"""What goes to the terminal: progress bars with count, rate and time left, and foreign text that is text alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move a terminal's cursor, colour it, or turn what it shows around, and those that it cannot show."""


def visible(text: str) -> str:
    r"""Text whose control characters are written out, as ``\x1b``; only lines and tabs are left.

    Example:
        >>> visible("\x1b[31mred")
        '\\x1b[31mred'
    """
    return _CONTROL.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


class Console(RichConsole):
    """A console that shows control characters of texts, names and paths, and acts upon none; nor upon markup."""

    def __init__(self, *, stderr: bool = False, highlight: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=highlight, quiet=quiet, markup=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See :class:`rich.console.Console`."""
        for segment in super().render(renderable, options):
            is_harmless = segment.control or not _CONTROL.search(segment.text)
            yield segment if is_harmless else Segment(visible(segment.text), segment.style)


class RateColumn(ProgressColumn):
    """Finished steps per second."""

    def render(self, task: Task) -> Text:
        """Show the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class Words(TextColumn):
    """A field of the task, such as ``{task.description}``: text, never markup."""

    def __init__(self, field: str) -> None:
        super().__init__(field, markup=False)

    def render(self, task: Task) -> Text:
        """Show it; written out here already, so that there is room for it."""
        return Text(visible(self.text_format.format(task=task)))


def progress_bar(*, shown: bool) -> Progress:
    """A bar on stderr with count, rate and time left; silent where ``shown`` is False or nobody watches."""
    columns = (Words("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not (shown and sys.stderr.isatty()), transient=True)
