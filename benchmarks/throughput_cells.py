"""What throughput.py measures: one function per kind of cell."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from common import Cell
from rivals import PlainMlp
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from torch.profiler import ProfilerActivity, profile

import rmgym
from rmgym.cards import find_agent_card
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.base import Prediction
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.readers.digits import spaced_digits
from rmgym.sb3.hyperparameters import algorithm_class, constructor_arguments, set_up
from rmgym.text import TextBatch

MODELS: Mapping[str, Mapping[str, Any]] = {
    "minilm": {"model": "minilm"},
    "minilm, one head": {"model": "minilm", "heads": 1},
    "smollm2": {"model": "smollm2"},
    "no-lm": {"model": "no-lm"},
    "seq2seq small": {"model": "seq2seq", "preset": "small"},
    "seq2seq reference": {"model": "seq2seq", "preset": "reference"},
    "early minilm": {"model": "minilm", "fusion": "early"},
    "early minilm, distilled": {"model": "minilm", "fusion": "early"},
}
NAIVE_STEPS, ROLLOUT, ROLLOUTS = 50, 4096, 8


def measure(cell: Cell) -> Cell:
    """One row of the table."""
    torch.set_num_threads(1)
    # Where nothing is learnt, Adam's averages decay to numbers so small that processors are slow with them.
    torch.set_flush_denormal(True)
    measures = {
        "training": training,
        "cold": cold,
        "sweep": sweep,
        "rate": rate,
        "scoring": scoring,
        "profile": operations,
        "memory": memory,
    }
    return measures[cell["what"]](cell)


def training(cell: Cell) -> Cell:
    """Steps per second on a learned reward, and on the true one, after so many steps ``before``."""
    model = make_model(cell)
    learned, plain = agents(cell["algo"], cell["env"], model, cell["seed"])
    if cell["before"]:
        for agent in (learned, plain):
            agent.learn(cell["before"])
    rates = alternate(learned, plain, cell["steps"], cell["pairs"])
    steps = cell["steps"]
    seconds, inside = seconds_in_model(model, lambda: learned.learn(steps, reset_num_timesteps=False))
    return {**rates, "model_share": inside / seconds, **read_per_step(model, cell["env"])}


def cold(cell: Cell) -> Cell:
    """The same where scores are looked up, by agents at their beginning: no score is in the table yet."""
    model = make_model(cell)
    rates: dict[str, list[float]] = {"learned": [], "plain": []}
    for _ in range(cell["pairs"] + 1):  # new agents, and so new tables, each time; the first pair warms up torch
        for name, agent in zip(rates, agents(cell["algo"], cell["env"], model, cell["seed"]), strict=True):
            seconds = cpu_seconds(lambda agent=agent: agent.learn(cell["steps"]))
            rates[name].append(cell["steps"] / seconds)
    learned, _ = agents(cell["algo"], cell["env"], model, cell["seed"])
    seconds, inside = seconds_in_model(model, lambda: learned.learn(cell["steps"]))
    return {**summary(rates), "model_share": inside / seconds, **read_per_step(model, cell["env"])}


def seconds_in_model(model: NeuralRewardModel, work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of some work, and those of them that the model took to score texts."""
    inside, predict = 0.0, model.predict

    def timed(texts: TextBatch) -> Prediction:
        nonlocal inside
        start = time.process_time()
        try:
            return predict(texts)
        finally:
            inside += time.process_time() - start

    with patch.object(model, "predict", timed):
        seconds = cpu_seconds(work)
    return seconds, inside


def read_per_step(model: NeuralRewardModel, env: str) -> Cell:
    """What a text is to the model: numbers, and tokens of the longest template; parameters without a frozen LM."""
    texts = rmgym.textualizer(env).batch(rmgym.collect(env, 200, progress=False))
    tower = getattr(model, "tower", None)
    templates = texts.filled().templates
    # Without special ones; late fusion reads templates longer than the language model takes at once, in parts.
    tokens = None if tower is None else max(len(tower.backbone.plain_tokens(template)[0]) for template in templates)
    return {
        "numbers": len(texts.numbers) / len(texts),
        "tokens": tokens,
        "parameters": model.describe().get("parameters"),
    }


