import json
import struct
from pathlib import Path

import plotly.graph_objects as go
import pytest

from rmgym.bench import figures
from rmgym.bench.compare import Match, compare
from rmgym.bench.picture import write_picture
from rmgym.bench.report import render, results
from rmgym.runs.record import read_runs
from tests.bench.folders import write_run


def grid(folder: Path, seeds: int = 2) -> Path:
    for seed in range(seeds):
        write_run(folder / f"l{seed}", seed=seed, true=(-1000, -500, -200 - seed))
        write_run(folder / f"s{seed}", seed=seed, reward="second", true=(-1000, -700, -600))
        write_run(folder / f"t{seed}", seed=seed, reward="true", model="true", labels=0)
        write_run(folder / f"r{seed}", seed=seed, reward="random", model="random", labels=0, true=(-1200, -1200, -1150))
    return folder


@pytest.fixture
def match(tmp_path: Path) -> Match:
    (made,) = compare(read_runs([grid(tmp_path)]))
    return made


def test_plotly_takes_every_figure(match: Match) -> None:
    look = figures.styles([match])
    drawn = [
        figures.curves(match, look, "true_return_mean"),
        figures.curves(match, look, "learned_return_mean"),
        figures.arms(match, look),
        figures.scatter(match.arms[0], look["learned"]),
    ]
    for figure in drawn:
        go.Figure(figure)  # raises on any property it does not know


def test_a_measure_and_success_have_curves_of_every_arm_that_has_them(tmp_path: Path) -> None:
    both = {"measure": "my_room:comfort@0123abcd", "success": (0, 0.5, 1)}
    write_run(tmp_path / "learned", **both)
    write_run(tmp_path / "true", reward="true", model="true", labels=0, **both)
    write_run(tmp_path / "random", reward="random", model="random", labels=0)
    runs = read_runs([tmp_path])
    (match,) = compare(runs)
    look = figures.styles([match])
    for column, values in (("measure_mean", [5, 6, 7]), ("success_rate", [0, 0.5, 1])):
        figure = figures.curves(match, look, column)
        go.Figure(figure)
        assert [(trace["name"], trace["y"]) for trace in figure["data"]] == [("learned", values), ("true", values)]
    page = render(runs, title="t")
    assert 'id="measure-0"' in page
    assert 'id="success-0"' in page
    assert "comfort: your own measure" in page
    plain = render(read_runs([tmp_path / "random"]), title="t")
    assert "your own measure" not in plain


def test_curves_show_each_seed_faint_and_the_mean_bold(match: Match) -> None:
    traces = figures.curves(match, figures.styles([match]), "true_return_mean")["data"]
    assert [(t["name"], t["line"]["width"]) for t in traces] == [
        (name, width) for name in ("learned", "second", "true", "random") for width in (1, 1, 3)
    ]
    assert traces[2]["y"] == [-1000, -500, -200.5]


def test_learned_returns_are_drawn_for_learned_rewards_only(match: Match) -> None:
    traces = figures.curves(match, figures.styles([match]), "learned_return_mean")["data"]
    assert {t["name"] for t in traces} == {"learned", "second"}


def test_a_reward_keeps_its_colour_whatever_else_is_in_the_report(tmp_path: Path, match: Match) -> None:
    write_run(tmp_path / "other", env="CartPole-v1", reward="learned")
    both = figures.styles([match, *compare(read_runs([tmp_path / "other"]))])
    assert both == figures.styles([match])
    assert len({style.colour for style in both.values()}) == len(both) == 4


def test_a_constant_prediction_of_a_constant_reward_is_not_drawn(tmp_path: Path) -> None:
    write_run(tmp_path / "a", points=[(1.0, 1.0)] * 5)
    (made,) = compare(read_runs([tmp_path]))
    assert figures.scatter(made.arms[0], figures.styles([made])["learned"]) is None


def test_the_page_is_one_file_and_shows_what_still_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="running")
    write_run(tmp_path / "b", reward="not-begun", status="running", steps=(), true=(), learned=())
    page = render(read_runs([tmp_path]), title="t")
    before_scripts = page.partition("<script")[0]
    assert "2 running" in before_scripts
    assert "not-begun has not been evaluated yet" in before_scripts
    for fetched in ("<script src", '<link rel="stylesheet', "@import", "url(http"):
        assert fetched not in before_scripts
    assert page.count("<script src") == 0


def test_results_are_json_without_nan(tmp_path: Path) -> None:
    write_run(tmp_path / "a", spearman=float("nan"), env="Own-v0")
    said = results(read_runs([tmp_path]), name="n")
    text = json.dumps(said, allow_nan=False)
    (match,) = json.loads(text)["matches"]
    assert match["arms"][0]["spearman"]["value"] is None
    assert match["arms"][0]["true_return"] == {"value": -200, "low": None, "high": None, "seeds": 1, "undefined": 0}
    assert match["verdict"]["mark"] == "open"


def test_the_picture_has_a_row_per_match(tmp_path: Path) -> None:
    grid(tmp_path / "runs")
    write_run(tmp_path / "runs" / "other", env="CartPole-v1")
    runs = read_runs([tmp_path / "runs"])

    def size(count: int) -> tuple[int, int]:
        chosen = [run for run in runs if count == 2 or run.task == "Pendulum-v1"]
        content = write_picture(chosen, tmp_path / f"{count}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        return width, height

    assert size(1) == (1500, 540)
    assert size(2) == (1500, 1080)
