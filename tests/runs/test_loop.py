"""The loop: labels under one budget, asked in rounds, and that being killed changes nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmgym import Composition, LabelStore, ScriptedTeacher, collect, load_reward_model
from rmgym.errors import FeedbackError, FitError, JobError, RunError
from rmgym.evaluation.evaluate import EVALUATION_SEED
from rmgym.feedback.choice import QuestionMix
from rmgym.feedback.ladder import ladder_of
from rmgym.feedback.teachers import FallibleTeacher, Habits, Panel
from rmgym.feedback.teachers.answers import Answers
from rmgym.feedback.teachers.asking import RatingQuestions
from rmgym.feedback.teachers.panel import People
from rmgym.runs.loop import LoopResult, loop
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.record import read_run
from rmgym.sb3 import evaluate, load_agent
from rmgym.scoring.potential import Potential, as_states
from rmgym.specs import EnvSpec
from rmgym.storage.atomic import write_json
from rmgym.storage.foreign import read_json
from rmgym.text import TextBatch, textualizer
from rmgym.transitions import Transitions
from tests.sb3.small import SMALL, parameters

OPTIONS: dict[str, Any] = {
    "at": (0.2, 0.4, 0.6),
    "collect": 90,
    "reset_every": 20,
    "recent": 150,
    "model": "no-lm",
    "model_options": {"width": 16, "heads": 3, "roles": 8},
    "fit_steps": 20,
    "warm_steps": 5,
    "least": 2,
}
SETTINGS: dict[str, Any] = {
    "algo": "ppo",
    "env_id": "Pendulum-v1",
    "labels": 40,
    "options": OPTIONS,
    "total_steps": 480,
    "episodes": 1,
    "seed": 1,
    "hyperparameters": {**SMALL["ppo"], "n_envs": 1},
    "progress": False,
}
DQN: dict[str, Any] = {
    **SETTINGS,
    "algo": "dqn",
    "env_id": "CartPole-v1",
    "hyperparameters": SMALL["dqn"],
    "options": {**OPTIONS, "kind": "preference", "length": 4, "whole_episodes": True, "reset_every": None},
}
TEACHERS = {"ppo": ScriptedTeacher(levels=10), "dqn": ScriptedTeacher(target="outcome")}


def final(result: LoopResult) -> np.ndarray:
    return parameters(load_agent(result.run.path / "agent.zip"))  # it remembers where its last model is


def best_of(result: LoopResult) -> np.ndarray:
    return parameters(load_agent(result.agent))


def without_time(row: dict[str, float]) -> dict[str, str]:
    return {key: repr(float(value)) for key, value in row.items() if key != "wall_seconds"}


def told(result: LoopResult) -> list[dict[str, str]]:
    return [without_time(row) for row in result.run.comparison]


def test_labels_are_asked_for_in_rounds_under_one_budget(tmp_path: Path) -> None:
    result = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **SETTINGS)
    assert [r.number for r in result.rounds] == [0, 1, 2, 3]
    assert [sum(r.asked.values()) for r in result.rounds] == [12, 9, 10, 9]
    assert [r.labels for r in result.rounds] == [12, 21, 31, 40]
    assert set(result.rounds[0].asked) == {"coverage"}
    assert [r.steps for r in result.rounds] == [0, 96, 192, 288]
    reasons = {
        reason: sum(r.asked.get(reason, 0) for r in result.rounds) for reason in ("uniform", "largest", "unsure")
    }
    assert reasons == {"uniform": 14, "largest": 7, "unsure": 7}
    labels = LabelStore(tmp_path / "loop" / "labels.sqlite").labels()
    assert labels.ratings is not None
    assert len(set(labels.texts.strings())) == 40
    assert set(labels.ratings.values.tolist()) <= set(range(1, 11))
    model = load_reward_model(result.model)
    assert model.describe()["fitted_on"]["ratings"] == 40
    kept, agent = result.run.best, load_agent(result.agent, result.model)
    assert (kept["round"], agent.num_timesteps) == (3, kept["steps"])
    assert not (result.run.path / "candidates").exists()
    played = evaluate(agent, None, model, episodes=5, seed=EVALUATION_SEED + 1)  # other episodes than selected it
    assert {name: kept[name] for name in played.row()} == pytest.approx(played.row(), nan_ok=True)
    run = read_run(result.run.path)
    assert (run.status, run.reward, run.labels, run.kind) == ("done", "loop no-lm", 40, "learned")
    assert [row["round"] for row in result.run.comparison][-1] == 3
    record = json.loads((tmp_path / "loop" / "loop.json").read_text())
    assert record["status"] == "done"
    assert [r["asked"] for r in record["result"]["rounds"]] == [dict(r.asked) for r in result.rounds]


def test_seeds_of_one_loop_are_one_recipe_and_other_labels_another(tmp_path: Path) -> None:
    short = {**SETTINGS, "total_steps": 96, "options": {**OPTIONS, "at": ()}}
    runs = [
        loop(teacher=TEACHERS["ppo"], out=tmp_path / f"{i}", **{**short, **change}).run
        for i, change in enumerate([{}, {"seed": 2}, {"labels": 30}])
    ]
    others = (ScriptedTeacher(levels=10, edges="quantile"), Other(levels=10))
    runs += [loop(teacher=teacher, out=tmp_path / f"{i}", **short).run for i, teacher in enumerate(others, 3)]
    recipes = [read_run(run.path).recipe for run in runs]
    assert recipes[0] == recipes[1]
    assert len(set(recipes)) == 4


@pytest.mark.parametrize("module", ["fit", "climb"])
def test_steps_are_placed_on_a_ladder_under_one_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    settings = {**SETTINGS, "options": {**OPTIONS, "kind": "ladder"}}
    teacher = FallibleTeacher(habits=Habits(mistakes=0.1))
    whole = loop(teacher=teacher, out=tmp_path / "loop", **settings)
    assert sum(sum(asked.asked.values()) for asked in whole.rounds) == 40
    store = LabelStore(tmp_path / "loop" / "labels.sqlite")
    assert len(ladder_of(store, teacher.source)) == 40
    assert store.info()["counts"]["preferences"] == whole.rounds[-1].labels > 2 * 38
    stop_at_call(monkeypatch, f"rmgym.runs.loop_rounds.{module}", 3)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=teacher, out=tmp_path / "killed", **settings)
    monkeypatch.undo()
    resumed = loop(teacher=teacher, out=tmp_path / "killed", resume=True, **settings)
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))
    if module == "climb":
        return
    loop(teacher=teacher, out=tmp_path / "after", start=tmp_path / "loop", **settings)
    ladder = ladder_of(LabelStore(tmp_path / "after" / "labels.sqlite"), teacher.source)
    assert len(ladder) == 80
    before = ladder_of(store, teacher.source)
    assert [rung for rung in ladder if rung in before] == before
    with pytest.raises(RunError, match="one teacher's"):
        loop(teacher=Panel({"ann": teacher}), out=tmp_path / "panel", **settings)


def test_people_share_the_questions_of_a_loop_and_a_killed_one_gets_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = People(own_scale=True, mistakes=0.1, skips=0.1, people=2).knowing(ScriptedTeacher())
    whole = loop(teacher=teacher, out=tmp_path / "loop", **SETTINGS)
    counts = LabelStore(tmp_path / "loop" / "labels.sqlite").info()["counts"]
    assert counts["ratings"] + counts["skipped"] == counts["rating_queries"] == 40
    assert whole.rounds[-1].labels == counts["ratings"] < 40
    assert load_reward_model(whole.model).fitted_on["source"]["cleaning"]["answers"] == counts["ratings"]
    stop_at_call(monkeypatch, "rmgym.runs.loop_rounds.fit", 3)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=teacher, out=tmp_path / "killed", **SETTINGS)
    monkeypatch.undo()
    resumed = loop(teacher=teacher, out=tmp_path / "killed", resume=True, **SETTINGS)
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))


class Other(ScriptedTeacher):
    """Answers otherwise, for all that a loop knows."""


@dataclass(frozen=True, kw_only=True)
class Reluctant(ScriptedTeacher):
    """Skips every third question and leaves the one after it for later."""

    def rate(self, questions: Any) -> Any:
        answers = super().rate(questions)
        place = np.arange(len(answers)) % 3
        values = np.where(place == 2, answers.values, np.nan).astype(np.float32)
        return replace(answers, values=values, skipped=place == 0)


def test_what_was_skipped_or_left_for_later_is_not_asked_again(tmp_path: Path) -> None:
    result = loop(teacher=Reluctant(levels=10), out=tmp_path / "loop", **SETTINGS)
    counts = LabelStore(tmp_path / "loop" / "labels.sqlite").info()["counts"]
    assert sum(sum(r.asked.values()) for r in result.rounds) == counts["rating_queries"] == 40
    assert counts["ratings"] == result.rounds[-1].labels
    assert counts["skipped"] + counts["ratings"] + sum(r.pending for r in result.rounds) == 40


def test_ratings_and_comparisons_share_one_budget(tmp_path: Path) -> None:
    options = {**OPTIONS, "kind": "both", "compared": 0.4, "length": 4}
    result = loop(teacher=ScriptedTeacher(), out=tmp_path / "loop", **{**SETTINGS, "options": options})
    assert [sum(r.asked.values()) for r in result.rounds] == [12, 9, 10, 9]
    assert [r.asked["compared"] for r in result.rounds] == [5, 3, 4, 4], "0.4 of 12, 21, 31 and 40"
    assert [r.labels for r in result.rounds] == [12, 21, 31, 40]
    labels = LabelStore(tmp_path / "loop" / "labels.sqlite").labels()
    assert labels.ratings is not None
    assert labels.preferences is not None
    assert (len(labels.ratings), len(labels.preferences)) == (24, 16)
    fitted_on = load_reward_model(result.model).describe()["fitted_on"]
    assert (fitted_on["ratings"], fitted_on["preferences"]) == (24, 16)
    assert not fitted_on["options"]["implied"], "beside ratings nothing is implied"
    reasons = ("uniform", "largest", "unsure")
    assert [sum(r.asked.get(name, 0) for r in result.rounds) for name in reasons] == [9, 4, 4]


def test_where_too_few_segments_differ_ratings_take_their_place(tmp_path: Path) -> None:
    options = {**OPTIONS, "kind": "both", "compared": 0.9, "length": 20, "reset_every": None, "at": ()}
    short = {**SETTINGS, "total_steps": 96, "labels": 20, "options": options}
    (asked,) = (r.asked for r in loop(teacher=ScriptedTeacher(), out=tmp_path / "loop", **short).rounds)
    assert asked["compared"] == 1, "30 steps of each of three behaviours hold three such segments"
    assert sum(asked.values()) == 20


def test_the_last_rounds_are_not_lost_behind_the_last_rollout(tmp_path: Path) -> None:
    late = {**SETTINGS, "options": {**OPTIONS, "at": (0.2, 0.99)}}
    result = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **late)
    assert [(r.number, r.steps) for r in result.rounds] == [(0, 0), (1, 96), (2, 432)]
    assert result.rounds[-1].labels == 40
    with pytest.raises(RunError, match="between rollouts"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "short", **{**late, "total_steps": 40})


def test_nobody_is_asked_before_the_model_and_its_fit_are_possible(tmp_path: Path) -> None:
    for options in ({"model": "constant"}, {"crop": 2.0}):
        with pytest.raises(FitError):
            loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **{**SETTINGS, "options": options})
    assert not (tmp_path / "loop").exists()


def test_a_function_among_the_hyperparameters_is_no_obstacle(tmp_path: Path) -> None:
    hyperparameters = {**SETTINGS["hyperparameters"], "learning_rate": lambda left: 1e-3 * left}
    short = {**SETTINGS, "total_steps": 96, "options": {**OPTIONS, "at": ()}, "hyperparameters": hyperparameters}
    first = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **short)
    again = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", resume=True, **short)
    assert again.rounds == first.rounds


BOTH = {**SETTINGS, "options": {**OPTIONS, "kind": "both", "kappa": -0.5, "kappa_last": 0.0, "free_steps": 3}}


@pytest.mark.parametrize("settings", [SETTINGS, DQN, BOTH], ids=["ratings", "comparisons", "both"])
@pytest.mark.parametrize("moment", ["asking", "answered", "fitted", "trained"])
def test_a_loop_that_was_stopped_goes_on_as_if_nothing_had_happened(
    settings: dict[str, Any], moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher: Any = TEACHERS[settings["algo"]]
    whole = loop(teacher=teacher, out=tmp_path / "whole", **settings)
    answer = "compare" if settings is DQN else "rate"
    target, calls = {
        "asking": (f"rmgym.feedback.teachers.scripted.ScriptedTeacher.{answer}", 3),
        "answered": ("rmgym.runs.loop_rounds.fit", 3),
        "fitted": ("rmgym.runs.loop_rounds.write_json", 6),
        "trained": ("rmgym.sb3.rounds.Checkpoints.save", 2),
    }[moment]
    stop_at_call(monkeypatch, target, calls)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=teacher, out=tmp_path / "stopped", **settings)
    monkeypatch.undo()
    resumed = loop(teacher=teacher, out=tmp_path / "stopped", resume=True, **settings)
    assert resumed.rounds == whole.rounds
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))
    assert np.array_equal(best_of(resumed), best_of(whole))
    assert without_time(resumed.run.best) == without_time(whole.run.best)


def stop_at_call(monkeypatch: pytest.MonkeyPatch, target: str, calls: int) -> None:
    """Interrupt the n-th call of a function."""
    from pydoc import locate

    place, _, name = target.rpartition(".")
    owner = locate(place)
    original, made = getattr(owner, name), list[None]()

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(None)
        if len(made) == calls:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


def test_a_killed_loop_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = loop(teacher=TEACHERS["ppo"], out=tmp_path / "whole", **SETTINGS)
    code = (
        "from rmgym import ScriptedTeacher; from rmgym.runs.loop import loop; "
        f"loop(teacher=ScriptedTeacher(levels=10), out={str(tmp_path / 'killed')!r}, **{SETTINGS!r})"
    )
    second = tmp_path / "killed" / "rounds" / "02" / "questions.json"
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not second.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert second.exists(), (tmp_path / "log.txt").read_text()
    assert json.loads((tmp_path / "killed" / "loop.json").read_text())["status"] == "running"
    resumed = loop(teacher=TEACHERS["ppo"], out=tmp_path / "killed", resume=True, **SETTINGS)
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))
    assert np.array_equal(best_of(resumed), best_of(whole))
    assert without_time(resumed.run.best) == without_time(whole.run.best)


def test_a_finished_loop_is_returned_and_another_one_refused(tmp_path: Path) -> None:
    short = {**SETTINGS, "total_steps": 96, "options": {**OPTIONS, "at": (0.5,)}}
    first = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **short)
    again = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", resume=True, **short)
    assert (again.rounds, told(again)) == (first.rounds, told(first))
    with pytest.raises(JobError, match="a folder of its own"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **short)
    with pytest.raises(JobError, match="labels"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", resume=True, **{**short, "labels": 50})


def test_impossible_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="at least two labels"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **{**SETTINGS, "labels": 1})
    for options, match in (
        ({"kind": "ratings"}, "'rating', 'preference', 'both' or 'ladder'"),
        ({"compared": 1.0}, "'compared' is a share"),
        ({"first": 0.0}, "'first' is a share"),
        ({"at": (0.5, 0.2)}, "ascending shares"),
        ({"behaviours": ("stiky",)}, "'sticky'"),
        ({"behaviours": ()}, "name one"),
        ({"recent": 0}, "'recent' is at least 1"),
        ({"least": 1}, "'least' is at least 2"),
        ({"warm_steps": 0}, "'warm_steps' is at least 1"),
        ({"firs": 0.2}, "first"),
        ({"settled": 0.5}, "above chance"),
        ({"potential": True, "kind": "preference"}, "learned from ratings"),
        ({"potential": True, "kappa_last": 0.5}, "cancels over an episode"),
        ({"potential": True, "free_steps": 5}, "tell nothing of what follows"),
        ({"kappa": float("nan")}, "'kappa' is a finite number"),
        ({"kappa_last": 0.0, "at": ()}, "from round to round"),
        ({"potential": True, "kind": "both"}, "learned from ratings"),
    ):
        with pytest.raises(RunError, match=match):
            LoopOptions.of(options)
    assert not (tmp_path / "loop").exists()


class Unasked(ScriptedTeacher):
    """Nobody may ask it anything."""

    def rate(self, questions: RatingQuestions) -> Answers:
        raise AssertionError(f"{len(questions)} questions were asked")


def test_free_steps_that_teach_nothing_are_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    options = {**OPTIONS, "model": "seq2seq", "model_options": {}, "free_steps": 3}
    with pytest.raises(FitError, match="teach binding heads"):
        loop(teacher=Unasked(), out=tmp_path / "loop", **{**SETTINGS, "options": options})


SPARSE: dict[str, Any] = {
    **SETTINGS,
    "env_id": EnvSpec(id="FrozenLake-v1", kwargs={"is_slippery": False}),
    "options": {**OPTIONS, "collect": 1500, "reset_every": None, "recent": 480, "whole_episodes": True}
    | {"potential": True, "at": (0.2, 0.5)},
}


def test_a_potential_is_learned_from_what_states_are_worth_and_rewards_what_steps_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = ScriptedTeacher(target="outcome", gamma=0.9)
    whole = loop(teacher=teacher, out=tmp_path / "loop", **SPARSE)
    texts = LabelStore(tmp_path / "loop" / "labels.sqlite").labels().texts.strings()
    assert len({text.partition("Action: ")[2].partition(" Next")[0] for text in texts}) == 1  # of states, not of steps
    model = load_reward_model(whole.model)
    agent: Any = load_agent(whole.agent, model)
    potential = Potential.of(model)
    assert potential is not None
    assert potential.reaches
    assert potential.discount == agent.gamma
    played = evaluate(agent, None, model, episodes=3)
    words, steps = textualizer("FrozenLake-v1", card=None), played.steps
    worth = model.predict(as_states(words.batch(potential.states(steps, agent.action_space)))).mean
    rewards = potential.rewards(worth, steps)
    np.testing.assert_allclose(played.learned_reward, rewards, rtol=1e-4, atol=1e-5)
    discounted = np.bincount(steps.episode, rewards * agent.gamma**steps.step)
    np.testing.assert_allclose(played.learned_return, discounted, rtol=1e-4, atol=1e-5)
    assert played.shaping_return is not None
    assert played.success_return is not None
    whole_rewards = played.shaping_return + played.success_return
    np.testing.assert_allclose(whole_rewards, np.bincount(steps.episode, rewards), rtol=1e-4, atol=1e-5)
    stop_at_call(monkeypatch, "rmgym.runs.loop_rounds.fit", 2)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=teacher, out=tmp_path / "killed", **SPARSE)
    monkeypatch.undo()
    resumed = loop(teacher=teacher, out=tmp_path / "killed", resume=True, **SPARSE)
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))
    endless = replace(SPARSE["env_id"], horizon=20)
    with pytest.raises(RunError, match="states of a task that ends"):
        loop(teacher=teacher, out=tmp_path / "endless", **{**SPARSE, "env_id": endless})
    steps_asked = {**SPARSE, "options": {**SPARSE["options"], "potential": False}}
    with pytest.raises(RunError, match="steps, or the states of a potential"):
        loop(teacher=teacher, out=tmp_path / "after", start=whole.path, **steps_asked)


def test_first_questions_are_about_demonstrations_too(tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "shown.parquet", tmp_path / "elsewhere.parquet"
    way = {0: 2, 1: 2, 2: 1, 6: 1, 10: 1, 14: 2}  # right, right, down, down, down, right
    shown = collect(SPARSE["env_id"], 12, policy=lambda state: way[int(state)], progress=False)
    shown.save(file)
    few = {**SPARSE, "options": {**SPARSE["options"], "collect": 30, "at": (), "potential": False}}
    teacher = ScriptedTeacher(target="outcome")
    with pytest.raises(FeedbackError, match="differ"):  # nobody has come to the goal
        loop(teacher=teacher, out=tmp_path / "alone", **few)
    result = loop(teacher=teacher, out=tmp_path / "loop", demonstrations=file, **few)
    labels = LabelStore(tmp_path / "loop" / "labels.sqlite").labels()
    assert labels.ratings is not None
    assert labels.ratings.values.max() == pytest.approx(0.05)
    assert {file.stem for file in (result.path / "rounds" / "00" / "policies").iterdir()} >= {"demonstrations"}
    collect("FrozenLake-v1", 5, progress=False).save(elsewhere)
    with pytest.raises(RunError, match="demonstrations are steps of"):
        loop(teacher=teacher, out=tmp_path / "other", demonstrations=elsewhere, **few)
    collect(SPARSE["env_id"], 5, seed=1, progress=False).save(file, overwrite=True)
    with pytest.raises(JobError, match="demonstrations"):
        loop(teacher=teacher, out=tmp_path / "loop", demonstrations=file, resume=True, **few)


AFTER: dict[str, Any] = {**SETTINGS, "labels": 12, "options": {**OPTIONS, "at": (0.3,)}, "total_steps": 192}


@pytest.mark.parametrize("kind", ["rating", "preference"])
def test_a_finished_loop_goes_on_with_further_labels(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = QuestionMix(unsure=0)  # asks about no new words, with which a model would begin anew
    after = {**AFTER, "options": {**AFTER["options"], "kind": kind, "length": 4, "mix": mix}}
    before = loop(teacher=TEACHERS["ppo"], out=tmp_path / "before", **{**after, "labels": 14})
    first = loop(teacher=TEACHERS["ppo"], out=tmp_path / "after", start=before.path, **after)
    implied = load_reward_model(before.model).describe()["fitted_on"]["options"]["implied"]
    assert implied is (before.rounds[0].agreement is None) is (kind == "preference")  # no heads of their own
    assert before.rounds[1].agreement is not None
    assert [r.labels for r in before.rounds] == [4, 14]
    assert [(r.labels, sum(r.asked.values())) for r in first.rounds] == [(18, 4), (26, 8)]
    assert (read_run(before.run.path).labels, read_run(first.run.path).labels) == (14, 26)
    assert "coverage" not in first.rounds[0].asked
    old, new = (LabelStore(path / "labels.sqlite").labels() for path in (before.path, first.path))
    assert len(old) == 14  # it stays as it is
    assert new.texts[: len(old.texts)].strings() == old.texts.strings()
    names = {file.name for file in (first.path / "rounds" / "00" / "policies").glob("*.parquet")}
    assert names == {
        *(f"00-{name}.parquet" for name in ("random", "sticky", "networks")),
        "01-agent.parquet",
        "agent.parquet",
        "best_learned.parquet",
    }
    steps = load_reward_model(first.path / "rounds" / "00" / "model").describe()["fitted_on"]["options"]["max_steps"]
    assert steps == 5  # it goes on from the model before
    stop_at_call(monkeypatch, "rmgym.runs.loop_rounds.fit", 1)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", start=before.path, **after)
    monkeypatch.undo()
    resumed = loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", start=before.path, resume=True, **after)
    assert told(resumed) == told(first)
    assert np.array_equal(final(resumed), final(first))
    with pytest.raises(JobError, match="start"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", resume=True, **after)


@pytest.mark.parametrize("change", [{"model": "minilm"}, {"model_options": {"width": 24, "heads": 3, "roles": 8}}])
def test_another_model_does_not_go_on_from_the_one_before(change: dict[str, Any], tmp_path: Path) -> None:
    before = loop(teacher=TEACHERS["ppo"], out=tmp_path / "before", **AFTER)
    options = {**AFTER["options"], "model_options": {}, "fit_steps": 3, **change}
    after = loop(teacher=TEACHERS["ppo"], out=tmp_path / "after", start=before.path, **{**AFTER, "options": options})
    facts = load_reward_model(after.path / "rounds" / "00" / "model").describe()
    assert facts["model"] == change.get("model", "no-lm")
    assert facts["fitted_on"]["options"]["max_steps"] == 3


def test_a_loop_that_goes_on_where_nobody_answers_keeps_the_model(tmp_path: Path) -> None:
    before = loop(teacher=TEACHERS["ppo"], out=tmp_path / "before", **AFTER)
    nobody = Silent(levels=10, most=0)
    after = loop(teacher=nobody, out=tmp_path / "after", start=before.path, **AFTER)
    assert [r.labels for r in after.rounds] == [12, 12]
    assert load_reward_model(after.model).digest == load_reward_model(before.model).digest
    again = loop(teacher=nobody, out=tmp_path / "after", start=before.path, resume=True, **AFTER)
    assert again.rounds == after.rounds


def test_a_loop_goes_on_from_a_finished_one_in_the_same_environment(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"goes on from one that is done[^$]*no loop"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", start=tmp_path / "nothing", **AFTER)
    before = loop(teacher=TEACHERS["ppo"], out=tmp_path / "before", **AFTER)
    with pytest.raises(RunError, match="in the environment of the one before"):
        loop(teacher=TEACHERS["dqn"], out=tmp_path / "loop", start=before.path, **{**DQN, "env_id": "Acrobot-v1"})
    for teacher in (ScriptedTeacher(levels=5), ScriptedTeacher(levels=10, target="outcome")):
        with pytest.raises(RunError, match="mean what those before did"):
            loop(teacher=teacher, out=tmp_path / "loop", start=before.path, **AFTER)
    record = before.path / "loop.json"
    write_json(record, read_json(record) | {"status": "running"})
    with pytest.raises(RunError, match="not done"):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", start=before.path, **AFTER)
    assert not (tmp_path / "loop").exists()


CERTAIN = {
    **SETTINGS,
    "seed": 3,
    "options": {**OPTIONS, "settled": 0.500001, "stop_when_settled": True, "warm_steps": None},
}


def test_nothing_is_asked_while_the_order_of_the_policies_is_settled(tmp_path: Path) -> None:
    result = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **CERTAIN)
    rounds, before = result.rounds, np.array([0, *(r.labels for r in result.rounds)])
    for i in range(1, len(rounds)):
        grown = [j for j in range(i) if before[j + 1] > before[j]]
        settled = len(grown) > 1 and min(r.agreement or 0 for r in rounds[grown[-2] : i]) > 0.5
        assert (sum(rounds[i].asked.values()) == 0) == settled
    assert any(not r.asked for r in rounds), "choose another seed: nothing settles"
    assert rounds[-1].labels == sum(sum(r.asked.values()) for r in rounds)


@dataclass(frozen=True, kw_only=True)
class Silent(ScriptedTeacher):
    """Answers the first questions alone."""

    most: int = 12

    def rate(self, questions: Any) -> Any:
        answers = super().rate(questions)
        values = answers.values if len(answers) == self.most else np.full(len(answers), np.nan, np.float32)
        return replace(answers, values=values)


def test_nothing_settles_because_nobody_answers(tmp_path: Path) -> None:
    options = {**CERTAIN["options"], "model_options": {"width": 16, "heads": 1, "roles": 8}}
    result = loop(teacher=Silent(levels=10), out=tmp_path / "loop", **{**CERTAIN, "options": options})
    assert [r.labels for r in result.rounds] == [12] * 4
    assert [r.agreement for r in result.rounds] == [None] * 4  # one head, and the model before is the same
    assert all(r.asked for r in result.rounds)
    # Nothing was learned, so that the first model stays: it is no new one, whose returns are another reward's.
    assert result.model == tmp_path / "loop" / "rounds" / "00" / "model"
    assert {row["round"] for row in result.run.comparison} == {0}
    rows = result.run.comparison
    assert result.run.best["steps"] == max(rows, key=lambda row: row["learned_return_mean"])["steps"]


@pytest.mark.parametrize("warm", [5, None])
def test_models_go_on_from_the_one_before_or_begin_anew(warm: int | None, tmp_path: Path) -> None:
    settings = {**SETTINGS, "options": {**OPTIONS, "warm_steps": warm}}
    result = loop(teacher=TEACHERS["ppo"], out=tmp_path / "loop", **settings)
    models = [load_reward_model(result.path / "rounds" / f"{r.number:02d}" / "model") for r in result.rounds]
    steps = [model.describe()["fitted_on"]["options"]["max_steps"] for model in models]
    labels = LabelStore(tmp_path / "loop" / "labels.sqlite").labels().texts
    read = [set(labels[: r.labels].used().phrases) for r in result.rounds]
    expected = [20] + [5 if read[i] <= read[i - 1] else 20 for i in range(1, 4)]
    assert 5 in expected
    assert steps == ([20] * 4 if warm is None else expected)
    assert len({model.digest for model in models}) == 4


def test_standard_deviations_are_added_by_their_schedule_and_free_steps_teach_before_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"free_steps": 5, "free_statistics": True, "kappa": -1.5, "kappa_last": 0.0, "warm_steps": None}
    settings = {**SETTINGS, "options": {**OPTIONS, **free}}
    whole = loop(teacher=TEACHERS["ppo"], out=tmp_path / "whole", **settings)
    assert [r.kappa for r in whole.rounds] == [-1.5, -1.0, -0.5, 0.0]
    spec = read_run(whole.run.path).spec
    assert spec.agent.reward.composition.uncertainty_penalty == 1.5  # as it began
    agent: Any = load_agent(whole.run.path / "agent.zip")
    assert agent.rmgym["reward"]["composition"]["uncertainty_penalty"] == 0.0
    models = [load_reward_model(whole.path / "rounds" / f"{r.number:02d}" / "model") for r in whole.rounds]
    assert [model.describe()["fitted_on"]["options"]["free_steps"] for model in models] == [5] * 4
    collected, texts = sorted((whole.path / "rounds").glob("*/policies/*.parquet")), textualizer("Pendulum-v1")
    everything = TextBatch.concatenate(texts.batch(Transitions.load(file)) for file in collected)
    model: Any = models[-1]
    assert set(everything.used().phrases) == set(model.reader._seen.phrases)

    stop_at_call(monkeypatch, "rmgym.sb3.rounds.Checkpoints.save", 3)
    with pytest.raises(KeyboardInterrupt):
        loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", **settings)
    monkeypatch.undo()
    resumed = loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", resume=True, **settings)
    assert resumed.rounds == whole.rounds
    assert told(resumed) == told(whole)
    assert np.array_equal(final(resumed), final(whole))

    for option in ({"kappa": -1.0}, {"kappa_last": None}, {"free_steps": 6}, {"free_statistics": False}):
        other = {**settings, "options": {**settings["options"], **option}}
        with pytest.raises(JobError, match="options"):
            loop(teacher=TEACHERS["ppo"], out=tmp_path / "stopped", resume=True, **other)


def test_the_reward_is_plain_unless_standard_deviations_are_asked_for() -> None:
    options = LoopOptions()
    assert [options.composition_after(n).is_plain for n in (0, 5, 9)] == [True] * 3
    assert str(options.composition_after(4)) == str(Composition())  # -0.0 would be another reward's record
    steady = LoopOptions(kappa=0.5, at=())
    assert (
        steady.composition_after(0)
        == LoopOptions(kappa=0.5).composition_after(9)
        == Composition(uncertainty_penalty=-0.5)
    )


def test_a_fit_draws_each_label_as_often() -> None:
    options, fixed = LoopOptions(), LoopOptions(fit_steps=50, warm_steps=5)
    fits = [options.fit_options(0, n, 128) for n in (2, 32, 100, 1000, 5000)]
    assert [how.batch_size for how in fits] == [32, 32, 100, 128, 128]
    assert [how.max_steps for how in fits] == [100, 100, 100, 782, 800]
    assert options.fit_options(0, 100, 32).max_steps == 313
    assert [fixed.fit_options(0, 1000, 128, warm=warm).max_steps for warm in (False, True)] == [50, 5]


@pytest.mark.parametrize(
    ("labels", "by"),
    [
        (200, [60, 76, 91, 107, 122, 138, 153, 169, 184, 200]),
        (100, [35, 42, 49, 57, 64, 71, 78, 86, 93, 100]),
        (50, [35, 37, 38]),
        (3, [3, 3, 3]),
    ],
)
def test_labels_are_spread_over_the_rounds(labels: int, by: list[int]) -> None:
    options = LoopOptions()
    asked = [options.labels_by(i, labels) for i in range(10)]
    assert asked[: len(by)] == by
    assert asked[-1] == labels
    assert asked == sorted(asked)
