"""The report: one HTML file that works offline, and the same numbers as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from rmgym.bench import asked, figures
from rmgym.bench.compare import Match, compare
from rmgym.bench.table import cells, headers
from rmgym.bench.verdict import Verdict, verdict
from rmgym.bench.words import number, percent
from rmgym.runs.record import Run
from rmgym.storage.atomic import write_text
from rmgym.storage.provenance import versions


def write_report(
    runs: Sequence[Run], path: str | os.PathLike[str], *, title: str = "Learned and true return", about: str = ""
) -> Path:
    """Write the HTML report of runs, finished or not, atomically.

    Args:
        runs: what :func:`rmgym.bench.read_runs` found.
        path: the HTML file.
        title: its heading.
        about: one sentence under the heading.

    Raises:
        StorageError: it cannot be written.
    """
    return write_text(path, render(runs, title=title, about=about), what="a report")


def render(runs: Sequence[Run], *, title: str, about: str = "") -> str:
    """The report as a string: styles, data and plotly.js are inside it, nothing is fetched when it is opened."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    matches = compare(runs)
    look = figures.styles(matches)
    drawn = {f"{kind}-{i}": figure for i, match in enumerate(matches) for kind, figure in _figures(match, look).items()}
    body = [_overview(matches)] if len(matches) > 1 else []
    body += [_section(i, match, drawn) for i, match in enumerate(matches)]
    page = Template(files("rmgym.bench").joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title),
        about=f'<p class="about">{escape(about)}</p>' if about else "",
        legend=_legend(look),
        body="\n".join(body),
        versions=escape("Made with " + ", ".join(f"{name} {version}" for name, version in versions().items()) + "."),
        figures=_script_json(drawn),
        plotly=get_plotlyjs(),
    )


def results(runs: Sequence[Run], *, name: str = "") -> dict[str, object]:
    """The report's numbers as JSON-able values; unknown numbers are None."""
    matches = compare(runs)
    content = {
        "schema": 1,
        "name": name,
        "versions": versions(),
        "matches": [
            {**match.to_json(), "verdict": {"mark": v.mark, "headline": v.headline, "sentences": list(v.sentences)}}
            for match in matches
            for v in [verdict(match)]
        ],
    }
    return {key: _without_nan(value) for key, value in content.items()}


def _overview(matches: Sequence[Match]) -> str:
    """One line per match, for reports with several."""
    rows = "".join(
        f'<tr class="{v.mark}"><td><a href="#match-{i}">{escape(match.title)}</a></td>'
        f'<td class="said">{escape(v.headline)}</td></tr>'
        for i, match in enumerate(matches)
        for v in [verdict(match)]
    )
    return f'<section><div class="card scroll"><table>{rows}</table></div></section>'


def _figures(match: Match, look: dict[str, figures.Style]) -> dict[str, figures.Figure]:
    """The plots of one match; those of single steps by the place of their arm."""
    drawn = {
        "true": figures.curves(match, look, "true_return_mean"),
        "learned": figures.curves(match, look, "learned_return_mean"),
        "arms": figures.arms(match, look),
    }
    if match.measure is not None:
        drawn["measure"] = figures.curves(match, look, "measure_mean")
    if match.has_success:
        drawn["success"] = figures.curves(match, look, "success_rate")
    points = {j: figures.scatter(arm, look[arm.reward]) for j, arm in enumerate(match.arms) if arm.kind != "true"}
    return drawn | {f"scatter-{j}": figure for j, figure in points.items() if figure is not None}


def _section(i: int, match: Match, drawn: Mapping[str, figures.Figure]) -> str:
    """Verdict, places of the plots that were drawn, and table of one match."""
    running = f'<span class="status">{match.unfinished} running</span>' if match.unfinished else ""
    parts = [
        f'<section id="match-{i}"><div class="head"><h2>{escape(match.title)}</h2>{running}</div>',
        _verdict(match, verdict(match)),
    ]

    def card(kind: str, heading: str) -> str:
        return f'<div class="card"><h3>{escape(heading)}</h3><div class="plot" id="{kind}-{i}"></div></div>'

    earned = card("true", "True return: what the agents earn")
    predicted = card("learned", "Learned return: what the model says")
    compared = card("arms", "True return at the end, every arm")
    scatters = [
        card(f"scatter-{j}", f"{arm.reward}, per step: Pearson {number(arm.pearson.value)}")
        for j, arm in enumerate(match.arms)
        if f"scatter-{j}-{i}" in drawn
    ]
    headings = {"measure": f"{match.measure}: your own measure", "success": "Success: share of episodes, by their info"}
    own = [card(kind, heading) for kind, heading in headings.items() if f"{kind}-{i}" in drawn]
    by_two = " even" if len(scatters) in (1, 3) else ""
    parts.append(f'<div class="row even">{earned}{predicted}</div>')
    if own:
        parts.append(f'<div class="row even">{"".join(own)}</div>')
    parts.append(f'<div class="row{by_two}">{compared}{"".join(scatters)}</div>')
    parts.append(_table(headers(match), cells(match)))
    for run in (arm.runs[0] for arm in match.arms if arm.runs[0].about.rounds):
        heading = f"{run.reward}, seed {run.seed}: what was asked, round by round"
        rows = asked.cells(run.about.rounds, run.evaluations)
        parts.append(_table(asked.HEADERS, rows, heading))
    return "\n".join([*parts, "</section>"])


def _verdict(match: Match, judged: Verdict) -> str:
    share = match.learned[0].share.value if match.learned else math.nan
    unit = '<span class="unit">of the random-to-true range</span>'
    big = f'<div class="big">{percent(share)}{unit}</div>' if math.isfinite(share) else ""
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in judged.sentences)
    text = f'<div><div class="headline">{escape(judged.headline)}</div><ul>{sentences}</ul></div>'
    return f'<div class="card verdict {judged.mark}">{big}{text}</div>'


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], heading: str = "") -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    above = f"<h3>{escape(heading)}</h3>" if heading else ""
    return f'<div class="card scroll">{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


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


def _script_json(content: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_nan(content: object) -> object:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    return [_without_nan(value) for value in content] if isinstance(content, list | tuple) else content
