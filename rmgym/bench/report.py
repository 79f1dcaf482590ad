"""The report: one HTML file that works offline, and the same numbers as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from rmgym.bench import figures
from rmgym.bench.compare import Match, compare
from rmgym.bench.store import Run
from rmgym.bench.table import HEADERS, cells
from rmgym.bench.verdict import Verdict, number, percent, verdict
from rmgym.bench.writing import write_atomically

_PACKAGES = ("rmgym", "gymnasium", "stable-baselines3", "torch", "transformers")


def write_report(
    runs: Sequence[Run], path: str | os.PathLike[str], *, title: str = "Learned and true return", about: str = ""
) -> Path:
    """Write the HTML report of runs, finished or not, atomically.

    Args:
        runs: what :func:`rmgym.bench.read_runs` found.
        path: the HTML file.
        title: its heading.
        about: one sentence under the heading.
    """
    return write_atomically(path, render(runs, title=title, about=about))


def render(runs: Sequence[Run], *, title: str, about: str = "") -> str:
    """The report as a string: styles, data and plotly.js are inside it, nothing is fetched when it is opened."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    matches = compare(runs)
    look = figures.styles(matches)
    drawn: dict[str, figures.Figure] = {}
    body = [_overview(matches)] if len(matches) > 1 else []
    body += [_section(i, match, look, drawn) for i, match in enumerate(matches)]
    page = Template(files("rmgym.bench").joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title),
        about=f'<p class="about">{escape(about)}</p>' if about else "",
        legend=_legend(look),
        body="\n".join(body),
        versions=escape("Made with " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES) + "."),
        figures=_script_json(drawn),
        plotly=get_plotlyjs(),
    )


def results(runs: Sequence[Run], *, name: str = "") -> dict[str, Any]:
    """The report's numbers as JSON-able values; unknown numbers are None."""
    matches = compare(runs)
    said = {
        "schema": 1,
        "name": name,
        "versions": {package: version(package) for package in _PACKAGES},
        "matches": [
            {**match.to_json(), "verdict": {"mark": v.mark, "headline": v.headline, "sentences": list(v.sentences)}}
            for match in matches
            for v in [verdict(match)]
        ],
    }
    return _without_nan(said)  # type: ignore[no-any-return]


def _overview(matches: Sequence[Match]) -> str:
    """One line per match, for reports with several."""
    rows = "".join(
        f'<tr class="{v.mark}"><td><a href="#match-{i}">{escape(_heading(match))}</a></td>'
        f'<td class="said">{escape(v.headline)}</td></tr>'
        for i, match in enumerate(matches)
        for v in [verdict(match)]
    )
    return f'<section><div class="card scroll"><table>{rows}</table></div></section>'


def _heading(match: Match) -> str:
    return f"{match.task} · {match.algo.upper()}"


def _section(i: int, match: Match, look: dict[str, figures.Style], drawn: dict[str, figures.Figure]) -> str:
    """Verdict, plots and table of one match; its figures are added to ``drawn``."""
    running = f'<span class="status">{match.unfinished} running</span>' if match.unfinished else ""
    parts = [
        f'<section id="match-{i}"><div class="head"><h2>{escape(_heading(match))}</h2>{running}</div>',
        _verdict(match, verdict(match)),
    ]

    def card(kind: str, heading: str, figure: figures.Figure) -> str:
        drawn[f"{kind}-{i}"] = figure
        return f'<div class="card"><h3>{escape(heading)}</h3><div class="plot" id="{kind}-{i}"></div></div>'

    earned = card("true", "True return: what the agents earn", figures.curves(match, look, "true_return_mean"))
    said = card("learned", "Learned return: what the model says", figures.curves(match, look, "learned_return_mean"))
    compared = card("arms", "True return at the end, every arm", figures.arms(match, look))
    points = {f"scatter-{j}": (arm, figures.scatter(arm, look[arm.reward])) for j, arm in enumerate(match.arms)}
    scatters = [
        card(kind, f"{arm.reward}, per step: Pearson {number(arm.pearson.value)}", figure)
        for kind, (arm, figure) in points.items()
        if figure is not None and arm.kind != "true"
    ]
    by_two = " even" if len(scatters) in (1, 3) else ""
    parts.append(f'<div class="row even">{earned}{said}</div>')
    parts.append(f'<div class="row{by_two}">{compared}{"".join(scatters)}</div>')
    return "\n".join([*parts, _table(match), "</section>"])


def _verdict(match: Match, said: Verdict) -> str:
    share = match.learned[0].share.value if match.learned else math.nan
    unit = '<span class="unit">of the random-to-true range</span>'
    big = f'<div class="big">{percent(share)}{unit}</div>' if math.isfinite(share) else ""
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in said.sentences)
    text = f'<div><div class="headline">{escape(said.headline)}</div><ul>{sentences}</ul></div>'
    return f'<div class="card verdict {said.mark}">{big}{text}</div>'


def _table(match: Match) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in HEADERS)
    rows = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in cells(match))
    return f'<div class="card scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    value, bracket, rest = escape(text).partition(" [")
    return f'{value}<span class="ci">{bracket}{rest}</span>' if bracket else value


def _legend(look: dict[str, figures.Style]) -> str:
    dashes = {"solid": "", "dash": "7 4", "dot": "2 4"}
    items = "".join(
        '<li><svg width="30" height="10" aria-hidden="true"><line x1="1" y1="5" x2="29" y2="5" '
        f'stroke="{style.colour}" stroke-width="3" stroke-dasharray="{dashes[style.dash]}"/></svg>'
        f"<b>{escape(name)}</b></li>"
        for name, style in look.items()
    )
    return f'<ul class="legend">{items}</ul>'


def _script_json(content: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_nan(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    return [_without_nan(value) for value in content] if isinstance(content, list | tuple) else content
