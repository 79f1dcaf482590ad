"""How fast does an agent train on a language model's reward, beside the same agent on the true one?

Training: environment steps per second of ``make_agent(...).learn`` on each reward model, divided by plain
Stable-Baselines3 with the same hyperparameters on the true reward. Both are measured in turn, A B A B ..., in one
process on one thread, in CPU time, and the ratio is the median over the pairs. Both learn with a rate of 0, so that
both take the same steps: an agent that learns nothing falls sooner, and a reset costs time. Reward models are not
fitted, which changes no speed (the distilled one is a real student; one that is audited while it trains depends on its
original, and is measured in distillation.py). Texts hold state, action, next state and flags. Where states and actions
are numbered, scores are looked up in a table: warm is a learner that has filled it, cold one at its beginning.

Scoring: one rollout of Pendulum-v1 divided by what is written by hand today: the same steps as digits, one call of
``transformers`` per step with the same weights. Dedupe and cache are off.

Share of peak: floating point operations of the fusion head, and of early fusion's language model, as torch counts them,
per second, divided by the rate of a square matrix product in the same process.

    python benchmarks/throughput.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from common import JUDGE, Cell, arguments, claim, judge_again, run_cells, write_results
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from throughput_picture import draw
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import rmgym
from rmgym.cards import find_agent_card
from rmgym.models.backbones.backbone import load_backbone
from rmgym.models.neural import NeuralRewardModel, encode
from rmgym.models.readers.digits import spaced_digits
from rmgym.sb3.hyperparameters import algorithm_class, constructor_arguments, set_up

MODELS: dict[str, dict[str, str | int]] = {
    "minilm": {"model": "minilm"},
    "minilm, width 64": {"model": "minilm", "width": 64},
    "smollm2": {"model": "smollm2"},
    "ensemble of 5": {"model": "ensemble", "heads": 5},
    "seq2seq small": {"model": "seq2seq", "preset": "small"},
    "seq2seq reference": {"model": "seq2seq", "preset": "reference"},
    "early minilm": {"model": "minilm", "fusion": "early"},
    "early minilm, distilled": {"model": "minilm", "fusion": "early"},
}
BOUNDS = {
    # (algorithm, environment, model): at least
    ("ppo", "CartPole-v1", "minilm"): 0.70,
    ("ppo", "Pendulum-v1", "minilm"): 0.80,
    ("ppo", "CartPole-v1", "smollm2"): 0.70,
    ("ppo", "Pendulum-v1", "smollm2"): 0.80,
    ("ppo", "CartPole-v1", "minilm, width 64"): None,
    ("ppo", "CartPole-v1", "ensemble of 5"): 0.5,
    ("ppo", "Pendulum-v1", "ensemble of 5"): 0.5,
    ("ppo", "CartPole-v1", "seq2seq small"): 0.45,
    ("ppo", "Pendulum-v1", "seq2seq small"): 0.45,
    ("ppo", "CartPole-v1", "seq2seq reference"): None,
    ("ppo", "Pendulum-v1", "seq2seq reference"): None,
    ("ppo", "CartPole-v1", "early minilm"): 0.10,
    ("ppo", "Pendulum-v1", "early minilm"): 0.18,
    ("ppo", "CartPole-v1", "early minilm, distilled"): 0.70,
    ("ppo", "Pendulum-v1", "early minilm, distilled"): 0.70,
    ("dqn", "CartPole-v1", "minilm"): 0.85,
    ("sac", "Pendulum-v1", "minilm"): 0.85,
    ("dqn", "FrozenLake8x8-v1", "minilm"): 0.90,
    ("dqn", "Taxi-v4", "minilm"): 0.90,
}
STEPS = {"ppo": 8192, "dqn": 4096, "sac": 512}
EARLY_STEPS = {"CartPole-v1": 512, "Pendulum-v1": 4096}  # whole rollouts; early fusion reads about 60 steps a second
TABLED = {"FrozenLake8x8-v1": 20_000, "Taxi-v4": 60_000}  # steps of warm-up where scores are looked up in a table
SWEEP = [
    *({"n_envs": n, "n_steps": max(256 // n, 4), "width": 128} for n in (1, 2, 4, 8, 16, 32, 64)),
    *({"n_envs": 8, "n_steps": n, "width": 128} for n in (8, 128, 512)),
    *({"n_envs": 8, "n_steps": 32, "width": n} for n in (32, 64, 256, 512)),
]
PAIRS = 5
NAIVE_STEPS, ROLLOUT = 50, 4096


def measure(cell: Cell) -> Cell:
    """One row of the table."""
    torch.set_num_threads(1)
    # Where nothing is learnt, Adam's averages decay to numbers so small that processors are slow with them.
    torch.set_flush_denormal(True)
    measures = {
        "training": training, "cold": cold, "sweep": sweep, "scoring": scoring, "peak": peak, "memory": memory
    }  # fmt: skip
    return measures[cell["what"]](cell)


def training(cell: Cell) -> Cell:
    """Steps per second on a learned reward, and on the true one."""
    model = make_model(cell["model"], cell["env"])
    learned, plain = agents(cell["algo"], cell["env"], model)
    if cell["env"] in TABLED:
        learned.learn(TABLED[cell["env"]])  # most of what there is to say has been read after that
    rates = alternate(learned, plain, cell["steps"], cell["pairs"])
    return {**rates, **read_per_step(model, cell["env"])}


def cold(cell: Cell) -> Cell:
    """The same where scores are looked up, by agents at their beginning: no score is in the table yet."""
    model = make_model(cell["model"], cell["env"])
    rates: dict[str, list[float]] = {"learned": [], "plain": []}
    for _ in range(cell["pairs"] + 1):  # new agents, and so new tables, each time; the first pair warms up torch
        for name, agent in zip(rates, agents(cell["algo"], cell["env"], model), strict=True):
            seconds = cpu_seconds(lambda agent=agent: agent.learn(cell["steps"]))
            rates[name].append(cell["steps"] / seconds)
    return summary(rates)


def read_per_step(model: NeuralRewardModel, env: str) -> Cell:
    """What a text is to the model: numbers, and tokens of the longest template; parameters without a frozen LM."""
    texts = rmgym.textualizer(env).batch(rmgym.collect(env, 200, progress=False))
    tower = getattr(model, "tower", None)
    tokens = None if tower is None else max(len(tower.backbone.tokens(t)[0]) for t in texts.templates)
    return {
        "numbers": len(texts.numbers) / len(texts),
        "tokens": tokens,
        "parameters": model.describe().get("parameters"),
    }


def sweep(cell: Cell) -> Cell:
    """The same for ``minilm`` on CartPole-v1, with other numbers of environments, rollout lengths and widths."""
    model = rmgym.create_reward_model("minilm", seed=0, width=cell["width"])
    model.prepare(rmgym.textualizer("CartPole-v1").batch(rmgym.collect("CartPole-v1", 500, progress=False)))
    shape = {"n_envs": cell["n_envs"], "n_steps": cell["n_steps"], "batch_size": cell["n_envs"] * cell["n_steps"]}
    learned, plain = agents("ppo", "CartPole-v1", model.accept_random_weights().eval(), **shape)
    block = shape["batch_size"]
    return alternate(learned, plain, -(-cell["steps"] // block) * block, cell["pairs"])


def alternate(learned: BaseAlgorithm, plain: BaseAlgorithm, steps: int, pairs: int) -> Cell:
    """Train both in turn; the first pair warms up."""
    rates: dict[str, list[float]] = {"learned": [], "plain": []}
    for _ in range(pairs + 1):
        for name, agent in (("learned", learned), ("plain", plain)):
            seconds = cpu_seconds(lambda agent=agent: agent.learn(steps, reset_num_timesteps=False))
            rates[name].append(steps / seconds)
    return summary(rates)


def summary(rates: dict[str, list[float]]) -> Cell:
    """Medians over the pairs but the first."""
    ratios = np.array(rates["learned"][1:]) / np.array(rates["plain"][1:])
    return {
        "learned_steps_per_second": float(np.median(rates["learned"][1:])),
        "plain_steps_per_second": float(np.median(rates["plain"][1:])),
        "ratios": ratios.tolist(),
        "ratio": float(np.median(ratios)),
    }


def make_model(name: str, env: str) -> NeuralRewardModel:
    """An unfitted model that has seen the environment's texts, as fitting would have shown it; or a student of one."""
    options = dict(MODELS[name])
    model = rmgym.create_reward_model(options.pop("model"), seed=0, **options)
    texts = rmgym.textualizer(env).batch(rmgym.collect(env, 500, progress=False))
    model.prepare(texts)
    model.accept_random_weights().eval()
    if "distilled" in name:
        return rmgym.distil(model, texts, "minilm", rmgym.FitOptions(max_steps=100), progress=False).model
    return model


