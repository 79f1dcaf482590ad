"""Rounds of a loop, in words."""

import re
from dataclasses import replace
from pathlib import Path

from rmgym.bench.asked import HEADERS, cells
from rmgym.bench.report import render
from rmgym.runs.record import AboutReward, Round, read_run
from tests.bench.folders import write_run

ROUNDS = (
    Round(number=0, steps=0, asked={"coverage": 30}, labels=30, pending=0, agreement=None, seconds=4.0),
    Round(
        number=2, steps=6_144, asked={"uniform": 4, "largest": 2}, labels=35, pending=1, agreement=0.9876, seconds=5.0
    ),
    Round(number=3, steps=10_240, asked={}, labels=35, pending=1, agreement=1.0, seconds=0.5),
)


def test_each_round_has_the_last_returns_under_its_own_model() -> None:
    rows = [
        {"round": 0, "true_return_mean": -1200.0, "learned_return_mean": 5.0},
        {"round": 0, "true_return_mean": -1100.0, "learned_return_mean": 7.0},
        {"round": 3, "true_return_mean": -150.0, "learned_return_mean": 2000.0},
    ]
    assert cells(ROUNDS, rows) == [
        ["0", "0", "30", "–", "-1,100", "7.00", "30 coverage"],
        ["2", "6,144", "35", "0.988", "–", "–", "4 uniform, 2 largest"],
        ["3", "10,240", "35", "1.000", "-150", "2,000", "nothing"],
    ]


def test_standard_deviations_in_a_reward_stand_beside_its_round() -> None:
    rounds = [replace(ROUNDS[0], kappa=-0.5), replace(ROUNDS[2], kappa=0.0)]
    assert [row[0] for row in cells(rounds, [])] == ["0, κ -0.5", "3"]


def test_the_report_of_a_loop_says_what_was_asked(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "loop", reward="asked <b>", seed=3)
    without = render([read_run(folder)], title="Loop")
    AboutReward(rounds=ROUNDS, seconds=9.5).write(folder)
    run = read_run(folder)
    assert run.about.rounds == ROUNDS
    page = render([run], title="Loop")
    assert "what was asked" not in without
    section = page[page.index("asked &lt;b&gt;, seed 3: what was asked, round by round") :]
    assert all(f"<th>{header}</th>" in section for header in HEADERS)
    assert re.search(r"<td>2</td><td>6,144</td><td>35</td><td>0.988</td>.*<td>4 uniform, 2 largest</td>", section)
