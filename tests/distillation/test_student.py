"""A student answers for a slow model, is checked, and never strays further than it is allowed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

import rmgym
from rmgym.cli.main import app
from rmgym.errors import FitError, JobError, ModelError, RunError
from rmgym.models import Prediction
from rmgym.models.base import as_texts
from rmgym.sb3.deferred import learned_env
from rmgym.scoring import Scorer
from rmgym.scoring.cache import ScoreCache
from rmgym.scoring.potential import Potential
from rmgym.text import TextBatch
from tests.doubles import ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, parameters

QUICK: dict[str, Any] = {"warmup": 150, "fit_steps": 300, "student_options": {"heads": 2}}


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
        scores = super().predict(texts)
        return scores if sum(self.calls) < 400 else Prediction(-scores.mean, scores.std)


@pytest.fixture(scope="module")
def texts() -> Any:
    steps = rmgym.collect("Pendulum-v1", 3_000, reset_every=10, progress=False)
    return rmgym.textualizer("Pendulum-v1").batch(steps)


def asked(student: rmgym.Student, teacher: ToyReward, texts: Any) -> Prediction:
    """What a scorer does for distinct texts, without its cache."""
    student.imitate(teacher)
    return student.predict(texts, teacher.predict)


def student_of(agent: Any) -> rmgym.Student:
    """What stands in for an agent's reward model."""
    learned = learned_env(agent)
    assert learned is not None
    assert learned.student is not None
    return learned.student


def batches(texts: Any, size: int = 200) -> list[Any]:
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def test_a_tolerance_of_zero_is_the_original(texts: Any) -> None:
    teacher = Quadratic()
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0, **QUICK))
    for batch in batches(texts):
        assert np.array_equal(asked(student, teacher, batch).mean, Quadratic().predict(batch).mean)
    assert sum(teacher.calls) == len(texts)
    assert student.statistics["lm_call_share"] == 1.0
    assert student.version == ""


def test_the_student_takes_over_within_the_tolerance(texts: Any) -> None:
    teacher = Quadratic()
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0.25, audit=0.1, **QUICK))
    errors = [asked(student, teacher, batch).mean - Quadratic().predict(batch).mean for batch in batches(texts)]
    late = np.concatenate(errors[5:]) / Quadratic().predict(texts).mean.std()
    assert np.sqrt((late**2).mean()) < 0.25
    statistics = student.statistics
    assert statistics["lm_call_share"] == sum(teacher.calls) / len(texts) < 0.7
    assert statistics["audit_error"] < 0.25
    assert statistics["student_fits"] >= 1
    assert np.array_equal(errors[0][:150], np.zeros(150))  # before there was a student


def test_audited_and_unsure_texts_have_the_originals_scores(texts: Any) -> None:
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0.25, audit=1.0, **QUICK))
    for batch in batches(texts[:1_000]):
        assert np.array_equal(asked(student, Quadratic(), batch).mean, Quadratic().predict(batch).mean)
    assert student.statistics["audit_error"] > 0  # all of them were compared with the student


def test_a_student_that_errs_is_found_out_and_fitted_again(texts: Any) -> None:
    teacher = Drifting()
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0.3, audit=0.1, remembered=300, **QUICK))
    first, *rest = batches(texts)
    asked(student, teacher, first)
    fits, version = student.statistics["student_fits"], student.version
    for batch in rest:
        scores = asked(student, teacher, batch)
    assert student.statistics["student_fits"] > fits
    assert student.version != version
    truth = -Quadratic().predict(batch).mean
    assert np.corrcoef(scores.mean, truth)[0, 1] > 0.8


