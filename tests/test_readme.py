"""The README is true: its Python runs word for word, its tables are those of the result files."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with what ``make demo`` leaves: a reward model fitted on ratings of Pendulum-v1."""
    import rmgym
    from rmgym.feedback.labels import Labels, Ratings

    place = tmp_path_factory.mktemp("readme")
    steps = rmgym.collect("Pendulum-v1", 300, reset_every=25, progress=False)
    texts = rmgym.textualizer("Pendulum-v1").batch(steps)
    labels = Labels(ratings=Ratings(texts=texts, values=steps.true_reward, groups=steps.episode))
    rmgym.fit("minilm", labels, rmgym.FitOptions(max_steps=100), out=place / "runs/demo/reward_model", progress=False)
    return place


@pytest.mark.filterwarnings("ignore::rmgym.errors.PerformanceHint")  # the plain way is meant to hint at the faster one
def test_the_plain_example_runs_word_for_word(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    said = {}
    exec(BLOCKS[0], said)
    assert said["agent"].num_timesteps >= 10_000
    env = said["env"]
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == info["learned_reward"] != info["true_reward"]


def test_the_faster_example_runs_word_for_word(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    import rmgym

    said = {"rmgym": rmgym}
    exec(BLOCKS[1], said)
    assert said["agent"].num_timesteps >= 10_000
    assert said["agent"].rmgym["reward"]["digest"] == rmgym.load_reward_model("runs/demo/reward_model").digest


def test_the_chinese_example_tells_good_from_bad(capsys):
    import rmgym

    said = {"rmgym": rmgym}
    exec(BLOCKS[2], said)
    rewards = capsys.readouterr().out.strip().splitlines()[-1].strip("[]").split()
    good, bad = map(float, rewards)
    assert good > bad + 1
    predicted = said["model"].predict([rmgym.describe_pair(state, action) for state, action, _ in said["rated"]]).mean
    ratings = np.array([rating for _, _, rating in said["rated"]])
    assert predicted[ratings >= 4].min() > predicted[ratings <= 2].max() + 1
    with pytest.raises(rmgym.errors.ModelError, match=r"(?s)unknown.*seq2seq"):
        rmgym.fit("minilm", rmgym.preprocess(said["rated"]), progress=False)  # its tokenizer has no Chinese


def test_tables_are_those_of_the_result_files():
    done = subprocess.run([sys.executable, ROOT / "benchmarks/tables.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
