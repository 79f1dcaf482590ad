"""Fits that are killed for real (SIGKILL) at chosen instants, then resumed; prints one JSON object.

Run as a program by ``test_kill_and_resume.py``. It imports torch once and forks every fit, so that a kill takes a whole
process with it, in the middle of a write where asked, and a resume starts from nothing but the folder.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from rmgym.errors import StorageError
from rmgym.models import files
from rmgym.models.files import read_manifest
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.seq2seq import Seq2SeqRewardModel
from rmgym.storage import atomic
from rmgym.storage.atomic import partial_path
from rmgym.training import FitOptions, fit
from rmgym.training.trainer import RewardTrainer
from tests.training.small import SmallReward, both, make_preferences, make_ratings

OPTIONS = FitOptions(
    max_steps=40,
    batch_size=8,
    learning_rate=5e-2,
    eval_every=5,
    checkpoint_every=10,
    patience=3,
    shuffle_labels=True,  # so that the best weights come early, at step 15, and only a checkpoint still has them
    steps_per_segment=2,
    leave_out=0,  # so that the best weights are not the last ones
    seed=2,
)
LABELS = both(make_ratings(60), make_preferences(30))
CHINESE = make_ratings(40)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(number: int) -> None:
    """Die before an optimiser step."""
    original = RewardTrainer.training_step

    def training_step(self: RewardTrainer, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == number:
            die()
        return original(self, *args, **kwargs)

    RewardTrainer.training_step = training_step  # type: ignore[method-assign]


def half_written(module: Any, name: str, ending: str, nth: int) -> None:
    """Die with half of the ``nth`` file of this ending on the disk."""
    original, seen = getattr(module, name), [0]

    def save(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        original(content, path, *args, **kwargs)
        if str(path).endswith(ending):
            seen[0] += 1
            if seen[0] == nth:
                os.truncate(path, Path(path).stat().st_size // 2)
                die()

    setattr(module, name, save)


def renaming(*, after: bool) -> None:
    """Die before or after the second checkpoint gets its name."""
    original = Path.replace

    def replace(self: Path, target: Any) -> Any:
        second = self.name == "checkpoint-20"
        if second and not after:
            die()
        moved = original(self, target)
        if second:
            die()
        return moved

    Path.replace = replace  # type: ignore[method-assign]


def dropping(name: str) -> None:
    """Die with half of the files of a folder removed."""
    original = shutil.rmtree

    def rmtree(path: Any, *args: Any, **kwargs: Any) -> None:
        if Path(path).name == name and Path(path).exists():
            for file in sorted(Path(path).rglob("*.*"))[::2]:
                if file.is_file():
                    file.unlink()
            die()
        original(path, *args, **kwargs)

    shutil.rmtree = rmtree  # type: ignore[assignment]


def writing(module: Any, name: str, nth: int) -> None:
    """Die in the middle of the ``nth`` time that a file of the finished model is written."""
    original, seen = module.write_bytes, [0]

    def write_bytes(target: Path, content: bytes, **options: Any) -> Path:
        seen[0] += target.name == name
        if target.name == name and seen[0] == nth:
            partial_path(target).write_bytes(content[: len(content) // 2])
            die()
        return original(target, content, **options)  # type: ignore[no-any-return]

    module.write_bytes = write_bytes


INSTANTS: dict[str, Callable[[], None]] = {
    "before the first checkpoint": lambda: at_step(7),
    "between checkpoints": lambda: at_step(17),
    "right after a checkpoint": lambda: at_step(20),
    "just before the end": lambda: at_step(29),
    "in the weights": lambda: half_written(safetensors.torch, "save_file", "model.safetensors", 2),
    "in the optimiser": lambda: half_written(torch, "save", "optimizer.pt", 2),
    "in the random state": lambda: half_written(torch, "save", "rng_state.pth", 2),
    "before a checkpoint is named": lambda: renaming(after=False),
    "after a checkpoint is named": lambda: renaming(after=True),
    "while an old checkpoint is dropped": lambda: dropping("checkpoint-10"),
    "before the model's manifest": lambda: writing(files, "reward_model.json", 1),
    "between model and record": lambda: writing(atomic, "fit.json", 2),
    "while checkpoints are dropped at the end": lambda: dropping("checkpoints"),
}


def forked(work: Callable[[], str]) -> tuple[int, str]:
    """Run in a process of its own; return its wait status and what it returned."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, work().encode())
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    return os.waitpid(child, 0)[1], said