@pytest.mark.parametrize("algo", ["ppo", "dqn"])
def test_agents_train_on_it_and_tolerance_zero_changes_nothing(algo: str) -> None:
    small = {"ppo": PPO_SMALL, "dqn": DQN_SMALL}[algo]
    settings: dict[str, Any] = {"reward_model": ToyReward(), "seed": 1, **small}
    plain = rmgym.sb3.make_agent(algo, "CartPole-v1", **settings).learn(300)
    same = rmgym.sb3.make_agent(algo, "CartPole-v1", student={"tolerance": 0}, **settings).learn(300)
    assert np.array_equal(parameters(plain), parameters(same))
    options = rmgym.StudentOptions(tolerance=0.5, **QUICK)
    agent = rmgym.sb3.make_agent(algo, "CartPole-v1", student=options, **settings).learn(400)
    assert agent.rmgym["when"] == "rollout"  # type: ignore[attr-defined]
    assert agent.rmgym["reward"]["student"]["tolerance"] == 0.5  # type: ignore[attr-defined]
    assert agent.rmgym["reward"]["digest"] == ToyReward().digest  # type: ignore[attr-defined]
    assert student_of(agent).statistics["student_fits"] >= 1


def test_fitting_a_student_leaves_the_agents_random_numbers_alone() -> None:
    """Every text is audited, so every reward is the original's: but for drawn numbers nothing could differ."""
    settings: dict[str, Any] = {"reward_model": ToyReward(), "seed": 1, **PPO_SMALL}
    plain = rmgym.sb3.make_agent("ppo", "CartPole-v1", **settings).learn(400)
    options = rmgym.StudentOptions(audit=1.0, **QUICK)
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", student=options, **settings).learn(400)
    assert student_of(agent).statistics["student_fits"] >= 1
    assert np.array_equal(parameters(plain), parameters(agent))


def test_a_run_says_how_often_the_model_was_asked_and_goes_on_where_it_was(tmp_path: Path) -> None:
    from rmgym.bench.report import render
    from rmgym.runs.record import read_run
    from rmgym.runs.train import train

    settings: dict[str, Any] = {
        "algo": "ppo", "env_id": "CartPole-v1", "total_steps": 500, "episodes": 2, "checkpoint_every": 200,
        "progress": False, "hyperparameters": PPO_SMALL, "n_envs": 1,
        "student": rmgym.StudentOptions(tolerance=0.5, audit=0.2, **QUICK),
    }  # fmt: skip

    class Dies(ToyReward):
        def predict(self, texts: Any) -> Prediction:
            if sum(self.calls) > 280:
                raise KeyboardInterrupt
            return super().predict(texts)

    whole = train(reward_model=ToyReward(), out=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(reward_model=Dies(), out=tmp_path / "broken", **settings)
    resumed = train(reward_model=ToyReward(), out=tmp_path / "broken", resume=True, **settings)
    assert resumed.outcome.student == whole.outcome.student
    assert whole.outcome.student is not None
    assert 0 < (whole.outcome.student["lm_call_share"] or 0) < 1
    assert resumed.final["true_return_mean"] == whole.final["true_return_mean"]
    assert read_run(whole.path).student == whole.outcome.student
    assert "A student stood in for toy" in render([read_run(whole.path)], title="t")


def test_an_evaluation_asks_the_original_and_teaches_nobody() -> None:
    model, options = ToyReward(), rmgym.StudentOptions(**QUICK)
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=model, student=options, **PPO_SMALL)
    watch = rmgym.sb3.RewardComparisonCallback(eval_every=50, episodes=2)
    agent.learn(96, callback=watch)
    assert watch.reward_model is model
    assert student_of(agent)._answered == agent.num_timesteps


def test_state_of_another_model_is_refused(tmp_path: Path, texts: Any) -> None:
    student = rmgym.Student(rmgym.StudentOptions(**QUICK))
    asked(student, Quadratic(), texts[:200])
    student.save_state(tmp_path / "state")
    other = rmgym.Student()
    other.imitate(Quadratic(weight=2.0))
    with pytest.raises(ModelError, match="imitates"):
        other.load_state(tmp_path / "state")
    assert other.version == ""
    (tmp_path / "state" / "state.json").write_text("{")
    version, statistics = student.version, student.statistics
    with pytest.raises(ModelError, match="whole"):
        student.load_state(tmp_path / "state")
    assert (student.version, student.statistics) == (version, statistics)


