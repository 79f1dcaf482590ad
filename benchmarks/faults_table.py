"""The tables of faults.py."""

from __future__ import annotations

from typing import Any

from markdown_table import table

Result = dict[str, Any]


def faults(result: Result) -> str:
    """What was asked for; then kills by job, hostile files by kind, the server, flipped bits by kind."""
    claims = [[c["statement"], f"{c['value']:g}", "yes" if c["holds"] else "no"] for c in result["claims"]]
    parts = [table(["what went wrong", "how often", "as asked for: never"], claims)]
    parts += [_kills(result), _hostile(result), _server(result), _flips(result)]
    machine = result["machine"]
    if "bound_minutes" in result:
        run, asked, bound = result["cells_run"], result["cells_asked"], result["bound_minutes"]
        parts.append(f"After {bound:g} minutes no cell was begun; {run} of {asked} were run.\n")
    parts.append(
        f"All cells took {result['minutes']:.0f} minutes together, on a machine of {machine['cores']} cores that other"
        f" work shared ({machine['architecture']}, {machine['system']}).\n"
    )
    return "\n".join(parts)


def _by(result: Result, what: str, name: str) -> dict[str, list[Result]]:
    cells = [cell for cell in result["cells"] if cell["what"] == what]
    return {each: [c for c in cells if c[name] == each] for each in dict.fromkeys(cell[name] for cell in cells)}


def _kills(result: Result) -> str:
    rows = []
    for job, cells in _by(result, "kills", "job").items():
        instants = [instant for cell in cells for instant in cell["instants"]]
        lives, lost = sum(cell["lives"] for cell in cells), sum(len(cell["lost"]) for cell in cells)
        differing = sum(len(cell["differing"]) for cell in cells)
        span = f"{100 * min(instants):.0f}–{100 * max(instants):.0f} %"
        rows.append([f"`rmgym {job}`", str(len(instants)), str(lives), span, str(lost), str(differing)])
    return table(["killed", "kills", "jobs", "instants, of the job's time", "lost", "differing"], rows)


def _hostile(result: Result) -> str:
    rows = []
    for kind, cells in _by(result, "hostile", "kind").items():
        came = [each for cell in cells for each in cell["came"]]
        refused = sum(each["code"] == 2 for each in came)
        counts = [sum(each[name] for each in came) for name in ("executed", "traceback", "escaped")]
        most = [f"{max(each[name] for each in came):.2g}" for name in ("gigabytes", "seconds")]
        rows.append([kind, str(len(came)), str(refused), *map(str, counts), *most])
    header = [
        "hostile",
        "files",
        "refused",
        "executed",
        "tracebacks",
        "acted on the terminal",
        "most GB",
        "longest (s)",
    ]
    return table(header, rows)


def _server(result: Result) -> str:
    rows = [
        [
            f"{cell['clients']} for {cell['length']} s",
            str(len(cell["killed"])),
            *(f"{cell[name]:,}" for name in ("done", "fewest", "wrong", "gave_up")),
            f"{cell['largest']:.1g}",
        ]
        for cell in result["cells"]
        if cell["what"] == "server"
    ]
    header = ["clients", "kills of the server", "answers", "fewest of one client", "wrong", "failed for good"]
    return table([*header, "largest difference, of the rewards' standard deviation"], rows)


def _flips(result: Result) -> str:
    rows = []
    for kind, cells in _by(result, "flips", "kind").items():
        counts = [sum(cell[name] for cell in cells) for name in ("done", "refused", "same", "silent", "crashed")]
        rows.append([kind, *map(str, counts)])
    return table(["bits flipped in", "flips", "refused", "same content", "other content", "other errors"], rows)
