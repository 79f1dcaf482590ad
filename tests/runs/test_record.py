import json
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import RunError, StorageError
from rmgym.evaluation.log import ComparisonLog
from rmgym.runs.record import AboutReward, Round, read_run, read_runs
from tests.bench.folders import write_run
from tests.hostile import DEEP_ENOUGH, DEEP_JSON, damaged, harmless, put_in_the_way

RECORDS = (None, -1, 10**30, "x", [], {}, [[0]], {"__array__": [1], "dtype": "S999999999"}, {"__tuple__": 5})


def test_reads_what_was_written(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", env="FrozenLake-v1", env_kwargs={"map_name": "8x8"}, seed=3))
    assert (run.task, run.algo, run.reward, run.seed, run.status) == (
        "FrozenLake-v1 (map_name=8x8)",
        "ppo",
        "learned",
        3,
        "done",
    )
    np.testing.assert_array_equal(run.curve["true_return_mean"], [-1000, -500, -200])
    np.testing.assert_array_equal(run.steps["learned_reward"], [3, 2, 1])
    assert (run.last("true_return_mean"), run.labels, run.wall_seconds) == (-200, 100, 6)
    assert run.kind == "learned"
    assert run.random is not None
    assert (run.random.returns, run.random.action_seed) == ((-1210, -1190), 3)


def test_a_run_that_is_not_done_is_read_up_to_its_last_evaluation(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", status="running"))
    assert (run.status, run.wall_seconds, run.steps_per_second) == ("running", 6, 500)
    np.testing.assert_array_equal(run.curve["steps"], [1000, 2000, 3000])


def test_a_run_without_an_evaluation_has_no_numbers(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", status="running")
    (folder / "comparison.csv").unlink()
    (folder / "steps.csv").unlink()
    run = read_run(folder)
    assert math.isnan(run.last("true_return_mean"))
    assert len(run.curve["steps"]) == len(run.steps["step"]) == 0


def test_unknown_correlations_are_nan(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", spearman=math.nan)
    assert math.isnan(read_run(folder).last("spearman"))


def test_finds_runs_below_folders_once_and_in_order(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        write_run(tmp_path / "deep" / "er" / f"seed{seed}", seed=seed)
    write_run(tmp_path / "deep" / "a", reward="a")
    found = read_runs([tmp_path, tmp_path / "deep", tmp_path / "deep" / "a"])
    assert [(run.reward, run.seed) for run in found] == [("a", 0), ("learned", 0), ("learned", 1), ("learned", 2)]


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_what_is_no_run_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError):
        read_runs([tmp_path])


def test_a_curve_with_other_columns_is_refused_and_not_read_as_empty(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    rows = [line.split(",") for line in (folder / "comparison.csv").read_text().splitlines()]
    place = rows[0].index("round")
    (folder / "comparison.csv").write_text("\n".join(",".join(row[:place] + row[place + 1 :]) for row in rows))
    with pytest.raises(RunError, match=r"(?s)comparison\.csv: no column round"):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "reward.json"])
def test_a_record_that_somebody_else_wrote_is_read_or_refused(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "a")
    AboutReward(rounds=(Round(number=0, steps=0, asked={}, labels=1, pending=0, agreement=None, seconds=1.0),)).write(
        folder
    )
    for what, content in damaged(json.loads((folder / name).read_text()), RECORDS):
        (folder / name).write_text(json.dumps(content))
        with harmless(what):
            run = read_run(folder)
            assert run.task
            assert run.recipe
    for text in (DEEP_JSON, DEEP_ENOUGH, "5", "\0"):
        (folder / name).write_text(text)
        with pytest.raises(RunError, match=name):
            read_run(folder)
    put_in_the_way(folder / name, "fifo")
    with pytest.raises(RunError, match=name):
        read_run(folder)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"steps,wall_seconds\n1,2\n", b'"' + b"x" * 200_000])
@pytest.mark.parametrize("name", ["comparison.csv", "steps.csv"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_run(tmp_path / "a")
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        read_run(folder)


@pytest.mark.parametrize("line", ["4000,8.0,10,-1", "x" * 200_000 + "\n"])
def test_a_line_that_is_not_whole_is_refused(tmp_path: Path, line: str) -> None:
    folder = write_run(tmp_path / "a")
    with (folder / "comparison.csv").open("a") as file:
        file.write(line)
    with pytest.raises(RunError, match=r"comparison\.csv"):
        read_run(folder)


@pytest.mark.parametrize("name", ["comparison.csv", "steps.csv"])
def test_no_flipped_bit_of_a_table_is_read_as_another_number(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "a")
    whole, content = ComparisonLog(folder), (folder / name).read_bytes()
    curve, steps = whole.curve(), whole.steps()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(flipped)
        with suppress(StorageError):
            read = ComparisonLog(folder)
            for before, now in ((curve, read.curve()), (steps, read.steps())):
                for column in before:
                    np.testing.assert_array_equal(before[column], now[column], err_msg=f"bit {bit}")