def run(out: Path | None, *, resume: bool, kind: str = "small") -> str:
    """Fit, and return what the result is: weights and metrics."""
    model: NeuralRewardModel
    if kind == "small":
        model, labels, options = SmallReward.create(dropout=0.2, heads=2), LABELS, OPTIONS
    else:
        tiny: dict[str, Any] = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1}
        model, labels = Seq2SeqRewardModel.create(dropout=0.1, **tiny), CHINESE
        options = FitOptions(max_steps=20, batch_size=8, eval_every=10, checkpoint_every=10)
    result = fit(model, labels, options, out=out, resume=resume, overwrite=not resume, progress=False)
    left = sorted(p.name.split("-")[0] for p in result.path.iterdir()) if result.path else []
    return json.dumps([result.model.digest, result.metrics, [name for name in left if name[0] != "."]])


def killed(out: Path, install: Callable[[], None], kind: str = "small") -> bool:
    """Fit until killed; whether it was."""

    def work() -> str:
        install()
        return run(out, resume=False, kind=kind)

    status, _ = forked(work)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def killed_from_outside(out: Path) -> bool:
    """Kill a fit from another process, the moment a checkpoint begins to be written."""
    child = os.fork()
    if child == 0:
        run(out, resume=False)
        os._exit(0)
    while not list(out.glob("checkpoints/.partial/checkpoint-2*")):
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


OVER: dict[str, Callable[[], None]] = {
    "before the first checkpoint": lambda: at_step(7),
    "between checkpoints": lambda: at_step(17),
    "in the weights": lambda: half_written(safetensors.torch, "save_file", "model.safetensors", 2),
    "before the model's manifest": lambda: writing(files, "reward_model.json", 1),
    "between model and record": lambda: writing(atomic, "fit.next.json", 2),
}


def over_another(out: Path, install: Callable[[], None]) -> dict[str, Any]:
    """Kill a fit that begins anew where a finished one lies; what lies there then, and what a resume gives."""
    first = SmallReward.create(seed=5)
    before = json.loads(forked(lambda: json.dumps(fit(first, CHINESE, OPTIONS, out=out, progress=False).metrics))[1])
    digest = read_manifest(out)["digest"]
    dead = killed(out, install)
    record = json.loads((out / "fit.json").read_text())
    return {
        "killed": dead,
        "model is the old one": read_manifest(out)["digest"] == digest,
        "record is of the old one": (record["status"], record["result"]["metrics"]) == ("done", before),
        "record names the old model": record["result"]["digest"] == digest,
        "old model loads": forked(lambda: SmallReward.restore(*files.read_files(out)).digest)[1],
        "resumed": json.loads(forked(lambda: run(out, resume=True))[1]),
    }


def without_space(out: Path, limit: int) -> str:
    """Fit where no file may grow beyond ``limit`` bytes; return the error's kind and message."""

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            return run(out, resume=False)
        except StorageError as error:
            return str(error)

    return forked(work)[1]


def main(folder: Path) -> dict[str, Any]:
    torch.set_num_threads(1)
    said: dict[str, Any] = {"whole": {}, "resumed": {}, "killed": {}, "no space": {}}
    for kind in ("small", "seq2seq"):
        said["whole"][kind] = json.loads(forked(lambda kind=kind: run(None, resume=False, kind=kind))[1])  # type: ignore[misc]
    for number, (name, install) in enumerate(INSTANTS.items()):
        out = folder / str(number)
        said["killed"][name] = killed(out, install)
        said["resumed"][name] = json.loads(forked(lambda out=out: run(out, resume=True))[1])  # type: ignore[misc]
    out = folder / "outside"
    said["killed"]["from outside"] = killed_from_outside(out)
    said["resumed"]["from outside"] = json.loads(forked(lambda: run(out, resume=True))[1])
    tower = folder / "seq2seq"
    said["killed"]["seq2seq"] = killed(tower, INSTANTS["in the optimiser"], "seq2seq")
    said["resumed"]["seq2seq"] = json.loads(forked(lambda: run(tower, resume=True, kind="seq2seq"))[1])
    twice = folder / "twice"
    killed(twice, INSTANTS["between checkpoints"])
    said["killed"]["twice"] = os.WIFSIGNALED(forked(lambda: at_step(25) or run(twice, resume=True))[0])  # type: ignore[func-returns-value]
    said["resumed"]["twice"] = json.loads(forked(lambda: run(twice, resume=True))[1])
    said["over another"] = {name: over_another(folder / f"over-{name}", OVER[name]) for name in OVER}
    for limit in (2_000, 12_000):  # too little for the weights, for the optimiser
        full = folder / f"full-{limit}"
        said["no space"][limit] = without_space(full, limit)
        said["resumed"][f"after {limit} bytes"] = json.loads(forked(lambda full=full: run(full, resume=True))[1])  # type: ignore[misc]
    return said


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
