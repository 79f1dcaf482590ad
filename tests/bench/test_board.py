"""The board says how far cells are, whatever lies in their folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmgym.bench.board import Board
from rmgym.bench.grid import plan
from rmgym.bench.stages import STAGE
from rmgym.bench.suite import load_suite
from tests.hostile import ESCAPE, IN_THE_WAY, put_in_the_way

SUITE = """
name = "s"
environments = ["CartPole-v1"]
algorithms = ["ppo"]
seeds = [0]
[[reward]]
name = "learned"
model = "no-lm"
"""


@pytest.mark.parametrize("content", [b"fit", None, b"\xff", b"other", ESCAPE.encode(), *IN_THE_WAY])
def test_a_stage_is_one_of_ours_or_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | str | None,
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    model = next(task for task in plan(load_suite(tmp_path / "suite.toml"), tmp_path) if task.kind == "model")
    model.folder.mkdir(parents=True)
    if isinstance(content, str):
        put_in_the_way(model.folder / STAGE, content)
    elif content is not None:
        (model.folder / STAGE).write_bytes(content)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Board([model], shown=True) as board:
        board.started(model)
        board.look()
        (row,) = [task for task in board._bars.tasks if "fit learned" in task.description]
    assert re.fullmatch(r"(\w+), \d+ s", row.fields["state"])[1] == ("fit" if content == b"fit" else "starting")  # type: ignore[index]