def test_a_state_beside_another_student_is_refused(tmp_path: Path, texts: Any) -> None:
    """As a process leaves it that was killed between the two files."""
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0.1, **QUICK))
    asked(student, Quadratic(), texts[:200])
    state = student.save_state(tmp_path / "state") / "state.json"
    before = state.read_bytes()
    student.imitate(Quadratic(weight=2.0))
    asked(student, Quadratic(weight=2.0), texts[:200])
    student.save_state(tmp_path / "state")
    state.write_bytes(before)
    with pytest.raises(ModelError, match="whole"):
        rmgym.Student().load_state(tmp_path / "state")


def test_a_student_goes_on_where_it_was_saved(tmp_path: Path, texts: Any) -> None:
    options = rmgym.StudentOptions(tolerance=0.25, audit=0.1, **QUICK)
    student, again = rmgym.Student(options), rmgym.Student(options)
    asked(student, Quadratic(), texts[:400])
    again.imitate(Quadratic())
    again.load_state(student.save_state(tmp_path / "state"))
    for batch in batches(texts[400:1_200]):
        assert np.array_equal(asked(again, Quadratic(), batch).mean, asked(student, Quadratic(), batch).mean)
    assert (again.version, again.statistics) == (student.version, student.statistics)


@pytest.mark.parametrize("wrong", [{"tolerance": -1}, {"audit": 0}, {"audit": 2}, {"warmup": 1}, {"fit_steps": 0}])
def test_impossible_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong)) if "audit" not in wrong else "audited"):
        rmgym.StudentOptions(**wrong)


@pytest.mark.parametrize(
    ("student", "rule"), [({"tolerence": 0.1}, "did you mean 'tolerance'"), ("yes", "student=True"), (0.1, "mapping")]
)
def test_what_is_no_student_is_refused(student: Any, rule: str) -> None:
    with pytest.raises(ModelError, match=rule):
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), student=student)


def test_the_true_reward_has_nothing_to_imitate() -> None:
    with pytest.raises(ModelError, match="imitates a model of text"):
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model="true", student=True)


def test_a_tolerance_without_a_student_is_refused(tmp_path: Path) -> None:
    arguments = ["train", "CartPole-v1", "--reward", "random", "--tolerance", "0.1", "--out", str(tmp_path / "run")]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "--student" in refused.output


def test_a_misspelt_when_names_the_nearest() -> None:
    with pytest.raises(RunError, match="did you mean 'rollout'"):
        rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), when="rollouts")  # type: ignore[arg-type]


def test_distil_imitates_and_goes_on(tmp_path: Path, texts: Any) -> None:
    teacher = Quadratic()
    how = rmgym.FitOptions(max_steps=300, batch_size=64)
    student = rmgym.create_reward_model("minilm")
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

    settings: dict[str, Any] = {"out": tmp_path / "student", "progress": False}
    how = rmgym.FitOptions(max_steps=20)
    with pytest.raises(KeyboardInterrupt):
        rmgym.distil(Dies(), texts[:1_000], "minilm", how, **settings)
    teacher = Quadratic()
    rmgym.distil(teacher, texts[:1_000], "minilm", how, **settings)
    assert sum(teacher.calls) < 500
    asked = sum(teacher.calls)
    again = rmgym.distil(teacher, texts[:1_000], "minilm", how, **settings)
    assert sum(teacher.calls) == asked  # it is done: nobody is asked
    assert again.model.digest == rmgym.load_reward_model(tmp_path / "student").digest
    with pytest.raises(JobError, match=r"options\.max_steps: 20 -> 30"):
        rmgym.distil(teacher, texts[:1_000], "minilm", rmgym.FitOptions(max_steps=30), **settings)


def test_a_teacher_that_says_the_same_of_everything_teaches_nothing(texts: Any) -> None:
    with pytest.raises(FitError, match="different"):
        rmgym.distil(rmgym.create_reward_model("constant"), texts[:50], progress=False)


