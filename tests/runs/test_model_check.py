"""A look at a reward before training: right ones, wrong ones, and those of which nothing is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rmgym.environments.collect import collect, sources_of
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.metrics import Sample, order_ci, spearman
from rmgym.models.base import as_texts
from rmgym.prediction import Prediction
from rmgym.runs.model_check import HELD_OUT_SEED, Earned, check_model
from rmgym.specs import EnvSpec
from rmgym.text.batch import TextBatch
from tests.doubles import ToyReward

ANGLE = re.compile(r"Next state:.*angle from upright in rad: (-?\d+\.\d+)")


@dataclass(frozen=True)
class Upright(ToyReward):
    """How near to upright a pendulum comes, or how far from it."""

    sign: float = 1.0

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        angles = np.array([float(ANGLE.search(text)[1]) for text in as_texts(texts).strings()])  # type: ignore[index]
        return Prediction((-self.sign * angles**2).astype(np.float32), np.zeros(len(angles), np.float32))


def test_a_reward_that_is_nearly_right_is_green_and_its_numbers_are_those_of_the_steps() -> None:
    found = check_model(Upright(), "Pendulum-v1", steps=6000)
    assert (found.light, found.findings, found.model) == ("green", (), "toy")
    taken = collect("Pendulum-v1", 6000, seed=HELD_OUT_SEED, policy={n: n for n in ("random", "sticky", "networks")})  # type: ignore[misc]
    from rmgym import textualizer

    learned = Upright().predict(textualizer("Pendulum-v1").batch(taken)).mean
    assert found.agreement["all"].spearman == pytest.approx(spearman(learned, taken.true_reward))
    assert found.agreement["all"].steps == 6000
    assert found.agreement["truncated"].steps == 30
    whole, names = in_whole_episode(taken), np.array(sources_of(taken))
    sums = [np.bincount(taken.episode[whole], part[whole]) for part in (learned, taken.true_reward)]
    assert found.alignment == pytest.approx(order_ci(*sums))
    sticky = next(e for e in found.earned if e.policy == "sticky")
    assert sticky.true == pytest.approx(Sample.of(sums[1][np.unique(taken.episode[names == "sticky"])]))
    assert check_model(Upright(), "Pendulum-v1", steps=6000).to_json() == found.to_json()
    json.dumps(found.to_json())


def test_a_reward_the_wrong_way_round_is_red_and_says_on_which_steps() -> None:
    found = check_model(Upright(sign=-1.0), "Pendulum-v1", steps=3000)
    assert found.light == "red"
    said = " ".join(finding.text for finding in found.findings)
    assert "not put in their order: Somers' D -" in said
    assert "wrong way round (all)" in said
    worst = found.disagreements[0]
    assert abs(worst.learned_place - worst.true_place) > 0.9
    assert "upright" in worst.text
    assert len({each.text for each in found.disagreements}) == 10
    assert worst.shares[0].field == "angle from upright in rad"  # all that this model reads
    assert worst.shares[1].amount == 0


def test_a_policy_that_games_a_reward_is_named() -> None:
    @dataclass(frozen=True)
    class Tired(ToyReward):
        """Every step of a pole that is up costs something, so that the quickest to drop it earns most."""

        def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
            return Prediction(np.full(len(texts), -1, np.float32), np.zeros(len(texts), np.float32))

    found = check_model(Tired(), "CartPole-v1", steps=1200, policies={"left": lambda _: 0})
    assert found.light == "red"
    said = [finding.text for finding in found.findings if finding.light == "red"]
    assert any("'left' earns more of the learned reward than 'random' (-9" in text for text in said)
    assert any("less of the true one (9" in text for text in said)


def test_policies_are_apart_beyond_chance_alone() -> None:
    one = Earned(policy="a", true=Sample(10, 1, 4), learned=Sample(0, 1, 4))
    other = Earned(policy="b", true=Sample(8, 1, 4), learned=Sample(1, 1, 4))  # 2 = 2.8, 1 = 1.4 standard errors
    assert (one.clearly(other, "true"), other.clearly(one, "true"), one.clearly(other, "learned")) == (1, -1, 0)
    assert one.clearly(replace(other, true=Sample(-100, math.nan, 1)), "true") == 0


def test_the_best_response_to_a_table_decides() -> None:
    found = check_model("constant", "FrozenLake-v1", steps=600)
    assert found.light == "red"
    assert any("whoever is best by the learned reward earns 0;" in f.text for f in found.findings)
    assert any(f.text == "the learned reward is 1 at every step" for f in found.findings)
    assert check_model("true", "FrozenLake-v1", steps=600).light in ("green", "amber")


def test_where_the_true_reward_tells_nothing_there_is_no_light() -> None:
    ends = EnvSpec(id="MountainCar-v0")
    found = check_model("random", ends, steps=1500)
    assert found.light == "none"
    few = check_model("true", "Pendulum-v1", steps=600)
    assert few.light == "amber"
    assert "only 3 whole episodes" in few.findings[0].text
    assert math.isnan(few.agreement["truncated"].spearman)
    alive = check_model("true", "CartPole-v1", steps=3000)  # one for each step: it is right, and nothing but survival
    assert (alive.light, alive.alignment.value) == ("amber", 1)
    assert "surviving pays" in alive.findings[-1].text


def test_a_sparse_reward_that_orders_all_episodes_is_not_held_against_it() -> None:
    lake = EnvSpec(id="FrozenLake-v1", kwargs={"is_slippery": False})
    found = check_model("true", lake, steps=6000)
    assert found.alignment.value == 1
    assert found.light in ("green", "amber")
    assert all("in their order" not in f.text or f.light == "amber" for f in found.findings)
    unreached = check_model("constant", EnvSpec(id="FrozenLake-v1", kwargs={"map_name": "8x8"}), steps=600)
    assert unreached.light == "red"  # nobody came to the goal, and the table tells all the same
