"""A student answers for a slow model, is checked, and never strays further than it is allowed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rmgym
from rmgym.errors import FitError, HarnessError, ModelError
from rmgym.models import Prediction
from rmgym.models.base import as_texts
from rmgym.scoring.amortised import original
from tests.doubles import ToyReward
from tests.harness.small import DQN_SMALL, PPO_SMALL, parameters

QUICK: dict[str, Any] = {"warmup": 150, "fit_steps": 250, "student_options": {"heads": 2, "width": 32, "layers": 1}}


class Quadratic(ToyReward):
    """A reward that a student has to learn: the negative square of the first two numbers."""

    def predict(self, texts: Any) -> Prediction:
        batch = as_texts(texts)
        self.calls.append(len(batch))
        numbers = batch.numbers.reshape(len(batch), -1).astype(np.float64)
        mean = -((self.weight * numbers[:, :2]) ** 2).sum(1)
        return Prediction(mean.astype(np.float32), np.zeros(len(batch), np.float32))


class Drifting(Quadratic):
    """The same until it has read 400 texts; then the contrary. (No reward model may do so; an audit must see it.)"""

    def predict(self, texts: Any) -> Prediction:
        said = super().predict(texts)
        return said if sum(self.calls) < 400 else Prediction(-said.mean, said.std)


@pytest.fixture(scope="module")
def texts() -> Any:
    steps = rmgym.collect("Pendulum-v1", 3_000, reset_every=10, progress=False)
    return rmgym.textualizer("Pendulum-v1").batch(steps)


def batches(texts: Any, size: int = 200) -> list[Any]:
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def test_a_tolerance_of_zero_is_the_original(texts: Any) -> None:
    teacher = Quadratic()
    model = rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(tolerance=0, **QUICK))
    for batch in batches(texts):
        assert np.array_equal(model.predict(batch).mean, Quadratic().predict(batch).mean)
    assert sum(teacher.calls) == len(texts)
    assert model.statistics["lm_call_share"] == 1.0
    assert model.digest == teacher.digest


def test_the_student_takes_over_within_the_tolerance(texts: Any) -> None:
    teacher = Quadratic()
    model = rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(tolerance=0.25, audit=0.1, **QUICK))
    errors = [model.predict(batch).mean - Quadratic().predict(batch).mean for batch in batches(texts)]
    late = np.concatenate(errors[5:]) / Quadratic().predict(texts).mean.std()
    assert np.sqrt((late**2).mean()) < 0.25
    said = model.statistics
    assert said["lm_call_share"] == sum(teacher.calls) / len(texts) < 0.7
    assert said["audit_error"] < 0.25
    assert said["student_fits"] >= 1
    assert np.array_equal(errors[0][:150], np.zeros(150))  # before there was a student


def test_audited_and_unsure_texts_have_the_originals_scores(texts: Any) -> None:
    model = rmgym.AmortisedReward(Quadratic(), rmgym.AmortisedOptions(tolerance=0.25, audit=1.0, **QUICK))
    for batch in batches(texts[:1_000]):
        assert np.array_equal(model.predict(batch).mean, Quadratic().predict(batch).mean)
    assert model.statistics["audit_error"] > 0  # all of them were compared with the student


def test_a_student_that_errs_is_found_out_and_fitted_again(texts: Any) -> None:
    teacher = Drifting()
    model = rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(tolerance=0.3, audit=0.1, remembered=300, **QUICK))
    first, *rest = batches(texts)
    model.predict(first)
    fits, digest = model.statistics["student_fits"], model.digest
    for batch in rest:
        said = model.predict(batch)
    assert model.statistics["student_fits"] > fits
    assert model.digest != digest
    truth = -Quadratic().predict(batch).mean
    assert np.corrcoef(said.mean, truth)[0, 1] > 0.8


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_agents_train_on_it_and_tolerance_zero_changes_nothing(algo: str) -> None:
    small = {"ppo": PPO_SMALL, "dqn": DQN_SMALL}[algo]
    told: dict[str, Any] = {"reward_model": ToyReward(), "seed": 1, **small}
    plain = rmgym.sb3.make_agent(algo, "CartPole-v1", **told).learn(300)
    same = rmgym.sb3.make_agent(algo, "CartPole-v1", when="amortised", tolerance=0, **told).learn(300)
    assert np.array_equal(parameters(plain), parameters(same))
    options = rmgym.AmortisedOptions(tolerance=0.5, **QUICK)
    model = rmgym.AmortisedReward(ToyReward(), options)
    agent = rmgym.sb3.make_agent(algo, "CartPole-v1", **{**told, "reward_model": model}).learn(400)
    assert agent.rmgym["when"] == "amortised"  # type: ignore[attr-defined]
    assert agent.rmgym["digest"] == ToyReward().digest  # type: ignore[attr-defined]
    assert model.statistics["student_fits"] >= 1


def test_fitting_a_student_leaves_the_agents_random_numbers_alone() -> None:
    """Every text is audited, so every reward is the original's: but for drawn numbers nothing could differ."""
    told: dict[str, Any] = {"seed": 1, **PPO_SMALL}
    plain = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), **told).learn(400)
    model = rmgym.AmortisedReward(ToyReward(), rmgym.AmortisedOptions(audit=1.0, **QUICK))
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=model, **told).learn(400)
    assert model.statistics["student_fits"] >= 1
    assert np.array_equal(parameters(plain), parameters(agent))


