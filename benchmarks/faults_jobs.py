"""The jobs that are killed: small, but real, each with what must be the same in the end."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from faults_commands import command

from rmgym.feedback.store import LabelStore
from rmgym.jobs import read_record
from rmgym.models.files import read_files
from rmgym.runs.loop_folder import LoopFolder
from rmgym.runs.record import read_run
from rmgym.runs.train import AGENT
from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json

RATINGS, ANNOTATOR = 80, "somebody"
ANSWERS = tuple(str(1 + 7 * i % 10) for i in range(RATINGS))
"""What a person types, one rating after the other."""
TIMES = ("wall_seconds", "steps_per_second")
"""Clocks in the results of a run; nothing else of them is left out."""
ALGO = """name = "small_ppo"
algorithm = "stable_baselines3.PPO"
policy = "MlpPolicy"
n_envs = 4
total_steps = 4096
source = "rollouts so short that a training has many"
hyperparameters = { n_steps = 64, batch_size = 64, n_epochs = 4, gamma = 0.9 }
"""
SUITE = """name = "small"
environments = [{ id = "CartPole-v1", target = "outcome" }]
algorithms = ["ppo"]
seeds = [0]
steps = 1024
eval_every = 512
episodes = 2

[[reward]]
name = "no-lm-60"
model = "no-lm"
ratings = 60
options = { heads = 1 }
fit = { max_steps = 200, checkpoint_every = 50 }
"""


@dataclass(frozen=True)
class Killed:
    """A job.

    Attributes:
        arguments: of its command, from where the inputs are.
        result: of the folder it worked in: all that must be as in an uninterrupted one, by name.
        resume: what is added to go on.
        answers: what somebody types.
    """

    arguments: Callable[[Path], list[str]]
    result: Callable[[Path], dict[str, object]]
    resume: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def inputs(runs: Path) -> Path:
    """Folder of what the jobs read: steps, labels, an agent card, a suite; made once."""
    folder = runs / "inputs"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "small_ppo.toml").write_text(ALGO)
        (folder / "suite.toml").write_text(SUITE)
        (folder / "labels.sqlite").unlink(missing_ok=True)
        for words in (
            "collect Pendulum-v1 --steps 1000 --out steps.parquet --overwrite",
            "label Pendulum-v1 --data steps.parquet --ratings 60 --preferences 20 --length 5 --db labels.sqlite",
            "fit --db labels.sqlite --out model --model no-lm --model-option heads=2 --steps 300 --overwrite",
        ):
            _whole(words.split(), folder)
        (folder / "done").touch()
    return folder


def reference(job: str, runs: Path) -> tuple[Path, float, dict[str, object]]:
    """Folder, seconds and result of a job that nobody interrupted; run once."""
    given, folder = inputs(runs), runs / "whole" / job
    record = folder.with_suffix(".json")
    if not record.exists():
        start, what = time.monotonic(), JOBS[job]
        again = what.resume if folder.exists() else ()
        _whole([*what.arguments(given), *again], folder, what.answers)
        write_json(record, {"seconds": time.monotonic() - start, "result": what.result(folder)})
    content: Any = read_json(record)
    return folder, content["seconds"], content["result"]


def _whole(arguments: list[str], folder: Path, answers: tuple[str, ...] = ()) -> None:
    ended = command(arguments, folder, answers=answers)
    if ended.code:
        raise RuntimeError(f"rmgym {' '.join(arguments)} failed:\n{ended.output}")


def _label(given: Path) -> list[str]:
    words = f"label Pendulum-v1 --teacher human --ratings {RATINGS} --annotator {ANNOTATOR} --db labels.sqlite"
    return [*words.split(), "--data", str(given / "steps.parquet")]


def _fit(given: Path) -> list[str]:
    return ["fit", "--db", str(given / "labels.sqlite"), *["--out", "model", "--model", "minilm", "--steps", "450"]]


def _train(given: Path) -> list[str]:
    words = "train Pendulum-v1 --steps 6144 --eval-every 1024 --episodes 2 --save-best learned --out run"
    return [*words.split(), "--algo", str(given / "small_ppo.toml"), "--reward", str(given / "model")]


def _bench(given: Path) -> list[str]:
    return ["bench", str(given / "suite.toml"), "--out", "suite", "--workers", "1"]


def _loop(given: Path) -> list[str]:
    words = "loop Pendulum-v1 --model no-lm --labels 50 --steps 1536 --eval-every 512 --episodes 2 --out loop"
    return [*words.split(), "--algo", str(given / "small_ppo.toml")]


def _labels(file: Path) -> dict[str, object]:
    """All labels but when they were given."""
    labels = LabelStore(file).labels()
    arrays = [getattr(part, name) for part in (labels.ratings, labels.preferences) if part for name in vars(part)]
    values = [array.tolist() for array in arrays if hasattr(array, "tolist")]
    return {"labels": len(labels), "texts": _digest(labels.texts.strings()), "values": _digest(values)}


def _model(folder: Path) -> dict[str, object]:
    """A fit: its weights (by the digest over them, which reading checks) and how good it is."""
    record = read_record(folder, "fit")
    metrics = record.result["metrics"] if record is not None and isinstance(record.result, Mapping) else None
    return {"weights": read_files(folder)[0]["digest"], "metrics": metrics}


def _run(folder: Path) -> dict[str, object]:
    """A run: every parameter of its agents, every evaluation, every judged step, the outcome."""
    run = read_run(folder)
    assert run.outcome is not None
    curve = {name: column.tolist() for name, column in run.curve.items() if name not in TIMES}
    outcome = {key: _timeless(value) for key, value in run.outcome.to_json().items() if key not in TIMES}
    agents = {file.name: agent_digest(file) for file in sorted(folder.glob("*.zip"))}
    assert AGENT in agents
    steps = {name: column.tolist() for name, column in run.steps.items()}
    return {"agents": agents, "evaluations": _digest(curve), "steps": _digest(steps), "outcome": _digest(outcome)}


def _suite(folder: Path) -> dict[str, object]:
    """A suite: its labels, its models and its runs."""
    results = dict[str, object]()
    for file in sorted(folder.rglob("labels.sqlite")):
        results |= {str(file.relative_to(folder)): _labels(file)}
    for file in sorted(folder.rglob("fit.json")):
        results |= {str(file.relative_to(folder)): _model(file.parent)}
    for file in sorted(folder.rglob("run.json")):
        results |= {str(file.relative_to(folder)): _run(file.parent)}
    return results


def _rounds(folder: Path) -> dict[str, object]:
    """A loop: its labels, what each round asked, its last model, its run."""
    loop = LoopFolder(folder)
    rounds = [{k: v for k, v in asdict(each).items() if k != "seconds"} for each in loop.record()]
    weights = read_files(loop.last_model)[0]["digest"]
    return {**_labels(loop.labels), "rounds": _digest(rounds), "weights": weights, **_run(loop.run)}


def agent_digest(file: Path) -> str:
    """SHA-256 of all that a saved agent has learned: the parameters of its networks and of its optimiser."""
    total = sha256()
    with zipfile.ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".pth"):
                _add(total, torch.load(BytesIO(archive.read(name)), weights_only=True))
    return total.hexdigest()[:16]


def _add(total: Any, content: object) -> None:
    """Add nested values, tensors as their bytes."""
    if isinstance(content, torch.Tensor):
        total.update(content.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(content, Mapping):
        for key, value in content.items():
            total.update(str(key).encode())
            _add(total, value)
    elif isinstance(content, list | tuple):
        for value in content:
            _add(total, value)
    else:
        total.update(repr(content).encode())


def _timeless(value: object) -> object:
    return {k: v for k, v in value.items() if k not in TIMES} if isinstance(value, Mapping) else value


def _digest(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


JOBS: dict[str, Killed] = {
    "label": Killed(_label, lambda folder: _labels(folder / "labels.sqlite"), answers=ANSWERS),
    "fit": Killed(_fit, lambda folder: _model(folder / "model"), ("--resume",)),
    "train": Killed(_train, lambda folder: _run(folder / "run"), ("--resume",)),
    "bench": Killed(_bench, lambda folder: _suite(folder / "suite")),
    "loop": Killed(_loop, lambda folder: _rounds(folder / "loop"), ("--resume",)),
}
"""By the name of their command; ``label`` and ``bench`` go on when the same command is run again."""
