"""The picture of throughput.py: what environments, rollout length and model size cost."""

from __future__ import annotations

from pathlib import Path

from common import Cell


def draw(swept: list[Cell]) -> None:
    """Steps per second against environments, rollout length and model size: docs/throughput.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    blocks = (
        ("n_envs", "environments (256 steps a rollout)", {"width": 128, "steps": 256}),
        ("n_steps", "steps of a rollout in each of 8 environments", {"width": 128, "n_envs": 8}),
        ("width", "width of the five heads (8 environments, 32 steps)", {"n_envs": 8, "n_steps": 32}),
    )
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.8), sharey=True)
    for axis, (name, label, same) in zip(axes, blocks, strict=True):
        shaped = [(cell, {**cell, "steps": cell["n_envs"] * cell["n_steps"]}) for cell in swept]
        picked = [cell for cell, shape in shaped if all(shape[key] == value for key, value in same.items())]
        picked.sort(key=lambda cell: cell[name])
        for key, legend, style in (("plain", "true reward, plain SB3", "o--"), ("learned", "minilm, five heads", "o-")):
            axis.plot([c[name] for c in picked], [c[f"{key}_steps_per_second"] for c in picked], style, label=legend)
        axis.set_xscale("log", base=2)
        axis.set_xticks([c[name] for c in picked], [str(c[name]) for c in picked])
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("PPO steps per second of CPU, CartPole-v1")
    axes[0].set_ylim(bottom=0)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(Path(__file__).parent.parent / "docs" / "throughput.png", dpi=110)
