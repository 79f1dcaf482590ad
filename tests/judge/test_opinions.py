"""Ratings and comparisons are what the probabilities of a judge's answers say, recomputed here by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym.errors import JudgeError
from rmgym.judge.answer_file import AnswerFile
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.judge_options import JudgeOptions
from rmgym.judge.opinions import Judge
from rmgym.judge.prompt_files import Prompts
from rmgym.judge.spending import Prices, Spending
from tests.judge.fakes import FakeClient, Opinion, by_height, heights, step

HIGH, LOW = [step(0.9)], [step(0.2)]


def judge_of(path: Path, opinion: Opinion, identity: str = "fake", **options: Any) -> Judge:
    client = FakeClient(opinion, identity)
    return Judge(
        Inquiry(client, AnswerFile(path / "answers.sqlite"), Spending(Prices()), progress=False),
        JudgeOptions(**options),
    )


def test_a_rating_is_the_expected_level_and_its_spread(tmp_path: Path) -> None:
    def opinion(prompt: str) -> Mapping[str, float]:
        return {"2": 0.5, "6": 0.25, "7": 0.25}

    mean, spread = judge_of(tmp_path, opinion, content_free=False).rate([HIGH])
    values, chances = np.array([3, 7, 8]), np.array([0.5, 0.25, 0.25])
    assert mean[0] == pytest.approx(values @ chances, abs=1e-6)
    assert spread[0] == pytest.approx(np.sqrt(chances @ (values - values @ chances) ** 2), abs=1e-5)


def test_what_is_answered_about_nothing_is_divided_out(tmp_path: Path) -> None:
    """A judge that likes 9 whatever is asked, and says nothing of the step itself, rates in the middle."""

    def opinion(prompt: str) -> Mapping[str, float]:
        return {str(digit): 0.7 if digit == 9 else 0.3 / 9 for digit in range(10)}

    assert judge_of(tmp_path, opinion, content_free=False).rate([HIGH]).mean[0] > 8
    assert judge_of(tmp_path, opinion).rate([HIGH]).mean[0] == pytest.approx(5.5)


def test_content_free_bias_is_the_mean_over_what_stands_for_nothing(tmp_path: Path) -> None:
    free = {"N/A": 0.2, "[MASK]": 0.5, "": 0.8}

    def opinion(prompt: str) -> Mapping[str, float]:
        if heights(prompt):
            return {"0": 0.4, "1": 0.6}
        nothing = "N/A" if "N/A" in prompt else "[MASK]" if "[MASK]" in prompt else ""
        return {"0": free[nothing], "1": 1 - free[nothing]}

    mean = judge_of(tmp_path, opinion, levels=2).rate([HIGH]).mean[0]
    left, right = 0.4 / 0.5, 0.6 / 0.5  # over the means of both
    assert mean == pytest.approx(1 + right / (left + right))


@pytest.mark.parametrize("silent", [{"N/A"}, {"N/A", ""}, {"N/A", "[MASK]", ""}])
def test_what_is_not_answered_about_nothing_is_left_out_of_the_mean(tmp_path: Path, silent: set[str]) -> None:
    def opinion(prompt: str) -> Mapping[str, float]:
        if heights(prompt):
            return {"0": 0.2, "1": 0.8}
        nothing = "N/A" if "N/A" in prompt else "[MASK]" if "[MASK]" in prompt else ""
        return {} if nothing in silent else {"0": 0.2, "1": 0.8}

    judge = judge_of(tmp_path, opinion, levels=2)
    if len(silent) < 3:
        assert judge.rate([HIGH]).mean[0] == pytest.approx(1.5)
        return
    with pytest.raises(JudgeError, match=r"corrected by what it answers about nothing[\s\S]*content_free=false"):
        judge.rate([HIGH])


def test_a_taste_for_one_side_is_cancelled_by_both_orders(tmp_path: Path) -> None:
    judge = judge_of(tmp_path, by_height(1.0, taste=3.0))
    odds = judge.compare([HIGH, LOW], [LOW, HIGH])
    np.testing.assert_allclose(odds, [2.0, -2.0], atol=1e-6)


def test_in_one_order_it_is_measured_on_nothing(tmp_path: Path) -> None:
    options = {"both_orders": False}
    raw = judge_of(tmp_path, by_height(1.0, taste=3.0), content_free=False, **options).compare([HIGH, LOW], [LOW, HIGH])
    np.testing.assert_allclose(raw, [5.0, 1.0], atol=1e-6)
    odds = judge_of(tmp_path, by_height(1.0, taste=3.0), **options).compare([HIGH, LOW], [LOW, HIGH])
    np.testing.assert_allclose(odds, [2.0, -2.0], atol=1e-6)


def test_wordings_are_averaged(tmp_path: Path) -> None:
    def opinion(prompt: str) -> Mapping[str, float]:
        odds = 3.0 if prompt.startswith("You compare") else -1.0 if prompt.startswith("The goal") else 1.0
        odds *= 1 if heights(prompt)[0] > heights(prompt)[1] else -1
        return {"A": 1 / (1 + math.exp(-odds)), "B": 1 / (1 + math.exp(odds))}

    judge = judge_of(tmp_path, opinion, paraphrases=3)
    np.testing.assert_allclose(judge.compare([HIGH], [LOW]), [1.0], atol=1e-6)


def test_no_answer_is_no_opinion(tmp_path: Path) -> None:
    def opinion(prompt: str) -> Mapping[str, float]:
        return {} if 0.9 in heights(prompt) else by_height(1.0)(prompt)

    judge = judge_of(tmp_path, opinion)
    np.testing.assert_array_equal(np.isnan(judge.rate([HIGH, LOW]).mean), [True, False])
    np.testing.assert_array_equal(np.isnan(judge.compare([HIGH, LOW], [LOW, [step(0.1)]])), [True, False])
    assert len(judge.rate([]).mean) == len(judge.compare([], [])) == 0


def test_identity_names_all_that_decides(tmp_path: Path) -> None:
    def identity(identity: str = "fake", **options: Any) -> str:
        return judge_of(tmp_path, by_height(1.0), identity, **options).identity

    changed = [identity("other"), identity(levels=5), identity(content_free=False), identity(both_orders=False)]
    changed += [identity(paraphrases=2)]
    assert len({identity(), *changed}) == 6
    assert identity() == identity()
    assert Prompts.read().digest != Prompts.read(None, 2).digest