def test_a_batch_larger_than_the_warm_up_is_not_read_in_full(texts: Any) -> None:
    teacher = Quadratic()
    student = rmgym.Student(rmgym.StudentOptions(tolerance=0.5, audit=0.01, **{**QUICK, "fit_steps": 800}))
    scores, expected = asked(student, teacher, texts), Quadratic().predict(texts)
    assert np.array_equal(scores.mean[:150], expected.mean[:150])
    assert sum(teacher.calls) < len(texts) / 2
    assert student.statistics["lm_call_share"] == sum(teacher.calls) / len(texts)


def test_where_everything_is_worth_the_same_the_original_goes_on_answering(texts: Any) -> None:
    teacher: Any = rmgym.create_reward_model("constant")
    student = rmgym.Student(rmgym.StudentOptions(**QUICK))
    assert (asked(student, teacher, texts).mean == 1).all()
    assert (asked(student, teacher, texts).mean == 1).all()
    assert student.statistics == {
        "lm_call_share": 1.0,
        "audit_error": pytest.approx(np.nan, nan_ok=True),
        "student_fits": 0,
    }


def test_a_new_student_is_audited_at_once(texts: Any) -> None:
    student = rmgym.Student(rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **QUICK))
    asked(student, Quadratic(), texts[:150])
    assert np.isnan(student.statistics["audit_error"])
    asked(student, Quadratic(), texts[150:1_150])
    assert student.statistics["audit_error"] > 0


class TestScorer:
    """The student stands above the cache, which keeps what the model itself said."""

    def test_a_cache_keeps_exact_scores_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RMGYM_SCORE_CACHE", str(tmp_path / "scores.sqlite"))
        say, steps = rmgym.textualizer("Pendulum-v1"), rmgym.collect("Pendulum-v1", 600, progress=False)
        student = rmgym.Student(rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **QUICK))
        behind = Scorer(Quadratic(), say, student=student).score(steps)
        exact = Quadratic().predict(say.batch(steps)).mean
        assert (behind.mean != exact).any()
        assert np.array_equal(Scorer(Quadratic(), say).score(steps).mean, exact)

    def test_a_text_that_the_model_has_read_is_not_read_again(self) -> None:
        say, steps = rmgym.textualizer("Pendulum-v1"), rmgym.collect("Pendulum-v1", 400, progress=False)
        teacher, cache = Quadratic(), ScoreCache()
        Scorer(teacher, say, cache).score(steps)
        scorer = Scorer(teacher, say, cache, rmgym.Student(rmgym.StudentOptions(tolerance=0.25, audit=1.0, **QUICK)))
        assert np.array_equal(scorer.score(steps).mean, Quadratic().predict(say.batch(steps)).mean)
        assert sum(teacher.calls) <= 400

    def test_a_table_keeps_no_guesses(self) -> None:
        say = rmgym.textualizer("FrozenLake-v1")
        steps = rmgym.collect("FrozenLake-v1", 600, progress=False)
        student = rmgym.Student(rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **{**QUICK, "warmup": 20}))
        scorer = Scorer(ToyReward(), say, student=student)
        scorer.score(steps)
        fits, before = student.statistics["student_fits"], scorer.version
        assert fits >= 1
        student.options = rmgym.StudentOptions(tolerance=0)
        assert np.array_equal(scorer.score(steps).mean, ToyReward().predict(say.batch(steps)).mean)
        assert scorer.version == before

    def test_its_version_changes_with_the_student_and_begins_with_the_models_digest(self) -> None:
        say, steps = rmgym.textualizer("Pendulum-v1"), rmgym.collect("Pendulum-v1", 400, progress=False)
        scorer = Scorer(Quadratic(), say, student=rmgym.Student(rmgym.StudentOptions(**QUICK)))
        assert scorer.version == Quadratic().digest == Scorer(Quadratic(), say).version
        scorer.score(steps)
        assert scorer.version.startswith(Quadratic().digest)
        assert scorer.version != Quadratic().digest

    def test_a_model_fitted_further_is_imitated_anew(self) -> None:
        say, steps = rmgym.textualizer("Pendulum-v1"), rmgym.collect("Pendulum-v1", 400, progress=False)
        student = rmgym.Student(rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **QUICK))
        model: Any = rmgym.create_reward_model("minilm", width=16, roles=8)
        scorer = Scorer(model, say, student=student)
        scorer.score(steps)
        assert student.version
        model.offset.fill_(50.0)
        assert scorer.score(steps[:100]).mean == pytest.approx(model.predict(say.batch(steps[:100])).mean, abs=1e-4)
        assert student.statistics["lm_call_share"] == 1.0


