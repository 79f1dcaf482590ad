"""``rmgym label``: a script labels at once; a person is asked in the terminal, may stop, be killed, and go on."""

import json
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.asked_steps import AskedSteps
from rmgym.cli.main import app
from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.scripted import ScriptedTeacher
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.metrics.ranking import spearman
from rmgym.specs import EnvSpec
from rmgym.text import textualizer
from rmgym.transitions import IN_ABSORBING
from tests.feedback.asking import rate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    steps = collect("Pendulum-v1", 300, reset_every=25, progress=False)
    return steps, steps.save(tmp_path_factory.mktemp("data") / "steps.parquet")


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels.sqlite")


def run(store, env, *arguments, keys=None):
    command = ["label", env, "--db", str(store.path), *map(str, arguments)]
    typed = None if keys is None else "".join(f"{key}\n" for key in keys)
    return CliRunner().invoke(app, command, input=typed)


def person(store, data, *arguments, keys, ratings=5, preferences=0):
    counts = ("--ratings", ratings, "--preferences", preferences, "--length", 5)
    options = ("--teacher", "human", "--data", data[1], "--annotator", "ann", *counts, *arguments)
    result = run(store, "Pendulum-v1", *options, keys=keys)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_script_rates_and_compares_by_the_true_reward(store, data):
    steps, file = data
    arguments = ("--data", file, "--ratings", 20, "--preferences", 6, "--length", 5, "--levels", 0)
    result = run(store, "Pendulum-v1", *arguments, "--json")
    facts = json.loads(result.stdout)
    assert (facts["answered"], facts["asked"], facts["annotator"]) == (26, 26, "scripted:reward")
    texts = textualizer("Pendulum-v1").batch(steps).strings()
    reward = dict(zip(texts, steps.true_reward.tolist(), strict=True))
    labels = store.labels()
    assert labels.ratings.values.tolist() == [reward[text] for text in labels.ratings.texts.strings()]
    worth = [reward[text] for text in labels.preferences.steps.strings()]
    preferences = labels.preferences
    for left, right, choice in zip(
        preferences.left.tolist(), preferences.right.tolist(), preferences.choice.tolist(), strict=True
    ):
        assert choice == float(sum(worth[slice(*left)]) > sum(worth[slice(*right)]))


def test_the_same_command_again_changes_nothing_and_more_adds(store, data):
    run(store, "Pendulum-v1", "--data", data[1], "--ratings", 10)
    first = store.labels()
    run(store, "Pendulum-v1", "--data", data[1], "--ratings", 10)
    np.testing.assert_array_equal(store.labels().ratings.values, first.ratings.values)
    more = run(store, "Pendulum-v1", "--data", data[1], "--ratings", 15)
    assert "keeps the scale of the earlier ratings: scripted:reward with levels 10 cut at" in more.stderr
    ratings = store.labels().ratings
    assert ratings.texts.strings()[:10] == first.ratings.texts.strings()
    np.testing.assert_array_equal(ratings.values[:10], first.ratings.values)
    assert len(ratings) == 15
    refused = run(store, "Pendulum-v1", "--data", data[1], "--ratings", 16, "--levels", 5)
    assert refused.exit_code == 2
    assert "one scale" in refused.stderr
    np.testing.assert_array_equal(store.labels().ratings.values, ratings.values)


def test_constant_rewards_are_labelled_by_outcome(store):
    result = run(store, "CartPole-v1", "--ratings", 30, "--steps", 400)
    assert result.exit_code == 2
    assert "--target outcome" in result.stderr
    assert not store.path.exists(), "what cannot be labelled is not asked"
    result = run(store, "CartPole-v1", "--ratings", 30, "--steps", 400, "--target", "outcome", "--levels", 0)
    assert result.exit_code == 0, result.output
    steps = collect("CartPole-v1", 400, progress=False)
    steps = steps[in_whole_episode(steps)]
    values = rate(ScriptedTeacher(target="outcome"), steps).tolist()
    worth = dict(zip(textualizer("CartPole-v1").batch(steps).strings(), values, strict=True))
    labels = store.labels()
    assert labels.ratings.values.tolist() == [worth[text] for text in labels.ratings.texts.strings()]
    assert any("The episode terminated here." in text for text in labels.ratings.texts.strings())


