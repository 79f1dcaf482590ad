"""What lies in a loop's folder is read back, or refused by its file's name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from rmgym.errors import RunError
from rmgym.runs.loop_folder import ROUND, LoopFolder
from rmgym.runs.record import Round
from rmgym.storage.atomic import make_folder, write_json
from tests.hostile import DEEP_JSON, damaged, harmless, put_in_the_way

FIRST = Round(number=0, steps=0, asked={"random": 4}, labels=4, pending=0, agreement=None, seconds=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> LoopFolder:
    folder = LoopFolder(tmp_path)
    make_folder(folder.round(0), what="a round of a loop")
    write_json(folder.round(0) / ROUND, asdict(FIRST))
    return folder


def test_a_round_that_somebody_else_wrote_is_read_or_refused(folder: LoopFolder) -> None:
    assert folder.record() == (FIRST,)
    for what, content in damaged(asdict(FIRST)):
        write_json(folder.round(0) / ROUND, content)
        with harmless(what):
            assert len(folder.record()) == 1


def test_what_is_no_round_is_refused_by_its_file(folder: LoopFolder) -> None:
    file = folder.round(0) / ROUND
    for text in (DEEP_JSON, "5", "\0", "{}"):
        file.write_text(text)
        with pytest.raises(RunError, match=ROUND):
            folder.record()
    put_in_the_way(file, "fifo")
    with pytest.raises(RunError, match=ROUND):
        folder.record()


def test_a_loop_without_a_model_is_refused(folder: LoopFolder) -> None:
    with pytest.raises(RunError, match="leaves a model"):
        _ = folder.last_model