def test_a_run_says_how_often_the_model_was_asked_and_goes_on_where_it_was(tmp_path: Path) -> None:
    from rmgym.bench.report import render
    from rmgym.bench.store import read_run
    from rmgym.harness.train import train

    settings: dict[str, Any] = {
        "algo": "ppo", "env_id": "CartPole-v1", "total_steps": 500, "episodes": 2, "checkpoint_every": 200,
        "progress": False, "hyperparameters": PPO_SMALL, "n_envs": 1,
    }  # fmt: skip

    def model(teacher: ToyReward) -> rmgym.AmortisedReward:
        return rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(tolerance=0.5, audit=0.2, **QUICK))

    class Dies(ToyReward):
        def predict(self, texts: Any) -> Prediction:
            if sum(self.calls) > 280:
                raise KeyboardInterrupt
            return super().predict(texts)

    whole = train(reward_model=model(ToyReward()), out=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(reward_model=model(Dies()), out=tmp_path / "broken", **settings)
    resumed = train(reward_model=model(ToyReward()), out=tmp_path / "broken", resume=True, **settings)
    assert resumed.run["amortised"] == whole.run["amortised"]
    assert 0 < whole.run["amortised"]["lm_call_share"] < 1
    assert resumed.final["true_return_mean"] == whole.final["true_return_mean"]
    assert read_run(whole.path).amortised == whole.run["amortised"]
    assert "A student stood in for toy" in render([read_run(whole.path)], title="t")


def test_an_evaluation_asks_the_original_and_teaches_nobody() -> None:
    model = rmgym.AmortisedReward(ToyReward(), rmgym.AmortisedOptions(**QUICK))
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=model, **PPO_SMALL)
    watch = rmgym.sb3.RewardComparisonCallback(eval_every=50, episodes=2)
    agent.learn(96, callback=watch)
    assert watch.reward_model is model.teacher is original(model)
    assert model._answered == agent.num_timesteps


def test_state_of_another_model_is_refused(tmp_path: Path, texts: Any) -> None:
    model = rmgym.AmortisedReward(Quadratic(), rmgym.AmortisedOptions(**QUICK))
    model.predict(texts[:200])
    model.save_state(tmp_path / "state")
    with pytest.raises(ModelError, match="imitates"):
        rmgym.AmortisedReward(Quadratic(weight=2.0)).load_state(tmp_path / "state")
    (tmp_path / "state" / "state.json").write_text("{")
    with pytest.raises(ModelError, match="whole"):
        model.load_state(tmp_path / "state")


