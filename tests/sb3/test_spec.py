"""What records say of a reward: what it knows, and from how many labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmgym.composition import Composition
from rmgym.distillation.distil import distil
from rmgym.models import RewardModel, create_reward_model
from rmgym.sb3.spec import describe_reward
from rmgym.scoring.cached import CachedReward
from rmgym.training import FitOptions, fit
from rmgym.wrappers.source import Loaded
from tests.doubles import ToyReward
from tests.training.small import SmallReward, make_ratings, make_texts


@pytest.mark.parametrize(("name", "kind"), [("true", "true"), ("random", "control"), ("constant", "control")])
def test_controls_know_nothing(name: str, kind: str) -> None:
    loaded: Loaded = "true" if name == "true" else create_reward_model(name)
    reward = describe_reward(name, loaded, composition=Composition())
    assert (reward.kind, reward.labels) == (kind, 0)


def test_a_model_of_the_users_is_learned_from_who_knows_how_many_labels() -> None:
    reward = describe_reward(ToyReward(), ToyReward(), composition=Composition())
    assert (reward.kind, reward.labels) == ("learned", None)


@pytest.mark.parametrize(("teacher", "kind"), [(ToyReward(), "learned"), (create_reward_model("random"), "control")])
def test_a_student_knows_what_its_teacher_does_and_counts_no_labels(teacher: RewardModel, kind: str) -> None:
    student = distil(teacher, make_texts(20), SmallReward.create(), FitOptions(max_steps=2), progress=False).model
    reward = describe_reward(student, student, composition=Composition())
    assert (reward.kind, reward.labels) == (kind, None)


def test_a_student_of_permuted_labels_is_a_control_and_so_is_its_student() -> None:
    options = FitOptions(max_steps=2, validation=0, shuffle_labels=True)
    model: RewardModel = fit(SmallReward.create(), make_ratings(12), options, progress=False).model
    for _ in range(2):
        model = distil(model, make_texts(20), SmallReward.create(), FitOptions(max_steps=2), progress=False).model
        reward = describe_reward(model, model, composition=Composition())
        assert (reward.kind, reward.labels) == ("shuffled", None)


@pytest.mark.parametrize(("shuffle", "kind"), [(False, "learned"), (True, "shuffled")])
def test_a_fitted_model_says_on_how_many_labels_and_whether_they_were_shuffled(
    tmp_path: Path, shuffle: bool, kind: str
) -> None:
    options = FitOptions(max_steps=2, validation=0, shuffle_labels=shuffle)
    model = fit(SmallReward.create(), make_ratings(12), options, progress=False).model
    for loaded in (model, CachedReward(model, tmp_path / "scores.sqlite")):
        reward = describe_reward(loaded, loaded, composition=Composition())
        assert (reward.kind, reward.labels) == (kind, 12)
