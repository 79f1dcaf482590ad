import json
from dataclasses import fields
from pathlib import Path

from rmgym.bench.grid import plan
from rmgym.bench.suite import load_suite
from rmgym.cards import find_agent_card

SUITE = """
name = "grid"
environments = ["CartPole-v1", {id = "Pendulum-v1", steps = 50}]
algorithms = ["ppo", "dqn"]
seeds = [3, 4]
steps = 1000

[[reward]]
name = "lm"
model = "minilm"
fit = {max_steps = 10}

[[reward]]
name = "noise"
model = "shuffled"
of = "lm"

[[reward]]
name = "true"
model = "true"
"""


def test_a_grid_has_every_cell_once_and_models_are_shared_by_algorithms(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    tasks = plan(load_suite(tmp_path / "suite.toml"), tmp_path / "out")
    models = [task for task in tasks if task.kind == "model"]
    runs = [task for task in tasks if task.kind == "train"]
    assert (len(models), len(runs)) == (2 * 2 * 2, 2 * 2 * 3 * 2)
    assert len({task.folder for task in tasks}) == len(tasks)
    assert tasks[: len(models)] == models  # they come first: training waits for them
    for model in models:
        assert {run.cell.algo for run in runs if run.after == model.folder} == {"ppo", "dqn"}
    assert {run.cell.reward_name for run in runs if run.after is None} == {"true"}
    assert {(run.cell.env.id, run.cell.steps, run.cell.eval_every) for run in runs} == {
        ("CartPole-v1", 1000, 100),
        ("Pendulum-v1", 50, 5),
    }


def test_shuffled_is_the_same_fit_with_permuted_labels(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE)
    tasks = {task.title: task for task in plan(load_suite(tmp_path / "suite.toml"), tmp_path)}
    plain = tasks["fit lm in CartPole-v1, seed 3"].cell
    control = tasks["fit noise in CartPole-v1, seed 3"].cell
    assert control.seed == plain.seed == 3
    changed = {f.name for f in fields(plain.reward) if getattr(plain.reward, f.name) != getattr(control.reward, f.name)}
    assert changed == {"name", "fit"}
    assert control.reward.fit == {"max_steps": 10, "shuffle_labels": True}
    assert plain.recipe != control.recipe
    assert (
        plain.recipe
        == tasks["fit lm in CartPole-v1, seed 4"].cell.recipe
        != tasks["fit lm in Pendulum-v1, seed 3"].cell.recipe
    )


def test_outcomes_are_rated_in_whole_episodes(tmp_path: Path) -> None:
    text = SUITE.replace('"CartPole-v1"', '{id = "CartPole-v1", target = "outcome"}')
    (tmp_path / "suite.toml").write_text(text)
    cut = {
        task.cell.env.id: task.cell.reward.reset_every
        for task in plan(load_suite(tmp_path / "suite.toml"), tmp_path)
        if task.kind == "model"
    }
    assert cut == {"CartPole-v1": 0, "Pendulum-v1": 25}


def test_enough_is_collected_for_the_segments_compared(tmp_path: Path) -> None:
    text = SUITE.replace('name = "lm"', 'name = "lm"\npreferences = 100\nsegment = 50')
    (tmp_path / "suite.toml").write_text(text)
    reward = plan(load_suite(tmp_path / "suite.toml"), tmp_path)[0].cell.reward
    assert (reward.question_plan("reward").collect_steps, reward.reset_every) == (15_000, 50)


def test_an_algorithm_of_a_file_has_a_folder_of_the_suite(tmp_path: Path) -> None:
    card = tmp_path / "cards" / "mine.toml"
    card.parent.mkdir()
    card.write_text(Path(find_agent_card("ppo").file).read_text())
    (tmp_path / "suite.toml").write_text(SUITE.replace('"dqn"', json.dumps(str(card))))
    tasks = plan(load_suite(tmp_path / "suite.toml"), tmp_path / "out")
    folders = [task.folder for task in tasks if task.kind == "train" and task.cell.algo == str(card)]
    assert {folder.parents[1] for folder in folders} == {
        tmp_path / "out" / "runs" / name / "mine" for name in ("CartPole-v1", "Pendulum-v1")
    }
    assert "mine on true in CartPole-v1, seed 3" in {task.title for task in tasks}