def test_many_ties_are_told(store):
    arguments = ("--ratings", 0, "--preferences", 20, "--length", 1, "--reset-every", 0, "--seed", 1, "--steps", 900)
    result = run(store, "FrozenLake-v1", *arguments, "--select", "random", "--target", "outcome")
    assert result.exit_code == 0, result.output
    assert (store.labels().preferences.choice == 0.5).mean() > 0.5
    assert "comparisons are ties" in result.stderr


def test_a_person_rates(store, data):
    shown = person(store, data, "--levels", 7, keys=["3", "7", "1", "2", "5"])
    assert store.labels().ratings.values.tolist() == [3, 7, 1, 2, 5]
    assert "1 of 5" in shown
    assert "5 of 5" in shown
    assert "Swing the pendulum up" in shown
    first = next(store.pending("someone else")).left
    assert all(f"{number:.3f}" in shown for number in first.numbers.tolist())
    assert store.info()["annotators"] == ["ann"]


def test_answers_that_are_none_are_asked_again(store, data):
    shown = person(store, data, "--levels", 5, keys=["6", "0", "", "good", "2.5", "l", "4"], ratings=1)
    assert store.labels().ratings.values.tolist() == [4]
    for key in ("'6'", "'0'", "''", "'good'", "'2.5'", "'l'"):
        assert f"{key} is not an answer here" in shown


def test_skip_undo_and_going_on_later(store, data):
    shown = person(store, data, keys=["9", "s", "u", "u", "8", "7", "q"])
    assert "Stopped at 2 of 5" in shown
    assert store.labels().ratings.values.tolist() == [8, 7]
    shown = person(store, data, keys=["u", "6", "s", "5"])  # and the input ends: as if the terminal was closed
    assert "Stopped at 4 of 5" in shown
    shown = person(store, data, keys=["4"])
    assert "All 5 questions are answered" in shown
    assert store.labels().ratings.values.tolist() == [8, 6, 5, 4]
    assert store.info()["counts"]["skipped"] == 1
    assert "All 5 questions are answered" in person(store, data, keys=[])


def test_undo_with_nothing_to_undo_asks_again(store, data):
    shown = person(store, data, keys=["u", "5"], ratings=1)
    assert "Nothing to undo" in shown
    assert store.labels().ratings.values.tolist() == [5]


def test_the_very_last_answer_can_be_taken_back_too(store, data):
    person(store, data, keys=["5", "6", "u", "7", ""], ratings=2)
    assert store.labels().ratings.values.tolist() == [5, 7]
    person(store, data, keys=["u", "8"], ratings=2)
    assert store.labels().ratings.values.tolist() == [5, 8]


def test_a_person_compares(store, data):
    shown = person(store, data, keys=["l", "R", " t ", "x", "5", "s", "u", "l"], ratings=0, preferences=4)
    assert store.labels().preferences.choice.tolist() == [1, 0, 0.5, 1]
    assert shown.index("LEFT") < shown.index("RIGHT")
    pair = next(store.pending("someone else"))
    for value in (pair.left.numbers[0], pair.right.numbers[-1]):
        assert f"{value:.3f}" in shown


def test_machine_readable_results_stay_alone_on_stdout(store, data):
    facts = json.loads(person(store, data, "--json", keys=["5", "q"]))
    assert (facts["answered"], facts["asked"]) == (1, 5)


def test_chinese_steps_are_shown_as_a_table(store):
    options = ("--teacher", "human", "--language", "zh", "--ratings", 2, "--steps", 200, "--annotator", "ann")
    shown = run(store, "FrozenLake-v1", *options, keys=["1", "2"]).stdout
    assert "下一状态" in shown
    assert "状态:" not in shown, "the long line is not shown"
    assert store.labels().texts.language == "zh"


