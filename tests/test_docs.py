"""The pages of docs/ are true, complete and a site (those with a test of their own aside)."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from tests.models.conftest import smollm2 as smollm2

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_tables_of_keys_are_those_of_the_code() -> None:
    written = runpy.run_path(str(DOCS / "keys.py"))["written"]
    pages = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    assert [name for name, text in pages.items() if written(text) != text] == [], "fix: python docs/keys.py"
    assert all(
        f"| `{key}` |" in pages["suites.md"] for key in ("environments", "target", "ratings", "max_steps", "heads")
    )
    assert all(f"| `{key}` |" in pages["cards.md"] for key in ("observation", "decimals", "hyperparameters"))


def test_every_page_is_on_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    assert {path.name for path in DOCS.glob("*.md")} == set(re.findall(r"docs/([\w-]+\.md)", nav))


def test_links_lead_to_files_of_the_checkout() -> None:
    for page in [*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_reward_is_checked_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("check.md", "python")
    exec(block, {})
    light, share, *reasons = capsys.readouterr().out.splitlines()
    assert (light, share) == ("red", "share of the best: 0%")
    assert any("at every step" in reason for reason in reasons)


def test_more_labels_explain_more(capsys: pytest.CaptureFixture[str]) -> None:
    labels, sources = blocks("choosing.md", "python")
    names = dict[str, object]()
    exec(labels, names)
    few, many = capsys.readouterr().out.splitlines()
    assert (few.split()[0], many.split()[0]) == ("30", "120")
    held_out = [float(re.findall(r"R2 (-?[\d.]+)", line)[1]) for line in (few, many)]
    assert held_out[0] < held_out[1]
    assert held_out[1] > 0.8
    exec(sources, names)
    assert capsys.readouterr().out == "{'random': 100, 'towards the top': 100}\n"


def test_the_loop_of_the_page_asks_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("loop.md", "python")
    exec(block, {})
    asked = [line.split(" ", 2) for line in capsys.readouterr().out.splitlines()]
    assert [int(row[1]) for row in asked[:3]] == [35, 38, 40]
    assert Path(asked[3][1]).name == "model"


def test_one_who_is_turned_round_is_set_aside_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("cleaning.md", "python")
    exec(block, {})
    first, *others, last = capsys.readouterr().out.splitlines()
    aside = int(re.findall(r"cleaning: (\d+) of 300", first)[0])
    assert [re.findall(r"^  (\w+): \d+ of (\w+):", line) for line in others] == [[("reversed", "turned")]]
    assert last == f"{300 - aside} of 300 labels"
    assert 40 < aside < 80


@pytest.mark.usefixtures("smollm2")
def test_a_judge_is_measured_and_taken_or_refused_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = blocks("judges.md", "python")
    exec(block, {})
    measured, verdict = capsys.readouterr().out.splitlines()
    share = re.fullmatch(r"ratings: \d+% of 20 pairs in order \(95 % interval (\d+)% to \d+%; order by .*\)", measured)
    assert share is not None, measured
    assert verdict == ("taken" if int(share[1]) >= 50 else "refused")


def test_the_suite_of_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("suites.md", "toml")
    Path("small.toml").write_text(block, encoding="utf-8")
    command = next(line for text in blocks("suites.md", "sh") for line in text.splitlines() if "--dry-run" in line)
    result = CliRunner().invoke(app, command.split()[1:], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    assert "30 cells in runs/small: 12 to fit a reward model, 18 to train an agent; 0 done." in result.stdout
    assert not Path("runs").exists()
