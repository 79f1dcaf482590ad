"""The README is true: its Python runs word for word, its tables are those of the result files."""

import contextlib
import io
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import PerformanceHint

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def ran(block: str, known: dict) -> dict:
    """The names after a block of the page, which begins with those given."""
    exec(block, known)
    return known


@pytest.fixture(scope="module")
def first():
    """The names that the first block leaves, and what it printed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("ignore", PerformanceHint)  # the plain way is meant to hint at the faster one
        return ran(BLOCKS[0], {}), printed.getvalue().splitlines()


def test_the_plain_example_runs_word_for_word(first):
    names, printed = first
    assert names["agent"].num_timesteps >= 2_048
    assert names["reward"] == names["info"]["learned_reward"] != names["info"]["true_reward"]
    assert re.fullmatch(r"FitResult\(minilm, fitted on \d+ labels \(R2 (0\.9|1\.0)\d+\), held out .*\)", printed[0])
    learned, true = map(float, re.fullmatch(r"learned (\S+), true (\S+)", printed[1]).groups())
    assert learned == pytest.approx(true, abs=1.5)


def test_the_faster_example_goes_on_from_there(first, capsys):
    names = ran(BLOCKS[1], dict(first[0]))
    assert names["agent"].num_timesteps >= 5_000
    assert names["agent"].rmgym["reward"]["digest"] == names["fitted"].model.digest
    assert re.search(
        r"^Comparison\(5 episodes, true return -\d.*Spearman (0\.\d+|1\.000)\)$", capsys.readouterr().out, re.M
    )


def test_the_english_example_tells_good_from_bad(capsys):
    ran(BLOCKS[2], {})
    printed = dict(line.rsplit(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert float(printed["add a bowl of water"]) > float(printed["add two more spoons of salt"]) + 1


def test_the_chinese_example_tells_good_from_bad(capsys):
    import rmgym

    said = ran(BLOCKS[3], {})
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