def test_the_model_that_shows_is_always_the_exact_one() -> None:
    model = ToyReward()
    options = rmgym.StudentOptions(**QUICK)
    env = rmgym.LearnedRewardWrapper(gym.make("CartPole-v1"), model, student=options)
    vector = rmgym.LearnedRewardVectorWrapper(gym.make_vec("CartPole-v1", num_envs=2), model, student={**QUICK})
    assert env.model is vector.model is model
    again: Any = gym.make(env.spec)
    assert again._source.student.options == options
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=model, student=True, seed=3, **PPO_SMALL)
    learned = learned_env(agent)
    assert learned is not None
    assert learned.model is model
    assert student_of(agent).options == rmgym.StudentOptions(seed=3)


def test_an_exchanged_model_is_imitated_anew() -> None:
    options = rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **QUICK)
    settings: dict[str, Any] = {**PPO_SMALL, "learning_rate": 0.0, "seed": 1, "n_envs": 1}
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), student=options, **settings).learn(240)
    assert student_of(agent).version
    rmgym.sb3.exchange_reward_model(agent, ToyReward(weight=9.0))
    agent.learn(48, reset_num_timesteps=False)
    plain = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(weight=9.0), **settings).learn(240)
    plain.learn(48, reset_num_timesteps=False)
    learned = [a.rollout_buffer.learned_rewards for a in (agent, plain)]  # type: ignore[attr-defined]
    assert np.array_equal(*learned)  # its first texts: the model itself answers


def test_a_saved_agent_has_its_student_again(tmp_path: Path) -> None:
    options = rmgym.StudentOptions(tolerance=0.5, **QUICK)
    agent = rmgym.sb3.make_agent("ppo", "CartPole-v1", reward_model=ToyReward(), student=options, **PPO_SMALL)
    path = rmgym.sb3.save_agent(agent, tmp_path / "agent.zip")
    assert student_of(rmgym.sb3.load_agent(path, ToyReward())).options == options


def test_a_replay_buffer_is_relabelled_where_its_student_was_fitted_again() -> None:
    options = rmgym.StudentOptions(tolerance=1.0, audit=1e-6, **QUICK)
    agent = rmgym.sb3.make_agent("dqn", "CartPole-v1", reward_model=ToyReward(), student=options, **DQN_SMALL)
    student = student_of(agent.learn(300))
    buffer = agent.replay_buffer  # type: ignore[attr-defined]
    buffer.score_pending()
    student._fit()
    texts = rmgym.textualizer("CartPole-v1").batch(buffer._steps.take(np.arange(150)))
    assert student._model is not None
    guesses = student._model.predict(texts).mean
    assert (buffer.rewards[:150, 0] != guesses).mean() > 0.9
    buffer.sample(4)
    assert (buffer.rewards[:150, 0] == guesses).mean() > 0.5  # but for what was unsure or audited


def test_a_model_of_states_is_not_imitated_as_one_of_steps() -> None:
    class OfStates(ToyReward):
        def describe(self) -> dict[str, Any]:
            potential = Potential(discount=0.9, least=0.0, most=1.0, reaches=True)
            return {**super().describe(), "fitted_on": potential.facts}

    with pytest.raises(FitError, match="what a model says of steps"):
        rmgym.distil(OfStates(), TextBatch.from_strings(["x 1", "x 2"]))
