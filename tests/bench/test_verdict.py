"""What is said of a match: never more than its runs prove."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from rmgym.bench.compare import Match, compare
from rmgym.bench.table import HEADERS, cells, duration, headers
from rmgym.bench.verdict import verdict
from rmgym.composition import Composition
from rmgym.runs.record import read_run
from tests.bench.folders import write_run

TRUE = {"reward": "true", "model": "true", "labels": 0, "true": (-1000, -500, -200)}
RANDOM = {"reward": "random", "model": "random", "labels": 0, "true": (-1200, -1200, -1150)}
SHUFFLED = {"reward": "shuffled", "kind": "shuffled", "true": (-1200, -1200, -1100)}


def one(folder: Path, *each: dict[str, Any]) -> Match:
    folders = [write_run(folder / str(i), **options) for i, options in enumerate(each)]
    (match,) = compare([read_run(path) for path in folders])
    return match


def three(folder: Path, *each: dict[str, Any]) -> Match:
    """Every arm with three seeds, two returns apart from each other."""
    arms = [{"true": (-1000, -500, -200), **options} for options in each]
    seeds = [
        {**arm, "seed": seed, "true": (*arm["true"][:2], arm["true"][2] + 2 * (seed - 1))}
        for arm in arms
        for seed in range(3)
    ]
    return one(folder, *seeds)


@pytest.mark.parametrize(
    ("final", "mark", "words"),
    [
        (-200, "good", "learned does the work of the true reward: 100% of"),
        (-120, "good", "learned does the work of the true reward: at least all of"),
        (-280, "good", "92% of"),
        (-305, "partly", "learned carries part of the way: 90% of"),
        (-720, "bad", "learned does not carry this task: 48% of"),
        (-1250, "bad", "learned does not carry this task: none of"),
    ],
)
def test_marks(tmp_path: Path, final: float, mark: str, words: str) -> None:
    judged = verdict(three(tmp_path, {"true": (-1000, -1000, final)}, TRUE, RANDOM))
    assert judged.mark == mark
    assert words in judged.headline


@pytest.mark.parametrize(
    ("learned", "others", "doubt"),
    [
        ({"points": ((-1.0, 3.0), (-2.0, 3.0))}, [TRUE, RANDOM], "it says the same of every step"),
        ({"composition": Composition(true_weight=1.0)}, [TRUE, RANDOM], "the true reward was part of"),
        ({}, [TRUE, RANDOM | {"true": (-1, -1, -250)}], "so does a reward that knows nothing (random)"),
        ({}, [TRUE, RANDOM | {"true": (-1, -1, -690)}], "51% does a reward that knows nothing (random)"),
        ({}, [TRUE, SHUFFLED | {"true": (-1, -1, -250)}], "so does a reward that knows nothing (shuffled)"),
        ({}, [TRUE], "no control shows what a reward earns that knows nothing"),
        (
            {"doubts": {"survival_bonus": "all ended"}},
            [TRUE, RANDOM],
            "the length of an episode may have given it away",
        ),
        ({"doubts": {"shaping": "getting nearer pays 2"}}, [TRUE, RANDOM], "at the end it pays for getting near more"),
        ({"doubts": {"unseen_absorbing": "no such"}}, [TRUE, RANDOM], "its model was never shown the absorbing state"),
        ({"true": (-100, -150, -200)}, [TRUE, RANDOM], "it is gamed in 3 of 3 seeds"),
        ({"status": "running"}, [TRUE, RANDOM], "not all runs are finished"),
        ({}, [TRUE, RANDOM | {"status": "running"}], "not all runs are finished"),
        ({}, [TRUE, RANDOM | {"composition": Composition(true_weight=1.0)}], "no control shows what a reward earns"),
        ({}, [TRUE | {"status": "running"}, RANDOM], "not all runs are finished"),
    ],
)
def test_a_verdict_is_not_green_with(
    tmp_path: Path, learned: dict[str, Any], others: list[dict[str, Any]], doubt: str
) -> None:
    judged = verdict(three(tmp_path, learned, *others))
    assert judged.mark == "partly"
    assert judged.headline.startswith("learned reaches ")
    assert f", but {doubt}" in judged.headline
    assert f"What stands against it: {doubt}" in " ".join(judged.sentences)


def test_nor_with_a_true_arm_far_below_the_threshold(tmp_path: Path) -> None:
    cartpole = {"env": "CartPole-v1", "random": (19, 21)}  # its card says that 475 solves it
    arms = [{"true": (20, 50, 300)}, TRUE | {"true": (20, 50, 300)}, RANDOM | {"true": (20, 20, 20)}]
    judged = verdict(three(tmp_path / "low", *(arm | cartpole for arm in arms)))
    assert judged.mark == "partly"
    assert "but the agents on the true reward are far below the threshold themselves (300 of 475)" in judged.headline
    arms = [{"true": (20, 50, 470)}, TRUE | {"true": (20, 50, 470)}, RANDOM | {"true": (20, 20, 20)}]
    assert verdict(three(tmp_path / "near", *(arm | cartpole for arm in arms))).mark == "good"


def test_nor_with_one_seed(tmp_path: Path) -> None:
    judged = verdict(one(tmp_path, {}, TRUE, RANDOM))
    assert judged.mark == "partly"
    assert judged.headline == "learned reaches 100% of the random-to-true range, but one seed proves nothing."
    assert any(sentence.startswith("One seed: a demonstration, not yet evidence") for sentence in judged.sentences)


def test_nor_with_an_interval_that_reaches_down(tmp_path: Path) -> None:
    spread = [{"seed": i, "true": (-900, -900, x)} for i, x in enumerate((-200, -400, -20))]
    true = [TRUE | {"seed": i, "true": (-900, -900, x)} for i, x in enumerate((-199, -200, -201))]
    judged = verdict(one(tmp_path, *spread, *true, RANDOM))
    assert judged.mark == "partly"
    # t(2) * 190.1 / sqrt(3) = 472 of a range of 1,000 below 99 %, and a little for the references
    assert "reaches 99% of the random-to-true range, but its interval reaches down to 52%" in judged.headline


def test_without_agents_on_the_true_reward_the_card_cannot_make_it_green(tmp_path: Path) -> None:
    lunar = {"env": "LunarLander-v3", "random": (-180, -170), "true": (-100, 0, 242)}
    judged = verdict(three(tmp_path, lunar, RANDOM | lunar | {"true": (-175, -175, -175)}))
    assert judged.mark == "partly"
    assert "but no agent was trained on the true reward here" in judged.headline
    assert "to what the card says of an agent (242)" in " ".join(judged.sentences)


def test_there_is_nothing_to_judge_where_true_agents_are_like_random_ones(tmp_path: Path) -> None:
    apart = [TRUE | {"seed": i, "true": (-1, -1, x)} for i, x in enumerate((-200, -1500, -1000))]
    judged = verdict(one(tmp_path / "noise", {"seed": 0}, {"seed": 1, "true": (-1, -1, -210)}, *apart))
    assert judged.mark == "open"
    assert "cannot be told from a random policy" in judged.headline
    below = verdict(three(tmp_path / "below", {}, TRUE | {"true": (-1, -1, -1300)}))
    assert below.mark == "open"
    assert "does no better than a random policy" in below.headline
    without = verdict(one(tmp_path / "without", {"env": "Own-v0"}, RANDOM | {"env": "Own-v0"}))
    assert (without.mark, without.headline) == (
        "open",
        "learned: true return -200; no agent on the true reward to compare.",
    )


@pytest.mark.parametrize(
    ("control", "owed"),
    [
        (SHUFFLED, True),
        (RANDOM, False),  # that a random reward fails says nothing of labels
        (SHUFFLED | {"unshuffled": "others"}, False),  # of another model, or on other labels
        (SHUFFLED | {"unshuffled": None}, False),  # not of a suite: nobody knows
        (SHUFFLED | {"true": (-1, -1, -600)}, False),  # it carries half of the way itself
    ],
)
def test_only_a_shuffled_arm_shows_what_labels_are_worth(tmp_path: Path, control: dict[str, Any], owed: bool) -> None:
    text = " ".join(verdict(three(tmp_path, {}, TRUE, control)).sentences)
    assert ("What learned carried, it owes to its labels." in text) is owed


def test_labels_are_not_thanked_where_intervals_overlap(tmp_path: Path) -> None:
    wide = [SHUFFLED | {"seed": i, "true": (-1, -1, x)} for i, x in enumerate((-1900, -900, -400))]
    learned = [{"seed": i, "true": (-1, -1, -200 - i)} for i in range(3)]
    true = [TRUE | {"seed": i, "true": (-1, -1, -200 + i)} for i in range(3)]
    assert "owes to its labels" not in " ".join(verdict(one(tmp_path, *learned, *true, *wide)).sentences)


@pytest.mark.parametrize(
    ("true", "learned", "since"),
    [
        ((-1000, -200, -300, -600), (10, 20, 30, 40), "From step 2,000 on learned is gamed:"),
        ((-1000, -200, -300, -600), (10, 20, 15, 15), None),  # both fall: unlearning, not gaming
        ((-1000, -200, -201, -202), (10, 20, 30, 40), None),  # within two standard errors of ten episodes
        ((-1000, -600, -400, -200), (10, 20, 30, 40), None),
    ],
)
def test_gaming_is_said_with_its_step(
    tmp_path: Path, true: tuple[float, ...], learned: tuple[float, ...], since: str | None
) -> None:
    steps = (1000, 2000, 3000, 4000)
    match = one(tmp_path, {"steps": steps, "true": true, "learned": learned}, TRUE)
    gamed = [sentence for sentence in verdict(match).sentences if "is gamed:" in sentence]
    assert [sentence.startswith(since or "-") for sentence in gamed] == ([True] if since else [])
    assert match.arms[0].gamed == ([2000] if since else [])


def test_the_verdict_says_what_it_rests_on(tmp_path: Path) -> None:
    match = one(tmp_path, {}, TRUE, RANDOM | {"status": "running"})
    text = " ".join(verdict(match).sentences)
    assert "Trained on learned (100 labels) alone, PPO reached a true return of -200: 100% of the way" in text
    assert "(Pearson 0.90, Spearman 0.90, 95% of pairs in the right order)" in text
    assert "The control random reached -1,150 (5%)" in text
    assert "1 of these runs are not finished" in text


def test_seeds_on_one_model_say_nothing_of_another_fit(tmp_path: Path) -> None:
    same = verdict(three(tmp_path / "same", {"digest": "0", "recipe": None}, TRUE))
    own = verdict(three(tmp_path / "own", {}, TRUE))
    assert ["train on one fitted model" in " ".join(judged.sentences) for judged in (same, own)] == [True, False]


def test_agreement_with_a_constant_reward_is_undefined_not_zero(tmp_path: Path) -> None:
    match = one(tmp_path, {"spearman": math.nan}, {"seed": 1, "spearman": math.nan})
    assert any("is undefined" in s for s in verdict(match).sentences)
    assert cells(match)[0][HEADERS.index("Spearman")] == "undefined"
    match = one(tmp_path / "some", {"spearman": math.nan}, {"seed": 1}, {"seed": 2, "spearman": 0.8})
    assert any("undefined in 1 of 3 seeds" in s for s in verdict(match).sentences)
    assert cells(match)[0][HEADERS.index("Spearman")] == "0.85 [0.21, 1.49] (2 of 3 seeds)"
    assert cells(match)[0][HEADERS.index("Pearson")] == "0.85 (2 of 3 seeds)"


def test_cells(tmp_path: Path) -> None:
    match = one(tmp_path, {"env": "Own-v0"}, TRUE | {"env": "Own-v0"})
    dashes = ["–"] * 7
    assert cells(match) == [
        ["learned", "1", "100", "-200", "100%", "0.90", "0.90", "95%", "12 s", "6 s", "500"],
        ["true", "1", "0", "-200", "100%", "–", "–", "–", "–", "6 s", "500"],
        ["random policy", "–", "–", "-1,200", *dashes],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(48.2, "48 s"), (192, "3 min 12 s"), (7500, "2 h 05 min"), (math.nan, "–")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_control_without_a_language_model_is_judged_where_nothing_else_is(tmp_path: Path) -> None:
    no_lm = {"reward": "no-lm", "model": "no-lm", "digest": "d" * 16, "true": (-1000, -500, -205)}
    worse = {"true": (-1000, -1000, -720)}
    assert verdict(three(tmp_path / "a", worse, no_lm, TRUE, RANDOM)).headline.startswith("learned does not carry")
    assert verdict(three(tmp_path / "b", no_lm, TRUE, RANDOM)).headline.startswith("no-lm does the work")


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (
            (-260, -248, -252),
            "The language model of learned added 53.3 [40.8, 65.8] of true return: no-lm, without one",
        ),
        ((-150, -146, -148), "The language model of learned took 52.0 [47.0, 57.0] of true return"),
        (
            (-260, -180, -166),
            "added nothing that 3 seeds can tell (2.00 [-119, 123]): no-lm, without one, reached -202",
        ),
    ],
)
def test_what_a_language_model_added_is_said_beside_as_many_labels_without_one(
    tmp_path: Path, without: tuple[int, ...], words: str
) -> None:
    no_lm = [
        {"reward": "no-lm", "model": "no-lm", "seed": seed, "true": (-1000, -500, final)}
        for seed, final in enumerate(without)
    ]
    learned = [{"seed": seed, "true": (-1000, -500, -200 + 2 * (seed - 1))} for seed in range(3)]
    sentences = verdict(one(tmp_path / "same", *learned, *no_lm, TRUE)).sentences
    assert sum(words in sentence for sentence in sentences) == 1
    for other in ({"labels": 50}, {"composition": Composition(true_weight=0.5)}):  # these are no controls
        others = [arm | other for arm in no_lm]
        sentences = verdict(one(tmp_path / next(iter(other)), *learned, *others, TRUE)).sentences
        assert "language model of" not in " ".join(sentences)


def test_one_seed_cannot_tell_what_a_language_model_added(tmp_path: Path) -> None:
    no_lm = {"reward": "no-lm", "model": "no-lm", "true": (-1000, -500, -300)}
    sentences = verdict(one(tmp_path, {}, no_lm, TRUE)).sentences
    assert any("of learned added, one seed cannot tell: no-lm, without one, reached -300" in s for s in sentences)


COMFORT = "my_room:comfort@0123abcd"
UNREWARDED = {"true": (0, 0, 0), "random": (0, 0), "spearman": math.nan, "env": "Own-v0"}


def test_without_a_true_reward_arms_are_compared_on_a_measure(tmp_path: Path) -> None:
    learned = {**UNREWARDED, "measure": COMFORT}
    control = {**RANDOM, **UNREWARDED, "measure": COMFORT, "measured": (5, 4, 3)}
    match = one(tmp_path, control, learned)
    judged = verdict(match)
    assert judged.mark == "open"
    assert judged.headline == (
        "Every episode has the same true return, which judges nothing here; by comfort, learned 7.00, random 3.00, "
        "a random policy 2.00."
    )
    assert headers(match)[3:5] == ("true return", "comfort")
    assert [row[:5] for row in cells(match)] == [
        ["learned", "1", "100", "0.00", "7.00"],
        ["random", "1", "0", "0.00", "3.00"],
        ["random policy", "–", "–", "0.00", "2.00"],
    ]
    assert all(len(row) == len(headers(match)) for row in cells(match))
    bare = verdict(one(tmp_path / "bare", UNREWARDED, {**RANDOM, **UNREWARDED}))
    assert "train with --measure to compare arms" in bare.headline


def test_a_measure_stands_beside_the_true_reward(tmp_path: Path) -> None:
    match = one(tmp_path, {"measure": COMFORT}, TRUE | {"measure": COMFORT, "measured": (9, 9, 9)}, RANDOM)
    judged = verdict(match)
    assert "of the random-to-true range" in judged.headline
    assert "By comfort, a measure of your own: true 9.00, learned 7.00, a random policy 2.00." in judged.sentences
    assert next(row for row in cells(match) if row[0] == "random")[4] == "–"


def test_different_measures_are_not_compared(tmp_path: Path) -> None:
    match = one(tmp_path, {"measure": COMFORT}, {"seed": 1, "measure": "my_room:comfort@ffff0000"}, TRUE)
    assert headers(match) == HEADERS
    assert len(cells(match)[0]) == len(HEADERS)
    assert any("different functions, which are not compared" in sentence for sentence in verdict(match).sentences)


def test_what_was_not_measured_is_told(tmp_path: Path) -> None:
    match = one(tmp_path, {"measure": COMFORT}, {"seed": 1, "measure": COMFORT, "measured": (5, 6, math.nan)}, TRUE)
    assert cells(match)[0][4] == "7.00 (1 of 2 seeds)"
    assert any("not measured by comfort" in sentence for sentence in verdict(match).sentences)


def test_without_a_true_reward_arms_are_compared_on_success(tmp_path: Path) -> None:
    learned = {**UNREWARDED, "success": (0.1, 0.5, 0.8), "held_out": {"labels": 12, "r2": 0.93, "accuracy": 0.8}}
    match = one(tmp_path, {**RANDOM, **UNREWARDED, "success": (0.2, 0.1, 0)}, learned)
    judged = verdict(match)
    assert judged.mark == "open"
    assert judged.headline.endswith("judges nothing here; by success, learned 80%, random 0%, a random policy 25%.")
    text = " ".join(judged.sentences)
    assert "By the word of learned itself, its agents went from 10.0 to 30.0" in text
    assert "On 12 labels that it was not fitted on, learned explains 93% of the variance of ratings" in text
    assert "and puts 80% of the compared pairs in order." in text
    assert "these runs cannot tell" not in text
    assert headers(match)[4] == "success"
    assert [row[4] for row in cells(match)] == ["80%", "0%", "25%"]


def test_what_nobody_can_know_is_told(tmp_path: Path) -> None:
    sentences = verdict(one(tmp_path, UNREWARDED, {**RANDOM, **UNREWARDED})).sentences
    assert any("Whether what learned pays for is what you want, these runs cannot tell" in each for each in sentences)
    assert not any("reached a true return" in each for each in sentences)


def test_success_stands_beside_the_true_reward_and_the_measure(tmp_path: Path) -> None:
    both = {"success": (0, 0.5, 1), "measure": COMFORT}
    match = one(tmp_path, both, {**TRUE, **both}, RANDOM)
    sentences = verdict(match).sentences
    assert any(s.startswith("Episodes that succeed, by their info: ") and "a random policy 25%" in s for s in sentences)
    assert headers(match)[3:6] == ("true return", "success", "comfort")
    assert [row[4:6] for row in cells(match)] == [["100%", "7.00"], ["100%", "7.00"], ["–", "–"], ["25%", "2.00"]]
    assert all(len(row) == len(headers(match)) for row in cells(match))