@pytest.mark.parametrize("wrong", [{"tolerance": -1}, {"audit": 0}, {"audit": 2}, {"warmup": 1}, {"fit_steps": 0}])
def test_impossible_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong)) if "audit" not in wrong else "audited"):
        rmgym.AmortisedOptions(**wrong)


def test_a_tolerance_without_a_student_is_refused() -> None:
    with pytest.raises(HarnessError, match="amortise"):
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), tolerance=0.1)


def test_a_misspelt_when_names_the_nearest() -> None:
    with pytest.raises(HarnessError, match="did you mean 'amortised'"):
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), when="amortized")  # type: ignore[arg-type]


def test_distil_imitates_and_goes_on(tmp_path: Path, texts: Any) -> None:
    teacher = Quadratic()
    how = rmgym.FitOptions(max_steps=300, batch_size=64)
    student = rmgym.create_reward_model("minilm", width=32, layers=1)
    result = rmgym.distil(teacher, texts[:1_500], student, how, out=tmp_path / "student", progress=False)  # type: ignore[arg-type]
    assert result.metrics["validation"]["r2"] > 0.9
    loaded = rmgym.load_reward_model(tmp_path / "student")
    assert np.corrcoef(loaded.predict(texts[1_500:]).mean, Quadratic().predict(texts[1_500:]).mean)[0, 1] > 0.95
    facts = json.loads((tmp_path / "student" / "reward_model.json").read_text())["fitted_on"]
    assert facts["source"]["distilled_from"]["digest"] == teacher.digest
    assert not list((tmp_path / "student").glob("*sqlite*"))


def test_a_distillation_that_was_killed_asks_for_the_rest_only(tmp_path: Path, texts: Any) -> None:
    class Dies(Quadratic):
        def predict(self, texts: Any) -> Prediction:
            if sum(self.calls) > 500:
                raise KeyboardInterrupt
            return super().predict(texts)

    told: dict[str, Any] = {"out": tmp_path / "student", "progress": False}
    how = rmgym.FitOptions(max_steps=20)
    with pytest.raises(KeyboardInterrupt):
        rmgym.distil(Dies(), texts[:1_000], "minilm", how, **told)
    teacher = Quadratic()
    rmgym.distil(teacher, texts[:1_000], "minilm", how, **told)
    assert sum(teacher.calls) < 500


def test_a_teacher_that_says_the_same_of_everything_teaches_nothing(texts: Any) -> None:
    with pytest.raises(FitError, match="different"):
        rmgym.distil(rmgym.create_reward_model("constant"), texts[:50], progress=False)


def test_a_batch_larger_than_the_warm_up_is_not_read_in_full(texts: Any) -> None:
    teacher = Quadratic()
    model = rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(tolerance=0.5, audit=0.01, **QUICK))
    said, expected = model.predict(texts), Quadratic().predict(texts)
    assert np.array_equal(said.mean[:150], expected.mean[:150])
    assert sum(teacher.calls) < len(texts) / 2
    assert model.statistics["lm_call_share"] == sum(teacher.calls) / len(texts)


def test_where_everything_is_worth_the_same_the_original_goes_on_answering(texts: Any) -> None:
    teacher = rmgym.create_reward_model("constant")
    model = rmgym.AmortisedReward(teacher, rmgym.AmortisedOptions(**QUICK))
    assert (model.predict(texts).mean == 1).all()
    assert (model.predict(texts).mean == 1).all()
    assert model.statistics == {
        "lm_call_share": 1.0,
        "audit_error": pytest.approx(np.nan, nan_ok=True),
        "student_fits": 0,
    }


def test_a_new_student_is_audited_at_once(texts: Any) -> None:
    model = rmgym.AmortisedReward(Quadratic(), rmgym.AmortisedOptions(tolerance=1.0, audit=1e-6, **QUICK))
    model.predict(texts[:150])
    assert np.isnan(model.statistics["audit_error"])
    model.predict(texts[150:1_150])
    assert model.statistics["audit_error"] > 0