def agents(algo: str, env: str, model: NeuralRewardModel, **shape: float) -> tuple[BaseAlgorithm, BaseAlgorithm]:
    """An agent on the model, and the same without rmgym: SB3's own environments, buffer and ``learn``."""
    settings = {"learning_rate": 0.0, **shape}
    learned = rmgym.sb3.make_agent(algo, env, reward_model=model, seed=0, **settings)
    card = find_agent_card(algo)
    n_envs = settings.pop("n_envs", None)
    setup = set_up(card, env, settings)
    cls = algorithm_class(card.algorithm, card.name)
    venv = make_vec_env(env, n_envs=n_envs or setup.n_envs, seed=0)
    assert not setup.normalize, "compare without VecNormalize, or add it here"
    arguments = constructor_arguments(setup.hyperparameters, venv.action_space)
    return learned, cls(card.policy, venv, seed=0, device="cpu", **arguments)


def scoring(cell: Cell) -> Cell:
    """Texts per second: a rollout in one batch, and one call of ``transformers`` per step of digits."""
    size = ROLLOUT if cell["model"] == "minilm" else 512
    steps = rmgym.collect(cell["env"], size, progress=False)
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


def peak(cell: Cell) -> Cell:
    """Floating point operations per second of a micro-batch, and of a matrix product."""
    model = make_model(cell["model"], cell["env"])
    steps = rmgym.collect(cell["env"], model.micro_batch, progress=False)
    texts = rmgym.textualizer(cell["env"]).batch(steps)
    inputs = encode(texts)
    model.predict(texts)
    square = torch.randn(1024, 1024)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model(inputs)
        operations = counter.get_total_flops()
        times = [(cpu_seconds(lambda: model(inputs)), cpu_seconds(lambda: square @ square)) for _ in range(20)]
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(20):
                model(inputs)
    rates = [(operations / ours, 2 * 1024**3 / product) for ours, product in times]
    spent = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiler.key_averages()}
    most = sorted(spent, key=lambda name: -spent[name])[:8]
    return {
        "profile": {name: spent[name] / sum(spent.values()) for name in most},
        "operations_per_step": operations / len(texts),
        "operations_per_second": float(np.median([ours for ours, _ in rates])),
        "gemm_per_second": float(np.median([product for _, product in rates])),
        "ratio": float(np.median([ours / product for ours, product in rates])),
    }


