import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rmgym.bench.grid import plan
from rmgym.bench.suite import load_suite
from rmgym.cli.main import app
from rmgym.errors import RmgymError, RunError
from tests.hostile import DEEP_ENOUGH, DEEP_TOML, IN_THE_WAY, put_in_the_way

GOOD = """
name = "small"
environments = ["CartPole-v1", {id = "FrozenLake-v1", kwargs = {map_name = "8x8"}, target = "outcome", steps = 50}]
algorithms = ["ppo", "dqn"]
seeds = [0, 1]
steps = 100

[[reward]]
name = "lm"
model = "minilm"
levels = 10

[[reward]]
name = "lm-shuffled"
model = "shuffled"
of = "lm"

[[reward]]
name = "random"
model = "random"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "suite.toml"
    file.write_text(text)
    return file


def test_reads_ids_and_tables_alike(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD))
    assert [(e.id, e.target, e.steps) for e in suite.environments] == [
        ("CartPole-v1", "reward", None),
        ("FrozenLake-v1", "outcome", 50),
    ]
    assert suite.environments[1].kwargs == {"map_name": "8x8"}
    assert [(r.name, r.is_fitted) for r in suite.reward] == [("lm", True), ("lm-shuffled", True), ("random", False)]
    assert (suite.reward[0].levels, suite.reward[0].ratings, suite.reward[0].select) == (10, 100, "coverage")


def test_the_headline_of_pendulum_is_rated_as_a_person_could() -> None:
    suite = load_suite(Path(__file__).parents[2] / "benchmarks" / "suites" / "pendulum.toml")
    levels = {r.name: r.levels for r in suite.reward if r.is_fitted and r.model != "shuffled"}
    assert levels == {
        **dict.fromkeys(("minilm-100", "no-lm-100", "minilm-50", "no-lm-50", "seq2seq-300"), 10),
        **dict.fromkeys(("minilm-100-exact", "seq2seq-300-exact")),
    }


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("steps = 100\n", "step = 100\n", "did you mean 'steps'?"),
        ("levels = 10", "level = 10", "did you mean 'levels'?"),
        ('target = "outcome"', 'targt = "outcome"', "did you mean 'target'?"),
        ('"ppo", "dqn"', '"ppo", "dqm"', "did you mean 'dqn'?"),
        ('"ppo", "dqn"', '"ppo", "agents/ppo.toml"', "each algorithm occurs once"),
        ('["ppo", "dqn"]', '"ppo"', "should be a valid list (at 'algorithms')"),
        ('model = "minilm"', 'model = "minilmm"', "did you mean 'minilm'?"),
        ('of = "lm"', 'of = "lmm"', "did you mean 'lm'?"),
        ('of = "lm"\n', "", "use one of lm"),
        ('name = "random"', 'name = "lm"', "give each its own 'name'"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "each seed occurs once"),
        ("seeds = [0, 1]", "seeds = []", "at least 1 item"),
        ("levels = 10", "levels = 1", "greater than or equal to 2"),
        ("levels = 10", "ratings = 0", "fitting needs labels"),
        ("levels = 10", 'of = "random"', "'of' is for model = 'shuffled'"),
        ('name = "random"', 'name = "../up"', "String should match pattern"),
        ("steps = 100\n", "steps = \n", "valid TOML"),
        ("levels = 10", "labels = 10", "write ratings = ..."),
        ("levels = 10", "learning_rate = 0.1", "write fit = { learning_rate = ... }"),
        ("levels = 10", 'target = "outcome"', "it stands in 'environments'"),
        ("levels = 10", "episodes = 5", "it stands at the top"),
        ("steps = 100\n", "levels = 10\n", "it stands in 'reward'"),
        ("levels = 10", "options = { head = 3 }", "did you mean 'heads'?"),
        ("levels = 10", "fit = { max_step = 3 }", "did you mean 'max_steps'?"),
    ],
)
def test_a_mistake_is_named_with_its_fix(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert before in GOOD
    with pytest.raises(RmgymError) as caught:
        load_suite(write(tmp_path, GOOD.replace(before, after, 1)))
    assert says in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="readable file"):
        load_suite(tmp_path / "none.toml")


def test_a_models_folder_is_used_as_it_is(tmp_path: Path) -> None:
    text = GOOD.replace('name = "random"\nmodel = "random"', 'name = "mine"\nmodel = "runs/mine/model"')
    assert not load_suite(write(tmp_path, text)).reward[2].is_fitted


def test_a_misspelt_option_of_the_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    text = GOOD.replace('model = "minilm"', 'model = "minilm"\nfit = { max_step = 3 }')
    assert text != GOOD
    with pytest.raises(RunError, match=r"(?s)'reward\.fit' of 'lm': unknown key 'max_step'.*did you mean 'max_steps'"):
        load_suite(write(tmp_path, text))


def test_suites_that_are_shipped_are_valid() -> None:
    root = Path(__file__).parents[2]
    files = [*root.glob("benchmarks/suites/*.toml"), *root.glob("rmgym/bench/suites/*.toml")]
    assert {f.stem for f in files} >= {"demo", "demo-quick"}
    for file in files:
        assert load_suite(file).name == file.stem


def test_a_dry_run_lists_the_cells_and_writes_nothing(tmp_path: Path) -> None:
    file, folder = write(tmp_path, GOOD), tmp_path / "run"
    arguments = ["bench", str(file), "--out", str(folder), "--dry-run"]
    listed = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    cells = listed["cells"]
    assert (listed["name"], listed["folder"], len(cells)) == ("small", str(folder), 2 * 2 * 2 + 2 * 2 * 3 * 2)
    assert {cell["state"] for cell in cells} == {"to do"}
    needs = {cell["title"]: cell["needs"] for cell in cells}
    assert needs["ppo on lm in CartPole-v1, seed 1"] == "fit lm in CartPole-v1, seed 1"
    assert needs["dqn on random in FrozenLake-v1, seed 0"] is None
    assert not folder.exists()
    tasks = plan(load_suite(file), folder)
    tasks[0].prepare()
    job = tasks[1].job
    with job.claim(resume=True):
        job.finish({})
    write(tmp_path, GOOD.replace("steps = 50", "steps = 60"))
    last = next(task for task in tasks if "dqn on random in FrozenLake" in task.title)
    last.prepare()
    cells = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["cells"]
    states = {cell["title"]: cell["state"] for cell in cells}
    assert [states[task.title] for task in tasks[:3]] == ["begun", "done", "to do"]
    assert states[last.title] == "refused: its folder was begun with other settings"
    text = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"}).stdout
    assert "32 cells in" in text
    assert "1 done. Nothing was run." in text


def test_a_dry_run_makes_the_environments(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace('"CartPole-v1"', '"CartPoole-v1"'))
    result = CliRunner().invoke(app, ["bench", str(file), "--dry-run"])
    assert result.exit_code == 2
    assert "did you mean CartPole-v1" in result.stderr


@pytest.mark.parametrize("text", [DEEP_TOML, f"a = {DEEP_ENOUGH}\n"])
def test_a_suite_nested_too_deeply_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunError, match=r"suite\.toml: it is nested deeper"):
        load_suite(write(tmp_path, text))


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_a_suite_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "suite.toml", kind)
    with pytest.raises(RunError, match="a suite is a readable file"):
        load_suite(tmp_path / "suite.toml")


@pytest.mark.parametrize("name", ["9" * 400, "a\\u0000b"])
def test_a_model_that_no_file_can_be_named_after_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="the model of reward 'lm' is built in"):
        load_suite(write(tmp_path, GOOD.replace('model = "minilm"', f'model = "{name}"')))


def test_a_measure_is_named_and_refused_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_a_suite.py").write_text("HOLES = 3\ndef dry(steps):\n    return -steps.terminated.astype(float)\n")
    lake = 'id = "FrozenLake-v1"'
    for name, rule in (("wet", "has the name that is asked for"), ("HOLES", "a measure is a function")):
        with pytest.raises(RmgymError, match=rule):
            load_suite(write(tmp_path, GOOD.replace(lake, f'{lake}, measure = "of_a_suite:{name}"')))
    suite = load_suite(write(tmp_path, GOOD.replace(lake, f'{lake}, measure = "of_a_suite:dry"')))
    cells = [task.cell.to_json() for task in plan(suite, tmp_path) if task.kind == "train"]
    measures = {(cell["env"]["id"], cell.get("measure")) for cell in cells}
    assert measures == {("FrozenLake-v1", "of_a_suite:dry"), ("CartPole-v1", None)}
    assert sum("measure" in cell for cell in cells) == len(cells) // 2, "cells without one are those of before"
