"""What is named module:name is imported, or refused with the nearest name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rmgym.errors import FeedbackError
from rmgym.imports import imported


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "imp_rewards.py").write_text("LIMIT = 2\ndef comfort(steps):\n    return 1\n", encoding="utf-8")
    (tmp_path / "imp_broken.py").write_text("import imp_rewards\n\nimport not_installed_anywhere\n", encoding="utf-8")
    (tmp_path / "imp_ends.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    (tmp_path / "imp_wrong.py").write_text("def comfort(:\n", encoding="utf-8")
    yield tmp_path
    for name in ("imp_rewards", "imp_broken", "imp_wrong"):
        sys.modules.pop(name, None)


def test_names_are_found(here: Path) -> None:
    assert imported("imp_rewards:LIMIT", FeedbackError) == 2
    assert imported("imp_rewards:comfort.__name__", FeedbackError) == "comfort"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("comfort", "module:name"),
        ("imp_rewards:", "module:name"),
        ("./imp_rewards.py:comfort", "module:name"),
        ("imp_rewards:confort", "(?s)received: confort.*did you mean 'comfort'"),
        ("imp_reward:comfort", "(?s)current folder.*did you mean 'imp_rewards'"),
        ("far.away:comfort", "(?s)current folder.*in the folder of far/away.py"),
        ("imp_rewards.inner:comfort", "can be imported"),
        ("imp_broken:comfort", r"(?s)not_installed_anywhere.*imp_broken.py, line 3.*import imp_broken"),
        ("imp_ends:comfort", r"SystemExit: 3 \(imp_ends.py, line 1\)"),
        ("imp_wrong:comfort", "(?s)SyntaxError.*import imp_wrong"),
    ],
)
def test_what_is_not_there_is_explained(here: Path, name: str, rule: str) -> None:
    with pytest.raises(FeedbackError, match=rule):
        imported(name, FeedbackError)