def sweep(cell: Cell) -> Cell:
    """The same for ``minilm`` on CartPole-v1, with other numbers of environments, rollout lengths and widths."""
    model = rmgym.create_reward_model("minilm", seed=cell["seed"], width=cell["width"])
    model.prepare(rmgym.textualizer("CartPole-v1").batch(rmgym.collect("CartPole-v1", 500, progress=False)))
    shape = {"n_envs": cell["n_envs"], "n_steps": cell["n_steps"], "batch_size": cell["n_envs"] * cell["n_steps"]}
    learned, plain = agents("ppo", "CartPole-v1", model.accept_random_weights().eval(), cell["seed"], **shape)
    block = shape["batch_size"]
    return alternate(learned, plain, -(-cell["steps"] // block) * block, cell["pairs"])


def alternate(learned: BaseAlgorithm, plain: BaseAlgorithm, steps: int, pairs: int) -> Cell:
    """Train both in turn, A B, B A, A B ...; the first pair warms up."""
    rates: dict[str, list[float]] = {"learned": [], "plain": []}
    both = (("learned", learned), ("plain", plain))
    for pair in range(pairs + 1):
        for name, agent in both[:: 1 if pair % 2 else -1]:
            seconds = cpu_seconds(lambda agent=agent: agent.learn(steps, reset_num_timesteps=False))
            rates[name].append(steps / seconds)
    return summary(rates)


def summary(rates: dict[str, list[float]]) -> Cell:
    """Medians over the runs but the first."""
    learned, plain = (np.array(rates[name][1:]) for name in ("learned", "plain"))
    ratios = learned / plain
    return {
        "learned_steps_per_second": float(np.median(learned)),
        "plain_steps_per_second": float(np.median(plain)),
        "ratios": ratios.tolist(),
        "ratio": float(np.median(learned) / np.median(plain)),
    }


def make_model(cell: Cell) -> NeuralRewardModel:
    """An unfitted model that has seen the environment's texts, as fitting would have shown it; or a student of one."""
    options = dict(MODELS[cell["model"]])
    model = rmgym.create_reward_model(options.pop("model"), seed=cell["seed"], **options)
    assert isinstance(model, NeuralRewardModel)
    texts = rmgym.textualizer(cell["env"]).batch(rmgym.collect(cell["env"], 500, progress=False))
    model.prepare(texts)
    model.accept_random_weights().eval()
    if "distilled" in cell["model"]:
        return rmgym.distil(model, texts, "minilm", rmgym.FitOptions(max_steps=100), progress=False).model
    return model


def agents(
    algo: str, env: str, model: NeuralRewardModel, seed: int, **shape: Any
) -> tuple[BaseAlgorithm, BaseAlgorithm]:
    """An agent on the model, and the same without rmgym: SB3's own environments, buffer and ``learn``."""
    settings = {"learning_rate": 0.0, **shape}
    learned = rmgym.sb3.make_agent(algo, env, reward_model=model, seed=seed, **settings)
    card = find_agent_card(algo)
    n_envs = settings.pop("n_envs", None)
    setup = set_up(card, env, settings)
    cls = algorithm_class(card.algorithm, card.name)
    venv = make_vec_env(env, n_envs=n_envs or setup.n_envs, seed=seed)
    assert not setup.normalize, "compare without VecNormalize, or add it here"
    arguments = constructor_arguments(setup.hyperparameters, venv.action_space)
    return learned, cls(card.policy, venv, seed=seed, device="cpu", **arguments)


def rate(cell: Cell) -> Cell:
    """Steps scored per second, a rollout at a time, text included; and by a bare MLP on the same numbers.

    Two hidden layers of 128 with SiLU on float32 numbers that are there already: what scoring could cost at best.
    """
    rollouts = [rmgym.collect(cell["env"], ROLLOUT, seed=i, progress=False) for i in range(ROLLOUTS)]
    say, model = rmgym.textualizer(cell["env"]), make_model(cell)
    texts = [say.batch(steps) for steps in rollouts]
    numbers = [torch.from_numpy(t.numbers.reshape(len(t), -1).astype(np.float32)) for t in texts]
    silu, width = torch.nn.SiLU, PlainMlp.create().config.width
    mlp = torch.nn.Sequential(
        torch.nn.Linear(numbers[0].shape[1], width),
        silu(),
        torch.nn.Linear(width, width),
        silu(),
        torch.nn.Linear(width, 1),
    )

    def score() -> None:
        for steps in rollouts:
            model.predict(say.batch(steps))

    def bare() -> None:
        with torch.inference_mode():
            for rows in numbers:
                mlp(rows)

    steps = ROLLOUT * ROLLOUTS
    pairs = [(steps / cpu_seconds(score), steps / cpu_seconds(bare)) for _ in range(cell["pairs"] + 1)][1:]
    text = [steps / cpu_seconds(lambda: [say.batch(rollout) for rollout in rollouts]) for _ in range(cell["pairs"])]
    return {
        "scored_per_second": float(np.median([ours for ours, _ in pairs])),
        "bare_mlp_per_second": float(np.median([bare for _, bare in pairs])),
        "text_per_second": float(np.median(text)),
        "ratios": [ours / bare for ours, bare in pairs],
        "ratio": float(np.median([ours / bare for ours, bare in pairs])),
    }


def scoring(cell: Cell) -> Cell:
    """Texts per second: a rollout in one batch, and one call of ``transformers`` per step of digits."""
    size = ROLLOUT if cell["model"] == "minilm" else 512
    steps = rmgym.collect(cell["env"], size, progress=False)
    say, model = rmgym.textualizer(cell["env"]), make_model(cell)
    model.predict(say.batch(steps))
    batched = [len(steps) / cpu_seconds(lambda: model.predict(say.batch(steps))) for _ in range(cell["pairs"])]
    texts = say.batch(steps[:NAIVE_STEPS]).filled()
    backbone = load_backbone("minilm")
    strings = [
        spaced_digits(texts.templates[t], row)
        for t, row in zip(texts.template_index, texts.numbers.reshape(len(texts), -1), strict=True)
    ]

    def naive() -> None:
        with torch.inference_mode():
            for string in strings:
                backbone.lm(**backbone.tokenizer(string, return_tensors="pt")).last_hidden_state.mean(dim=1)

    naive()
    by_step = [len(strings) / cpu_seconds(naive) for _ in range(cell["pairs"])]
    tokens = [len(backbone.tokenizer(string)["input_ids"]) for string in strings]
    return {
        "batched_per_second": float(np.median(batched)),
        "naive_per_second": float(np.median(by_step)),
        "ratio": float(np.median(np.array(batched) / np.array(by_step))),
        "tokens_per_step_as_digits": float(np.mean(tokens)),
        "slots_per_step": len(texts.numbers) // len(texts),
    }


def operations(cell: Cell) -> Cell:
    """Share of each of torch's operations in the time of scoring a rollout, text not included."""
    size = 64 if cell["model"].startswith("early") else ROLLOUT
    model = make_model(cell)
    texts = rmgym.textualizer(cell["env"]).batch(rmgym.collect(cell["env"], size, progress=False))
    model.predict(texts)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(cell["pairs"]):
            model.predict(texts)
    spent = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiler.key_averages()}
    most = sorted(spent, key=lambda name: -spent[name])[:8]
    return {"profile": {name: spent[name] / sum(spent.values()) for name in most}}


def memory(cell: Cell) -> Cell:
    """Peak memory in GB of a process that loads the language model, reads the templates and trains."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import rmgym, throughput_cells\n"
        f"model = throughput_cells.make_model({cell!r})\n"
        f"agent = rmgym.sb3.make_agent({cell['algo']!r}, {cell['env']!r}, reward_model=model, seed=0)\n"
        f"agent.learn({cell['steps']})\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    with tempfile.TemporaryDirectory() as empty:  # where states of templates are not kept already
        fresh = {**os.environ, "RMGYM_CACHE": empty}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=fresh)
    return {"gigabytes": int(done.stdout.split()[-1]) * 1024 / 1e9}  # Linux counts in kilobytes


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process: other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start
