"""How fast does an agent train on a language model's reward, beside the same agent on the true one?

Training: environment steps per second of ``make_agent(...).learn`` on each reward model, divided by plain
Stable-Baselines3 with the same hyperparameters on the true reward. Both are measured in turn, A B A B ..., in one
process on one thread, in CPU time, and the ratio is the median over the pairs. Models are not fitted, which changes no
speed. Texts hold state, action, next state and both flags.

Scoring: one rollout of Pendulum-v1 divided by what is written by hand today: the same steps as digits, one call of
``transformers`` per step with the same weights.

    python benchmarks/throughput.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import Cell, arguments, claim, run_cells, write_results
from stable_baselines3.common.env_util import make_vec_env

import rmgym
from rmgym.cards import find_agent_card
from rmgym.harness.hyperparameters import algorithm_class, constructor_arguments, set_up
from rmgym.models.backbones import load_backbone
from rmgym.models.language_model import spaced_digits

MODELS: dict[str, dict[str, Any]] = {
    "minilm": {"model": "minilm"},
    "ensemble of 5": {"model": "ensemble", "heads": 5},
    "seq2seq small": {"model": "seq2seq", "preset": "small"},
    "seq2seq reference": {"model": "seq2seq", "preset": "reference"},
}
BOUNDS = {
    # (algorithm, environment, model): at least
    ("ppo", "CartPole-v1", "minilm"): 0.70,
    ("ppo", "Pendulum-v1", "minilm"): 0.80,
    ("ppo", "Pendulum-v1", "ensemble of 5"): 0.5,
    ("ppo", "Pendulum-v1", "seq2seq small"): 0.45,
    ("ppo", "Pendulum-v1", "seq2seq reference"): 0.0,
    ("dqn", "CartPole-v1", "minilm"): 0.85,
    ("dqn", "FrozenLake8x8-v1", "minilm"): 0.90,
}
STEPS = {"ppo": 8192, "dqn": 4096}
PAIRS = 5
NAIVE_STEPS, ROLLOUT = 50, 4096


def measure(cell: Cell) -> Cell:
    """One row of the table."""
    torch.set_num_threads(1)
    if cell["what"] == "scoring":
        return scoring(cell)
    model = make_model(cell["model"], cell["env"])
    learned: Any = rmgym.sb3.make_agent(cell["algo"], cell["env"], reward_model=model, seed=0)
    plain = plain_agent(cell["algo"], cell["env"])
    steps = cell["steps"]
    rates: dict[str, list[float]] = {"learned": [], "plain": []}
    for _ in range(cell["pairs"] + 1):  # the first one warms up
        for name, agent in (("learned", learned), ("plain", plain)):
            seconds = cpu_seconds(lambda agent=agent: agent.learn(steps, reset_num_timesteps=False))
            rates[name].append(steps / seconds)
    ratios = np.array(rates["learned"][1:]) / np.array(rates["plain"][1:])
    return {
        "learned_steps_per_second": float(np.median(rates["learned"][1:])),
        "plain_steps_per_second": float(np.median(rates["plain"][1:])),
        "ratios": ratios.tolist(),
        "ratio": float(np.median(ratios)),
        "parameters": model.describe().get("parameters"),
    }


def make_model(name: str, env: str) -> Any:
    """An unfitted model that has seen the environment's texts, as fitting would have shown it."""
    options = dict(MODELS[name])
    model: Any = rmgym.create_reward_model(options.pop("model"), seed=0, **options)
    model.prepare(rmgym.textualizer(env).batch(rmgym.collect(env, 500, progress=False)))
    return model.eval()


def plain_agent(algo: str, env: str) -> Any:
    """The same agent without rmgym: SB3's own environments, buffer and ``learn``."""
    card = find_agent_card(algo)
    setup = set_up(card, env, {})
    cls: Any = algorithm_class(card.algorithm, card.name)
    venv = make_vec_env(env, n_envs=setup.n_envs, seed=0)
    assert not setup.normalize, "compare without VecNormalize, or add it here"
    return cls(
        card.policy, venv, seed=0, device="cpu", **constructor_arguments(setup.hyperparameters, venv.action_space)
    )


def scoring(cell: Cell) -> Cell:
    """Texts per second: a rollout in one batch, and one call of ``transformers`` per step of digits."""
    steps = rmgym.collect(cell["env"], ROLLOUT, progress=False)
    say, model = rmgym.textualizer(cell["env"]), make_model(cell["model"], cell["env"])
    model.predict(say.batch(steps))
    batched = [len(steps) / cpu_seconds(lambda: model.predict(say.batch(steps))) for _ in range(cell["pairs"])]
    texts = say.batch(steps[:NAIVE_STEPS])
    backbone = load_backbone("minilm")
    strings = [
        spaced_digits(texts.templates[t], row)
        for t, row in zip(texts.template_index, texts.numbers.reshape(len(texts), -1), strict=True)
    ]

    def naive() -> None:
        with torch.inference_mode():
            for string in strings:
                backbone.tower(**backbone.tokenizer(string, return_tensors="pt")).last_hidden_state.mean(dim=1)

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


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process: other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure every row."""
    said = arguments(__doc__, seeds=(0,))
    share, pairs = (4, 1) if said.quick else (1, PAIRS)
    grid = [
        {"what": "training", "algo": a, "env": e, "model": m, "steps": STEPS[a] // share, "pairs": pairs}
        for a, e, m in BOUNDS
    ]
    grid.append({"what": "scoring", "algo": "", "env": "Pendulum-v1", "model": "minilm", "steps": 0, "pairs": pairs})
    cells = run_cells(grid, measure, said.runs, processes=1)
    claims = []
    for cell in cells:
        if cell["what"] == "scoring":
            name, bound = "scoring", 200.0
            statement = "Scoring a rollout of Pendulum-v1 by late fusion / calling transformers on digits step by step"
        else:
            bound = BOUNDS[cell["algo"], cell["env"], cell["model"]]
            name = f"{cell['algo']}-{cell['env']}-{cell['model']}".replace(" ", "-")
            statement = (
                f"{cell['algo'].upper()}, {cell['env']}: steps/s on {cell['model']} / plain SB3 on the true reward"
            )
        claims.append(claim(name, statement, cell["ratio"], bound=bound, holds=cell["ratio"] >= bound))
    write_results(
        said.out,
        cells,
        claims,
        said.seeds,
        clock="CPU time of one thread, medians of pairs",
        precision="float32",
        torch_threads=1,
    )


if __name__ == "__main__":
    main()
