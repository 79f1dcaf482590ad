"""One flipped bit in a file that rmgym stores: refused with an error of its own, or read as exactly what was there.

Every kind has a reader, the one that commands use, and all that it reads is compared: no bit is taken for padding that
is not. Anything else than a refusal or the same content is counted: other content without a word, or a crash.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Cell
from faults_commands import command
from faults_jobs import JOBS, agent_digest, inputs, reference

import rmgym
from rmgym.errors import RmgymError
from rmgym.feedback.store import LabelStore
from rmgym.jobs import read_record
from rmgym.models.backbones.states_file import StatesFile
from rmgym.models.files import MANIFEST, read_files
from rmgym.runs.loop_folder import LoopFolder
from rmgym.runs.record import read_object, read_run
from rmgym.sb3 import load_agent, make_agent
from rmgym.sb3.checkpoints import Progress, load_checkpoint, save_checkpoint
from rmgym.scoring.cache import ScoreCache
from rmgym.storage.foreign import is_there
from rmgym.training.fit_folder import FitCheckpoints

TINY = {"vocab_size": 512, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
SMALL_DQN = {"learning_starts": 8, "buffer_size": 64, "policy_kwargs": {"net_arch": [8]}}


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        make: gives a folder with them, from that of the whole benchmark.
        pattern: which files of the folder they are.
        read: all that is read of the folder.
    """

    make: Callable[[Path], Path]
    pattern: str
    read: Callable[[Path], object]