def memory(cell: Cell) -> Cell:
    """Peak memory of a process that trains PPO on ``minilm``, in GB; ``ratio`` is the same."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import rmgym, throughput\n"
        f"model = throughput.make_model({cell['model']!r}, {cell['env']!r})\n"
        f"rmgym.sb3.make_agent({cell['algo']!r}, {cell['env']!r}, reward_model=model, seed=0).learn({cell['steps']})\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"ratio": int(done.stdout.split()[-1]) * 1024 / 1e9}  # Linux counts in kilobytes


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process: other work on the machine does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def grid(quick: bool) -> list[Cell]:
    """Every cell, those of training first."""
    share, pairs = (4, 1) if quick else (1, PAIRS)
    cells: list[Cell] = []
    for algo, env, model in BOUNDS:
        early = model == "early minilm"
        steps = EARLY_STEPS[env] if early else STEPS[algo] // share
        cells.append({"what": "training", "algo": algo, "env": env, "model": model, "steps": steps, "pairs": pairs})
        if early:
            cells[-1]["pairs"] = min(pairs, 2)
    for algo, env, model in BOUNDS:
        if env in TABLED:
            steps = STEPS[algo] // share
            cells.append({"what": "cold", "algo": algo, "env": env, "model": model, "steps": steps, "pairs": pairs})
    others = [("scoring", "minilm"), ("scoring", "early minilm"), ("peak", "minilm"), ("peak", "early minilm")]
    for what, model in others:
        cells.append({"what": what, "algo": "", "env": "Pendulum-v1", "model": model, "steps": 0, "pairs": pairs})
    subject = {"algo": "ppo", "env": "CartPole-v1", "model": "minilm"}
    cells.append({"what": "memory", **subject, "steps": 8192 // share, "pairs": 1})
    cells += [{"what": "sweep", **subject, "steps": 4096 // share, "pairs": min(pairs, 3), **shape} for shape in SWEEP]
    return cells


OTHER_BOUNDS = {
    ("scoring", "minilm"): (200.0, "Scoring a rollout of Pendulum-v1 by late fusion / transformers step by step"),
    ("scoring", "early minilm"): (5.0, "Scoring a rollout of Pendulum-v1 by early fusion / transformers step by step"),
    ("peak", "minilm"): (0.5, "FLOP/s of a fusion head's micro-batch / of a matrix product, float32"),
    ("peak", "early minilm"): (0.5, "FLOP/s of an early-fusion micro-batch / of a matrix product, float32"),
    ("memory", "minilm"): (1.5, "Peak memory of training PPO with minilm, GB (at most)"),
}


def claims(cells: list[Cell]) -> list[dict[str, object]]:
    """One for each cell with a bound."""
    judged = []
    for cell in cells:
        what, model, value = cell["what"], cell["model"], cell["ratio"]
        if what == "training":
            bound = BOUNDS[cell["algo"], cell["env"], model]
            name = f"{cell['algo']}-{cell['env']}-{model}"
            statement = f"{cell['algo'].upper()}, {cell['env']}: steps/s on {model} / plain SB3 on the true reward"
            if cell["env"] in TABLED:
                statement += f", warm (after {TABLED[cell['env']]:,} steps)"
        elif what in ("scoring", "peak", "memory"):
            bound, statement = OTHER_BOUNDS[what, model]
            name = f"{what}-{model}"
        else:
            continue
        if bound is not None:
            holds = value <= bound if what == "memory" else value >= bound
            judged.append(claim(name.replace(",", "").replace(" ", "-"), statement, value, bound=bound, holds=holds))
    return judged


def main() -> None:
    """Measure every row."""
    flags = {**JUDGE, "cold": "measure the cold starts alone, and put them into the result file"}
    options = arguments(__doc__, seeds=(0,), flags=flags)
    if options.judge or options.cold:
        cells: list[Cell] = json.loads(options.out.read_text(encoding="utf-8"))["cells"]
        if options.cold:
            begun = [cell for cell in grid(options.quick) if cell["what"] == "cold"]
            measured = run_cells(begun, measure, options.runs, processes=1)
            cells = [*(cell for cell in cells if cell["what"] != "cold"), *measured]
        judge_again(options.out, claims(cells), cells=cells)
        return
    cells = run_cells(grid(options.quick), measure, options.runs, processes=1)
    if not options.quick:
        draw(cells)
    write_results(
        options.out,
        cells,
        claims(cells),
        options.seeds,
        clock="CPU time of one thread, medians of pairs",
        precision="float32",
        torch_threads=1,
    )


if __name__ == "__main__":
    main()
