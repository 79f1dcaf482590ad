"""docs/bring-your-own-environment.md, block by block, as a reader would do it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "bring-your-own-environment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, after all its commands; what each printed is in ``said-N.txt``."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "my_envs.py").write_text(blocks("python")[0], encoding="utf-8")
    (folder / "room.toml").write_text(blocks("toml")[0], encoding="utf-8")
    for i, command in enumerate(COMMANDS):
        assert command.startswith("rmgym ")
        arguments = [Path(sys.executable).with_name("rmgym"), *command.split()[1:]]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        (folder / f"said-{i}.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_the_check_passes_and_the_texts_are_those_of_the_page(desk: Path) -> None:
    assert "passed" in (desk / "said-0.txt").read_text(encoding="utf-8")
    from_spaces, with_card = (text.strip() for text in blocks("text"))
    code = "import rmgym; print(rmgym.textualizer('my_envs:Room-v0', card={card!r}).describe({step}))"
    step = "[24.0132, 6.6008], 2, [19.7719, 6.6008]"
    for card, text in ((None, from_spaces), ("room.toml", with_card)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(card=card, step=step)],
            cwd=desk,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == text
    shown = re.sub(r"\s+", " ", (desk / "said-1.txt").read_text(encoding="utf-8"))
    assert "Action: device: the cooling is on." in re.sub(r"\s+", " ", shown)


def test_the_learned_reward_beats_the_random_one_and_the_report_says_so(desk: Path) -> None:
    returns = {}
    for arm in ("learned", "true", "random"):
        record = json.loads((desk / "runs/room" / arm / "run.json").read_text(encoding="utf-8"))
        returns[arm] = record["result"]["final"]["true_return_mean"]
    assert returns["learned"] > returns["random"] + 0.8 * (returns["true"] - returns["random"])
    assert (desk / "report.html").exists()


def test_the_python_way(desk: Path) -> None:
    subprocess.run([sys.executable, "-c", blocks("python")[1]], cwd=desk, check=True, capture_output=True)


def test_rl_zoo_trains_on_a_learned_reward_that_its_yaml_names(desk: Path) -> None:
    (said,) = blocks("yaml")
    (desk / "zoo.yml").write_text(said.replace("runs/pendulum/reward_model", "random"), encoding="utf-8")
    command = "-m rl_zoo3.train --algo ppo --env Pendulum-v1 --conf-file zoo.yml -f zoo -n 2048 --eval-freq -1"
    done = subprocess.run([sys.executable, *command.split()], cwd=desk, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (agent,) = desk.glob("zoo/ppo/*/Pendulum-v1.zip")
    monitor = next(agent.parent.glob("*.monitor.csv")).read_text(encoding="utf-8").splitlines()
    returns = [float(line.split(",")[0]) for line in monitor[2:]]
    assert max(returns) < -100  # the true ones; the learned reward, a hash, lies between -1 and 1
