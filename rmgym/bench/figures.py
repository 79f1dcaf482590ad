"""The report's plots as plotly figures (plain dictionaries), one style: a reward keeps its colour in all of them.

Colours are those of Okabe and Ito, told apart under every common colour blindness and on light and dark ground;
learned rewards, the true reward and controls differ in line style and marker as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rmgym.bench.arms import Arm
from rmgym.bench.compare import Match, mean_curve

Figure = dict[str, Any]

_LEARNED = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c6bb1")
_CONTROLS = ("#7f8794", "#a3896b", "#6f9a9a")
_TRUE = "#0072B2"
_MARKERS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon")
_MOST_POINTS = 800


@dataclass(frozen=True, kw_only=True)
class Style:
    """How an arm is drawn everywhere."""

    colour: str
    dash: str
    marker: str


def styles(matches: Iterable[Match]) -> dict[str, Style]:
    """One style per reward name, the same in every match."""
    kinds = {arm.reward: arm.kind for match in matches for arm in match.arms}
    style_of = dict[str, Style]()
    for i, name in enumerate(sorted(n for n, kind in kinds.items() if kind == "learned")):
        colour, marker = _LEARNED[i % len(_LEARNED)], _MARKERS[i % len(_MARKERS)]
        style_of[name] = Style(colour=colour, dash="solid", marker=marker)
    for name in (n for n, kind in kinds.items() if kind == "true"):
        style_of[name] = Style(colour=_TRUE, dash="dash", marker="cross")
    for i, name in enumerate(sorted(n for n, kind in kinds.items() if kind in ("shuffled", "control"))):
        style_of[name] = Style(colour=_CONTROLS[i % len(_CONTROLS)], dash="dot", marker="x")
    return style_of


Column = Literal["true_return_mean", "learned_return_mean", "measure_mean", "success_rate"]
"""What a curve is of."""


def curves(match: Match, style: dict[str, Style], column: Column) -> Figure:
    """Learned return of the learned arms, or anything else of every arm, over steps; seeds faint, their mean bold."""
    is_true = column == "true_return_mean"
    # Learned returns have units of their own: controls beside them would only squeeze the axis.
    shown = match.arms if column != "learned_return_mean" else match.learned or match.controls
    layout = _layout(300) | {"xaxis": _axis("training steps"), "yaxis": _axis("")}
    if is_true:
        layout["shapes"] = _references(match, "y", "x")
        layout["yaxis"] |= _room_for_references(match)
    return {"data": [t for arm in shown for t in _curve(arm, column, style[arm.reward])], "layout": layout}


def arms(match: Match, style: dict[str, Style]) -> Figure:
    """Final true return of every arm: each seed a faint point, the mean with its 95 % interval."""
    data = list[Figure]()
    evaluated = [arm for arm in match.arms if math.isfinite(arm.true_return.value)]
    for arm in reversed(evaluated):  # plotly draws the first category at the bottom
        look, seeds = style[arm.reward], [run.last("true_return_mean") for run in arm.runs]
        mean, low, high = arm.true_return[:3]
        if len(seeds) > 1:
            faint = {"symbol": "line-ns", "size": 15, "line": {"color": look.colour, "width": 2}, "opacity": 0.45}
            data.append(_points(seeds, [arm.reward] * len(seeds), arm.reward, faint))
        bold = _points([mean], [arm.reward], arm.reward, {"color": look.colour, "size": 12, "symbol": look.marker})
        if math.isfinite(low):
            bold["error_x"] = {
                "type": "data", "symmetric": False, "array": [high - mean], "arrayminus": [mean - low],
                "color": look.colour, "thickness": 2.5, "width": 6,
            }  # fmt: skip
        data.append(bold)
    layout = _layout(max(270, 64 + 44 * len(evaluated))) | {
        "margin": {"l": 56, "r": 12, "t": 22, "b": 44},
        "xaxis": _axis("true return at the last evaluation") | {"nticks": 5} | _room_for_references(match),
        "yaxis": {"type": "category", "automargin": True, "showgrid": False, "ticksuffix": "  "},
        "shapes": _references(match, "x", "y"),
    }
    return {"data": data, "layout": layout}


def scatter(arm: Arm, style: Style) -> Figure | None:
    """Predicted against true reward of single steps; None where there are none, or all are alike."""
    true, learned = _steps(arm)
    if len(set(true)) < 2 and len(set(learned)) < 2:
        return None
    marker = {"color": style.colour, "size": 4, "opacity": 0.45}
    layout = _layout(270) | {"xaxis": _axis("true reward of the step"), "yaxis": _axis("predicted")}
    return {"data": [_points(true, learned, arm.reward, marker)], "layout": layout}


def _curve(arm: Arm, column: str, style: Style) -> list[Figure]:
    """Each seed faint and the mean bold; a single seed only bold."""
    drawn = [run for run in arm.runs if len(run.curve.get(column, ()))]
    if not drawn:
        return []
    base = {"type": "scatter", "mode": "lines", "name": arm.reward}
    traces = [
        base
        | {
            "x": _list(run.curve["steps"]),
            "y": _list(run.comparable(column)),
            "opacity": 0.3,
            "line": {"color": style.colour, "width": 1},
            "hoverinfo": "skip",
        }
        for run in drawn
        if len(drawn) > 1
    ]
    steps, values = mean_curve(drawn, column)
    line = {"color": style.colour, "width": 3, "dash": style.dash}
    bold = {"x": _list(steps), "y": _list(values), "line": line, "mode": "lines+markers"}
    bold["marker"] = {"color": style.colour, "size": 6, "symbol": style.marker}
    return [*traces, base | bold]


def _points(x: Sequence[float], y: Sequence[float | str], name: str, marker: Figure) -> Figure:
    return {"type": "scatter", "mode": "markers", "name": name, "x": _list(x), "y": list(y), "marker": marker}


def _steps(arm: Arm) -> tuple[list[float], list[float]]:
    """An even sample of the evaluated steps of all runs."""
    pairs = [
        (t, p)
        for run in arm.runs
        for t, p in zip(run.steps["true_reward"].tolist(), run.steps["learned_reward"].tolist(), strict=True)
        if math.isfinite(t) and math.isfinite(p)
    ]
    chosen = np.linspace(0, len(pairs) - 1, min(len(pairs), _MOST_POINTS)).astype(int)
    return [round(pairs[i][0], 4) for i in chosen], [round(pairs[i][1], 4) for i in chosen]


def _references(match: Match, across: str, along: str) -> list[Figure]:
    """A line at a random policy's return, and one at the threshold, where they are known."""
    lines = [("random policy", match.random_return), ("threshold", match.threshold)]
    anchors = {"xanchor": "right", "yanchor": "top"} if across == "y" else {"xanchor": "left", "yanchor": "bottom"}
    return [
        {
            "type": "line", f"{across}ref": across, f"{along}ref": f"{along} domain",
            f"{across}0": value, f"{across}1": value, f"{along}0": 0, f"{along}1": 1, "layer": "below",
            "line": {"width": 1, "dash": "dot", "color": "#8a8f98"},
            "label": {"text": name, "font": {"size": 11, "color": "#8a8f98"}, "textposition": "end", "textangle": 0}
            | anchors,
        }
        for name, value in lines
        if value is not None and math.isfinite(value)
    ]  # fmt: skip


def _room_for_references(match: Match) -> Figure:
    """Plotly's ranges leave lines out; a tenth of the range below a random policy is room for its name."""
    if not math.isfinite(match.random_return):
        return {}
    below = 0.1 * abs(match.true_return - match.random_return) if math.isfinite(match.true_return) else 0.0
    return {"autorangeoptions": {"include": [match.random_return - below]}}


def _layout(height: int) -> Figure:
    return {
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 10, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "showlegend": False,
        "hovermode": "closest",
    }


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12}},
        "zeroline": False,
        "automargin": True,
        "nticks": 7,
        "tickangle": 0,
        "tickfont": {"size": 12},
    }


def _list(values: Iterable[float]) -> list[float | None]:
    """JSON-able numbers: what is not finite becomes a gap."""
    return [round(v, 4) if math.isfinite(v) else None for v in map(float, values)]
