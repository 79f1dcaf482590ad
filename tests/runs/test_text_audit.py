"""What a card loses on the way from arrays to words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import RunError
from rmgym.runs.text_audit import Kept, TextAudit, audit_texts
from rmgym.specs import EnvSpec
from rmgym.text.distinct import ToldApart

CARDS = Path(__file__).resolve().parents[2] / "envs"


def worse_card(folder: Path) -> Path:
    """CartPole's, which says the size of the angle to two decimals, and the cart's position not at all."""
    text = (CARDS / "CartPole-v1.toml").read_text(encoding="utf-8")
    text = text.replace('path = "2"\n', 'path = "2"\nshown = false\n', 1)
    text = text.replace('path = "0"\n', 'path = "0"\nshown = false\n', 1)
    size = '[[derived]]\nkey = "lean"\nexpression = "abs(angle)"\n'
    size += 'name = { en = "pole lean", zh = "倾斜" }\ndecimals = 2\n\n'
    file = folder / "CartPole-v1.toml"
    file.write_text(text.replace("[[action]]", size + "[[action]]", 1), encoding="utf-8")
    return file


@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1", "Taxi-v4", "LunarLander-v3"])
def test_our_cards_keep_every_number(env: str) -> None:
    audit = audit_texts(env)
    assert audit.findings == ()
    assert min(kept.share for kept in audit.kept) > 0.99
    assert audit.told_apart.collisions <= 3
    assert math.isnan(audit.explained) or audit.explained > 0.9999


def test_a_card_that_says_a_size_alone_is_flagged(tmp_path: Path) -> None:
    audit = audit_texts(EnvSpec(id="CartPole-v1", card=str(worse_card(tmp_path))))
    by_name = {kept.value: kept for kept in audit.kept}
    assert by_name["observation[2]"].sign_is_lost
    assert not by_name["observation[3]"].is_lost
    assert by_name["observation[0]"].is_lost
    assert not by_name["observation[0]"].sign_is_lost
    said = "; ".join(audit.findings)
    assert "observation[2]: its sign is lost, its size follows from the text to R² " in said
    assert "observation[0]: does not follow from the text" in said


def test_what_a_reward_cannot_know_is_told_by_steps_of_one_text(tmp_path: Path) -> None:
    chance = audit_texts("Blackjack-v1")  # the dealer's hidden cards decide
    assert 0.3 < chance.explained < 0.7
    assert "left to chance" in chance.findings[0]


def test_a_picture_is_said_to_be_too_large() -> None:
    audit = audit_texts("MiniGrid-Empty-5x5-v0", steps=600)
    assert "observation image" in audit.left_out
    assert {kept.value for kept in audit.kept} == {"observation direction", "action", "next observation direction"}
    assert any(finding.startswith("observation image: too large") for finding in audit.findings)
    assert json.loads(json.dumps(audit.to_json()))["left_out"] == list(audit.left_out)


def test_tokens_that_a_language_model_does_not_know() -> None:
    english = audit_texts("Pendulum-v1", steps=300, backbones=["minilm"]).tokens[0]
    chinese = audit_texts(EnvSpec(id="Pendulum-v1", language="zh"), steps=300, backbones=["minilm"]).tokens[0]
    assert english.unknown == 0
    assert 0.2 < chinese.unknown < 0.8
    assert 60 < english.longest < 120


def test_few_collisions_are_no_finding() -> None:
    def audit(collisions: int) -> TextAudit:
        kept = (Kept(value="action", share=0.95, size_share=np.nan, error=0.0),)
        apart = ToldApart(steps=1000, collisions=collisions)
        return TextAudit(
            env="x",
            card=None,
            steps=1000,
            told_apart=apart,
            explained=math.nan,
            kept=kept,
            left_out=(),
            templates=1,
            phrases=0,
            numbers=1,
            characters=9,
            tokens=(),
        )

    assert audit(10).findings == ()
    assert audit(11).findings == (
        "11 of 1000 different steps have the text of another one: no reward model can tell them apart",
    )


def test_what_was_not_judged_is_not_called_kept() -> None:
    still = Kept(value="action", share=math.nan, size_share=math.nan, error=0.0)
    assert not still.is_judged
    assert not still.is_lost
    with pytest.raises(RunError, match="200 or more"):
        audit_texts("CartPole-v1", steps=100)


def test_texts_of_too_many_phrases_are_not_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmgym.runs.text_audit.MOST_COLUMNS", 10)
    audit = audit_texts("Taxi-v4", steps=300)
    assert audit.kept == ()
    assert "too many phrases" in audit.findings[-1]
