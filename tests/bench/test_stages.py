"""What a suite's tasks do, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.bench.cells import ModelCell
from rmgym.bench.grid import plan
from rmgym.bench.stages import make_model, run_task
from rmgym.bench.suite import load_suite
from rmgym.evaluation.measure import short_name
from rmgym.models import load_reward_model
from rmgym.runs.record import read_run
from rmgym.storage.foreign import read_json
from rmgym.text import textualizer
from rmgym.training.fit_folder import data_digest
from rmgym.transitions import Transitions

FREE = """
name = "free"
environments = ["Pendulum-v1"]
algorithms = ["ppo"]
seeds = [0]
steps = 512

[[reward]]
name = "free"
model = "no-lm"
ratings = 20
options = { width = 8, heads = 1, roles = 8 }
fit = { max_steps = 5, HOW }
"""


def test_a_fit_learns_from_all_collected_steps_where_that_is_asked_for(tmp_path: Path) -> None:
    settings = dict[str, dict[str, object]]()
    for free in ("free_steps = 3", "free_statistics = true", "crop = 1.0"):
        file, folder = tmp_path / "suite.toml", tmp_path / free.split()[0]
        file.write_text(FREE.replace("HOW", free))
        (cell,) = [task.cell for task in plan(load_suite(file), tmp_path) if task.kind == "model"]
        make_model(cell, folder)  # type: ignore[arg-type]
        settings[folder.name] = read_json(folder / "model" / "fit.json")["settings"]
    steps = textualizer("Pendulum-v1").batch(Transitions.load(tmp_path / "free_steps" / "steps.parquet"))
    assert settings["free_steps"]["unlabelled"] == settings["free_statistics"]["unlabelled"] == data_digest(steps, ())
    assert "unlabelled" not in settings["crop"]  # a fit of before, which is resumed, had no such setting


PSEUDO = """
name = "pseudo"
environments = ["Pendulum-v1"]
algorithms = ["ppo"]
seeds = [0]
steps = 100

[[reward]]
name = "sure"
model = "no-lm"
ratings = 0
preferences = 12
segment = 4
collect_steps = 200
options = {width = 8, heads = 3, roles = 4}
fit = {max_steps = 5, validation = 0, pseudo_labels = 0.6}
"""


def test_pseudo_labels_are_of_all_steps_that_were_collected(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(PSEUDO)
    cell = plan(load_suite(tmp_path / "suite.toml"), tmp_path)[0].cell
    assert isinstance(cell, ModelCell)
    folder = tmp_path / "model-cell"
    folder.mkdir()
    about = make_model(cell, folder)
    assert about.metrics is not None
    assert about.metrics["train"]["labels"] == 12
    fitted_on = load_reward_model(folder / "model").describe()["fitted_on"]
    assert (fitted_on["preferences"], fitted_on["options"]["pseudo_labels"]) == (12, 0.6)
    again = make_model(cell, folder)
    assert again.metrics == about.metrics


def test_a_measure_of_the_suite_is_that_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_stages.py").write_text("def upright(steps):\n    return steps.next_obs[:, 0]\n", encoding="utf-8")
    text = FREE.replace('["Pendulum-v1"]', '[{id = "Pendulum-v1", measure = "of_stages:upright"}]')
    file = tmp_path / "suite.toml"
    file.write_text(f'{text.partition("[[reward]]")[0]}[[reward]]\nname = "random"\nmodel = "random"\n')
    (task,) = plan(load_suite(file), tmp_path)
    task.prepare()
    run_task(tmp_path, task.folder)
    run = read_run(task.folder)
    assert short_name(str(run.spec.measure)) == "upright"
    assert -200 < run.last("measure_mean") < 200
    assert run.random is not None
    assert len(run.random.measured) == len(run.random.returns)
