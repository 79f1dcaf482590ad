"""Foreign text in the terminal is text: it moves no cursor, sets no colour and is no markup."""

from __future__ import annotations

import io
import logging
import warnings

import pytest
from rich.console import Console as RichConsole
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from rmgym.cli.remarks import VisibleFormatter, visible_warning
from rmgym.progress import Console, Words, progress_bar, visible
from tests.hostile import ESCAPE


def written(*things: object) -> str:
    console = Console()
    console.file = io.StringIO()
    for thing in things:
        console.print(thing)
    text = console.file.getvalue()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("text", [ESCAPE, "\x9b31m", "\r\b\x7f", "\u202eevil", "\ud800"])
def test_control_characters_are_written_out(text: str) -> None:
    table = Table(text)
    table.add_row(Text(text))
    for shown in (visible(text), written(text), written(Text(text)), written(table)):
        assert all(character.isprintable() or character in "\n " for character in shown)
    assert visible(ESCAPE).startswith("\\x1b]0;owned\\x07")
    assert "\\x1b" in written(ESCAPE)


def test_other_text_is_left_as_it_is() -> None:
    text = "状态: 80 °C\t½ — é\n[red]brackets[/] [/]"
    assert visible(text) == text
    assert "[red]brackets[/] [/]" in written(text)


def test_styles_of_our_own_are_still_there() -> None:
    console = Console()
    console.file, console._force_terminal = io.StringIO(), True
    console._color_system = RichConsole(color_system="standard", force_terminal=True)._color_system
    console.print(Text("good", style="green"), Text("\x1b[31m"))
    assert console.file.getvalue() == "\x1b[32mgood\x1b[0m \\x1b[31m\n"


def test_the_name_of_a_progress_bar_is_text() -> None:
    console = Console()
    console.file = io.StringIO()
    with Progress(Words("{task.description}"), console=console) as bar:
        bar.add_task(f"fit {ESCAPE}[/red]")
    assert "fit \\x1b]0;owned\\x07\\x1b[2J\\x1b[31m[/red]" in console.file.getvalue().replace("\n", "")
    assert isinstance(progress_bar(shown=False).console, Console)


def test_warnings_and_log_lines_are_text() -> None:
    assert "\x1b" not in visible_warning(UserWarning(ESCAPE), UserWarning, "a.py", 1, "")
    record = logging.LogRecord("rmgym", logging.WARNING, "a.py", 1, "of %s", (ESCAPE,), None)
    assert VisibleFormatter().format(record) == f"of {visible(ESCAPE)}"
    assert warnings.formatwarning(UserWarning("plain"), UserWarning, "a.py", 1, "").endswith("UserWarning: plain\n")