def flips(cell: Cell, runs: Path) -> Cell:
    """Flip so many bits, one at a time, in files of one kind; what came of each."""
    kind, name = KINDS[cell["kind"]], cell["kind"]
    source, place = kind.make(runs), runs / "flipped" / f"{name.replace(' ', '-')}-{cell['seed']}"
    files = sorted(file.relative_to(source) for file in source.glob(kind.pattern) if file.is_file())
    rng = np.random.default_rng([cell["seed"], list(KINDS).index(name)])
    came = list[dict[str, Any]]()
    logging.disable(logging.WARNING)  # of caches that say that they are left alone
    for _ in range(cell["flips"]):
        _copy(source, place)
        expected = _plain(kind.read(place))
        _copy(source, place)
        file = files[int(rng.integers(len(files)))]
        content = bytearray((place / file).read_bytes())
        bit = int(rng.integers(8 * len(content)))
        content[bit // 8] ^= 1 << bit % 8
        (place / file).write_bytes(content)
        came.append({"file": file.name, "bit": bit, "of": 8 * len(content), **_read(kind, place, expected)})
    shutil.rmtree(place)
    outcomes = [each["outcome"] for each in came]
    return {"done": len(came), **{each: outcomes.count(each) for each in OUTCOMES}, "came": came}


OUTCOMES = ("refused", "same", "silent", "crashed")


def _read(kind: Kind, place: Path, expected: object) -> dict[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same = _plain(kind.read(place)) == expected
    except RmgymError:
        return {"outcome": "refused"}
    except Exception as error:
        return {"outcome": "crashed", "error": f"{type(error).__name__}: {error!s:.200}"}
    return {"outcome": "same" if same else "silent"}


def _copy(source: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("*.lock", "tensorboard"))


def _plain(content: object) -> object:
    """Content that ``==`` compares to the bit, and in which NaN is equal to itself."""
    if isinstance(content, torch.Tensor):
        content = content.numpy()
    if isinstance(content, np.ndarray):
        return content.dtype.str, content.shape, content.tobytes()
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return repr(content)


def _given(runs: Path) -> Path:
    return inputs(runs)


def _steps(folder: Path) -> object:
    steps = rmgym.Transitions.load(folder / "steps.parquet")
    return vars(steps)


def _labels(folder: Path) -> object:
    store = LabelStore(folder / "labels.sqlite")
    labels = store.labels()
    parts = [vars(part) for part in (labels.ratings, labels.preferences) if part is not None]
    values = [{key: value for key, value in part.items() if key != "texts"} for part in parts]
    return labels.texts.strings(), values, labels.source, store.info()


def text_model(runs: Path) -> Path:
    """A small model with a tokenizer of its own."""
    folder = runs / "seq2seq"
    if not (folder / MANIFEST).exists():
        model: Any = rmgym.create_reward_model("seq2seq", seed=0, **TINY)
        model.accept_random_weights().save(folder)
    return folder


def _saved(folder: Path) -> object:
    manifest, tensors, texts = read_files(folder)
    facts = {key: value for key, value in manifest.items() if key in KEYS}
    return facts, tensors, texts


KEYS = ("model", "config", "card_hash", "digest", "fitted_on", "files", "sha256", "format", "versions")


def _states(runs: Path) -> Path:
    """States of a language model by text."""
    folder = runs / "states"
    if not folder.exists():
        StatesFile(folder / "states.sqlite", STATES).put(KNOWN)
    return folder


STATES = 384
KNOWN = {f"text {i}": np.random.default_rng(i).normal(size=STATES).astype(np.float32) for i in range(20)}


def _known_states(folder: Path) -> object:
    """What comes of it: a text that is not there is read anew, which gives the same."""
    there = StatesFile(folder / "states.sqlite", STATES).get(list(KNOWN))
    return {text: {**KNOWN, **there}[text] for text in KNOWN}


def _scores(runs: Path) -> Path:
    folder = runs / "scores"
    if not folder.exists():
        ScoreCache(folder / "scores.sqlite").predict(rmgym.load_reward_model("random"), _asked())
    return folder


def _asked() -> rmgym.TextBatch:
    return rmgym.TextBatch.from_strings([f"angle: {i / 8:.3f}" for i in range(60)])


def _kept_scores(folder: Path) -> object:
    prediction = ScoreCache(folder / "scores.sqlite").predict(rmgym.load_reward_model("random"), _asked())
    return prediction.mean, prediction.std


def _agent(folder: Path) -> object:
    """What it learned, and what it is made of."""
    file = folder / "agent.zip"
    agent = load_agent(file, "constant")
    return agent_digest(file), agent.num_timesteps, agent.policy.state_dict(), agent.rmgym  # type: ignore[attr-defined]


def saved_agent(runs: Path) -> Path:
    folder = runs / "agent"
    if not (folder / "agent.zip").exists():
        agent = make_agent("ppo", "Pendulum-v1", reward_model="constant", seed=0, n_steps=8, batch_size=8)
        rmgym.sb3.save_agent(agent.learn(32), folder / "agent.zip")
    return folder


def _run_checkpoint(runs: Path) -> Path:
    """A checkpoint with a replay buffer."""
    folder = runs / "checkpoint"
    if not is_there(folder):
        agent = make_agent("dqn", "CartPole-v1", reward_model="constant", seed=0, **SMALL_DQN)
        save_checkpoint(agent.learn(40), folder, Progress(steps=40, wall_seconds=1.0, survival_bonus=None))
    return folder


def _resumed(folder: Path) -> object:
    (place,) = folder.glob("checkpoint-*")
    agent, progress = load_checkpoint(place, "constant")
    replay: Any = agent.replay_buffer  # type: ignore[attr-defined]
    arrays = [replay.observations, replay.actions, replay.rewards, replay.dones]
    return agent.policy.state_dict(), arrays, progress, agent.num_timesteps


def _fit_checkpoint(runs: Path) -> Path:
    """What a fit leaves that is killed after half of its time."""
    folder, seconds = runs / "half", reference("fit", runs)[1]
    while not list(folder.glob("model/checkpoints/checkpoint-*")):
        shutil.rmtree(folder, ignore_errors=True)
        command(JOBS["fit"].arguments(inputs(runs)), folder, kill_after=0.8 * seconds)
    return folder / "model"


def _half_fitted(folder: Path) -> object:
    last = FitCheckpoints(folder).last()
    assert last is not None
    return {str(file.relative_to(folder)): sha256(file.read_bytes()).digest() for file in sorted(last.iterdir())}


def _run(folder: Path) -> object:
    run = read_run(folder / "run")
    return vars(run)


def _loop(folder: Path) -> object:
    loop = LoopFolder(folder / "loop")
    asked = [read_object(file, fix="") for file in sorted(folder.glob("loop/rounds/*/questions.json"))]
    return loop.record(), asked, read_record(loop.path, "loop"), read_run(loop.run).about


def _with_record(folder: Path) -> object:
    return _saved(folder), read_record(folder, "fit")


KINDS: dict[str, Kind] = {
    "steps": Kind(_given, "steps.parquet", _steps),
    "labels": Kind(_given, "labels.sqlite", _labels),
    "weights": Kind(lambda runs: _given(runs) / "model", "weights-*", _saved),
    "model's JSON": Kind(lambda runs: _given(runs) / "model", "[rf]*.json", _with_record),
    "tokenizer": Kind(text_model, "tokenizer-*", _saved),
    "states of a language model": Kind(_states, "*.sqlite", _known_states),
    "scores": Kind(_scores, "*.sqlite", _kept_scores),
    "agent": Kind(saved_agent, "agent.zip", _agent),
    "run": Kind(lambda runs: reference("train", runs)[0], "run/*.[jc]s*", _run),
    "checkpoint of a run": Kind(_run_checkpoint, "*/*", _resumed),
    "checkpoint of a fit": Kind(_fit_checkpoint, "checkpoints/*/*", _half_fitted),
    "loop": Kind(lambda runs: reference("loop", runs)[0], "loop/**/[lqr]*.json", _loop),
}
"""By name."""
