"""Learned and true return over steps as a PNG, for pages that cannot show the HTML report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rmgym.bench.arms import Arm
from rmgym.bench.compare import Match, compare, mean_curve
from rmgym.bench.figures import Style, styles
from rmgym.runs.record import Run
from rmgym.storage.atomic import replacing


def write_picture(runs: Sequence[Run], path: str | os.PathLike[str]) -> Path:
    """Draw one row per match: true return of every arm on the left, learned return of the learned arms on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    matches = compare(runs)
    look = styles(matches)
    figure = Figure(figsize=(10, 3.6 * len(matches)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(matches), 2, squeeze=False)
    for (left, right), match in zip(grid, matches, strict=True):
        for arm in match.arms:
            _draw(left, arm, look[arm.reward], "true_return_mean")
        for arm in match.learned:
            _draw(right, arm, look[arm.reward], "learned_return_mean")
        _references(left, match)
        left.set_title(f"{match.title}: true return", loc="left", fontsize=11, fontweight="bold")
        right.set_title("learned return, same episodes", loc="left", fontsize=11, fontweight="bold")
        left.legend(frameon=False, fontsize=9)
        for axes in (left, right):
            axes.set_xlabel("training steps", fontsize=9)
            axes.tick_params(labelsize=9)
            axes.grid(color="#ececef", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.spines[["top", "right"]].set_visible(False)
    target = Path(path)
    with replacing(target, what="a picture") as file:
        figure.savefig(file, format="png")
    return target


def _draw(axes: object, arm: Arm, style: Style, column: str) -> None:
    """Seeds faint, mean bold."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    drawn = [run for run in arm.runs if len(run.curve["steps"])]
    if not drawn:
        return
    for run in drawn if len(drawn) > 1 else []:
        axes.plot(run.curve["steps"], run.comparable(column), color=style.colour, alpha=0.25, linewidth=0.9)
    steps, values = mean_curve(drawn, column)
    dash = {"solid": "-", "dash": "--", "dot": ":"}[style.dash]
    axes.plot(steps, values, color=style.colour, linewidth=2.2, linestyle=dash, label=arm.reward)


def _references(axes: object, match: Match) -> None:
    import math

    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    if math.isfinite(match.random_return):
        axes.margins(y=0.12)
        axes.axhline(match.random_return, color="#8a8f98", linewidth=1, linestyle=":")
        axes.annotate(
            "random policy", (1, match.random_return), xycoords=("axes fraction", "data"), fontsize=8, color="#6b7280",
            ha="right", va="top",
        )  # fmt: skip
