"""What a suite's tasks do, one by one."""

from pathlib import Path

from rmgym.bench.cells import ModelCell
from rmgym.bench.grid import plan
from rmgym.bench.stages import make_model
from rmgym.bench.suite import load_suite
from rmgym.models import load_reward_model

SUITE = """
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
    (tmp_path / "suite.toml").write_text(SUITE)
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