def test_kill_9_in_the_middle_and_going_on(store, data):
    options = ["--teacher", "human", "--data", str(data[1]), "--ratings", "5", "--annotator", "ann"]
    start = [sys.executable, "-c", "from rmgym.cli.main import app; app()", "label", "Pendulum-v1"]
    command = [*start, "--db", str(store.path), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        process.stdin.write("3\n9\n")
        process.stdin.flush()
        until = time.monotonic() + 60
        while store.progress("ann") != (2, 5) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert store.progress("ann") == (2, 5)
    person(store, data, keys=["4", "5", "6"])
    assert store.labels().ratings.values.tolist() == [3, 9, 4, 5, 6]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--ratings", 0), "something is asked"),
        (("--ratings", 5000), "ask for at most"),
        (("--preferences", 3, "--length", 0), "at least one step"),
        (("--preferences", 500), "fewer pairs"),
        (("--teacher", "human", "--levels", 1), "at least 2 levels"),
        (("--levels", 1), "at least 2 levels"),
        (("--language", "de"), "known language"),
    ],
)
def test_errors_are_sentences_and_leave_no_database(store, data, arguments, rule):
    result = run(store, "Pendulum-v1", "--data", data[1], *arguments, keys=[])
    assert result.exit_code == 2
    assert rule in result.stderr
    assert not store.path.exists()


def test_other_environments_are_refused(store, data):
    result = run(store, "CartPole-v1", "--data", data[1])
    assert "of Pendulum-v1, not CartPole-v1" in result.stderr
    run(store, "Pendulum-v1", "--data", data[1], "--ratings", 5)
    for teacher in ("human", "scripted"):
        result = run(store, "FrozenLake-v1", "--teacher", teacher, "--ratings", 5, "--steps", 200, keys=[])
        assert result.exit_code == 2
        assert "choose another" in result.stderr


def test_a_fixed_horizon_has_steps_in_which_nothing_happens(store, tmp_path):
    options = ("--ratings", 60, "--steps", 400, "--fixed-horizon", 60, "--target", "outcome", "--select", "random")
    result = run(store, "CartPole-v1", *options)
    assert result.exit_code == 0, result.output
    steps = collect("CartPole-v1", 400, fixed_horizon=60, progress=False)
    absorbing = set(textualizer("CartPole-v1").batch(steps)[steps.absorbing == IN_ABSORBING].strings())
    assert absorbing & set(store.labels().texts.strings())
    file = steps.save(tmp_path / "steps.parquet")
    refused = run(store, "CartPole-v1", "--data", file, "--fixed-horizon", 50)
    assert "collected with 60, not 50" in refused.stderr


def test_levels_of_other_steps_are_those_of_the_first(store, data):
    """Twice ten levels in one database: the ratings rank all steps as the truth does."""
    run(store, "Pendulum-v1", "--data", data[1], "--ratings", 20)
    first = store.labels().ratings.values
    run(store, "Pendulum-v1", "--ratings", 20, "--steps", 300, "--seed", 3)
    labels = store.labels()
    np.testing.assert_array_equal(labels.ratings.values[:20], first)
    other = collect("Pendulum-v1", 300, seed=3, reset_every=25, progress=False)
    texts = [text for steps in (data[0], other) for text in textualizer("Pendulum-v1").batch(steps).strings()]
    truth = dict(zip(texts, np.concatenate([data[0].true_reward, other.true_reward]).tolist(), strict=True))
    reward = np.array([truth[text] for text in labels.ratings.texts.strings()])
    assert spearman(labels.ratings.values, reward) > 0.97


def test_rewards_and_outcomes_are_two_annotators(store, data):
    for target in ("reward", "outcome"):
        options = ("--target", target, "--reset-every", 0, "--steps", 600, "--ratings", 20)
        assert run(store, "Pendulum-v1", *options).exit_code == 0
    assert store.info()["annotators"] == ["scripted:outcome", "scripted:reward"]
    with pytest.raises(FeedbackError, match="mean different things"):
        store.labels()
    assert len(store.labels("scripted:reward")) == 20
    refused = run(store, "Pendulum-v1", "--data", data[1], "--teacher", "human", "--annotator", "scripted:reward")
    assert refused.exit_code == 2
    assert "one way" in refused.stderr


def test_exact_values_of_several_collections_stand_side_by_side(store, data):
    run(store, "Pendulum-v1", "--data", data[1], "--ratings", 20, "--levels", 0)
    run(store, "Pendulum-v1", "--ratings", 20, "--steps", 300, "--seed", 3, "--levels", 0)
    assert len(store.labels()) == 40


def test_data_remember_the_arguments_of_their_environment(store, tmp_path):
    steps = collect("FrozenLake-v1", 200, env_kwargs={"map_name": "8x8"}, progress=False)
    file = steps.save(tmp_path / "steps.parquet")
    result = run(store, "FrozenLake-v1", "--data", file, "--teacher", "human", "--ratings", 3, keys=["q"])
    assert result.exit_code == 0, result.output
    assert store.info()["env_kwargs"] == {"map_name": "8x8"}
    assert store.info()["card_hash"] == textualizer(gym.make("FrozenLake-v1", map_name="8x8")).card_hash


def test_questions_go_to_a_table_and_answers_come_from_it(store, data, tmp_path):
    counts = ("--data", data[1], "--ratings", 5, "--preferences", 2, "--length", 3, "--annotator", "ann")
    table, rest = tmp_path / "q.csv", tmp_path / "rest.jsonl"
    asked = run(store, "Pendulum-v1", *counts, "--questions", table)
    assert asked.exit_code == 0, asked.output
    assert "ann answered 0 of 7" in asked.stdout
    filled = table.read_text(encoding="utf-8").replace(",,,\n", ",,,4\n", 3).replace('",\n', '",left\n', 1)
    (tmp_path / "a.csv").write_text(filled, encoding="utf-8")
    refused = run(store, "Pendulum-v1", *counts, "--answers", tmp_path / "a.csv", "--levels", 3)
    assert refused.exit_code == 2
    assert "a whole number from 1 to 3, or skip, not '4'" in refused.stderr
    for new, same in ((4, 0), (0, 4)):
        read = run(store, "Pendulum-v1", *counts, "--answers", tmp_path / "a.csv")
        assert read.exit_code == 0, read.output
        assert f"{new} new answers, 0 changed, {same} as before" in read.stderr
    assert store.labels("ann").ratings.values.tolist() == [4, 4, 4]
    assert store.labels("ann").preferences.choice.tolist() == [1]
    assert run(store, "Pendulum-v1", *counts, "--questions", rest).exit_code == 0
    assert len(rest.read_text(encoding="utf-8").splitlines()) == 3
    again = run(store, "Pendulum-v1", *counts, "--questions", rest)
    assert again.exit_code == 2
    assert f"read it with --answers {rest}" in again.stderr


def test_a_person_goes_on_in_a_table(store, data, tmp_path):
    person(store, data, keys=["3", "9", "q"])
    table = tmp_path / "q.csv"
    options = ("--data", data[1], "--ratings", 5, "--annotator", "ann", "--teacher", "human")
    run(store, "Pendulum-v1", *options, "--questions", table)
    table.write_text(table.read_text(encoding="utf-8").replace('",\n', '",10\n'), encoding="utf-8")
    read = run(store, "Pendulum-v1", *options, "--answers", table)
    assert "3 new answers" in read.stderr
    assert store.labels().ratings.values.tolist() == [3, 9, 10, 10, 10]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--questions", "q.xlsx"), "end it in .csv, .jsonl, .parquet"),
        (("--answers", "none.csv"), "none.csv"),
        (("--answers", "a.csv", "--teacher", "operator:neg"), "answered elsewhere"),
    ],
)
def test_tables_that_cannot_be_are_refused_first(store, data, arguments, rule):
    result = run(store, "Pendulum-v1", "--data", data[1], *arguments)
    assert result.exit_code == 2
    assert rule in result.stderr
    assert not store.path.exists()


def test_steps_of_other_arguments_are_refused(tmp_path):
    file = tmp_path / "steps.parquet"
    collect("FrozenLake-v1", 60, env_kwargs={"is_slippery": True}, progress=False).save(file)
    slippery = EnvSpec(id="FrozenLake-v1", kwargs={"is_slippery": True})
    for named in (EnvSpec(id="FrozenLake-v1"), slippery):
        assert AskedSteps.named(named, file).env.kwargs == slippery.kwargs
    with pytest.raises(FeedbackError, match="arguments are set when steps are collected"):
        AskedSteps.named(EnvSpec(id="FrozenLake-v1", kwargs={"is_slippery": False}), file)
