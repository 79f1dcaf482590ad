"""One question for one person, answers on the disk, and a desk that is made anew from the database alone."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rmgym.errors import AnsweredError, FeedbackError
from rmgym.feedback.store import LabelStore
from rmgym.ui.desk import Desk
from tests.ui.labelling import asked


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return asked(tmp_path / "labels.sqlite")


def word(desk: Desk, code: str) -> str:
    return "7" if desk.questions[code].kind == "rating" else "left"


def finish(desk: Desk, annotator: str) -> list[str]:
    """Answer whatever comes; the codes in order."""
    codes = list[str]()
    while code := desk.turn(annotator).code:
        desk.answer(annotator, code, word(desk, code))
        codes.append(code)
    return codes


def test_every_question_goes_to_one_of_them(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10)
    seen = {"ann": list[str](), "bob": list[str]()}
    for annotator in ("ann", "bob") * 6:
        code = desk.turn(annotator).code
        desk.answer(annotator, code, word(desk, code))
        seen[annotator].append(code)
    assert Counter(seen["ann"] + seen["bob"]) == Counter(desk.questions.keys())
    assert len(seen["ann"]) == len(seen["bob"]) == 6
    assert desk.turn("ann").code == desk.turn("bob").code == ""
    assert len(store.answers("ann")) == len(store.answers("bob")) == 6


def test_who_is_done_helps_the_others(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10)
    bobs = desk.turn("bob").code
    assert set(finish(desk, "ann")) == set(desk.questions) - {bobs}
    assert finish(desk, "bob") == [bobs]


def test_the_overlap_goes_to_all_and_is_evenly_spread(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob", "cid"], levels=10, overlap=0.25)
    answered = Counter(code for who in ("ann", "bob", "cid") for code in finish(desk, who))
    assert sorted(answered.values()) == [1] * 9 + [3] * 3
    places = [place for place, code in enumerate(desk.questions) if answered[code] == 3]
    assert places == [3, 7, 11]


def test_a_desk_made_anew_goes_on_with_the_same_questions(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10)
    for annotator in ("ann", "bob", "bob"):
        code = desk.turn(annotator).code
        desk.answer(annotator, code, word(desk, code))
    shown = {who: desk.turn(who).code for who in ("ann", "bob")}
    again = Desk(LabelStore(store.path), ["ann", "bob"], levels=10)
    assert {who: again.turn(who).code for who in ("ann", "bob")} == shown
    assert [again.turn(who).done for who in ("ann", "bob")] == [1, 2]
    finish(again, "ann")
    finish(again, "bob")
    assert len(store.answers("ann")) + len(store.answers("bob")) == 12


def test_sent_again_an_answer_changes_nothing_and_another_one_is_refused(store: LabelStore) -> None:
    desk = Desk(store, ["ann"], levels=10)
    code = desk.turn("ann").code
    desk.answer("ann", code, "3")
    before = [row.model_dump() for row in store.answers("ann")]
    desk.answer("ann", code, "3")
    with pytest.raises(AnsweredError, match="answered once"):
        desk.answer("ann", code, "4")
    assert [row.model_dump() for row in store.answers("ann")] == before
    assert before[0]["value"] == 3.0


def test_the_quicker_one_of_two_counts(store: LabelStore) -> None:
    clock = Clock()
    desk = Desk(store, ["ann", "bob"], levels=10, clock=clock)
    late = desk.turn("ann").code
    clock.now += 1000  # ann sees a question, and has gone for a walk
    while (code := desk.turn("bob").code) != late:
        desk.answer("bob", code, word(desk, code))
    desk.answer("bob", late, "5")
    with pytest.raises(AnsweredError, match="goes to one person"):
        desk.answer("ann", late, "6")
    assert store.answers("ann") == []


def test_what_somebody_sees_is_given_to_nobody_else(store: LabelStore) -> None:
    clock = Clock()
    desk = Desk(store, ["ann", "bob"], levels=10, clock=clock)
    seen = desk.turn("ann").code
    clock.now += 800
    assert seen not in finish(desk, "bob")


def test_a_skipped_question_is_somebody_elses(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10)
    skipped = desk.turn("ann").code
    desk.answer("ann", skipped, "skip")
    assert skipped not in finish(desk, "ann")
    assert skipped in finish(desk, "bob")


def test_what_cannot_be_told_is_an_answer(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10)
    code = desk.turn("ann").code
    desk.answer("ann", code, "unsure")
    assert code not in finish(desk, "bob")
    (row,) = store.answers("ann")
    assert (row.skipped, row.confidence) == (True, 0.0)


def test_undo_takes_back_the_last_answer_once(store: LabelStore) -> None:
    desk = Desk(store, ["ann"], levels=10)
    first, second = (desk.turn("ann").code, "")
    desk.answer("ann", first, "3")
    second = desk.turn("ann").code
    desk.answer("ann", second, "4")
    with pytest.raises(AnsweredError, match="last answer"):
        desk.undo("ann", first)
    desk.undo("ann", second)
    desk.undo("ann", second)  # the same request, sent again
    assert desk.turn("ann").code == second
    assert [row.value for row in store.answers("ann")] == [3.0]
    assert desk.turn("ann").last == first
    desk.answer("ann", second, "9")
    assert [row.value for row in store.answers("ann")] == [3.0, 9.0]


def test_anchors_are_ones_own_lowest_and_highest(store: LabelStore) -> None:
    desk, codes = Desk(store, ["ann", "bob"], levels=10), list[str]()
    for level in ("5", "5", "9"):
        assert (desk.turn("ann").low, desk.turn("ann").high) == ("", "")
        codes.append(desk.turn("ann").code)
        desk.answer("ann", codes[-1], level)
    assert (desk.turn("ann").low, desk.turn("ann").high) == (codes[0], codes[2])
    assert desk.turn("bob").low == ""


def test_the_time_that_is_left_is_what_answers_took(store: LabelStore) -> None:
    clock = Clock()
    desk = Desk(store, ["ann"], levels=10, clock=clock)
    assert desk.turn("ann").minutes is None
    for seconds in (6.0, 12.0, 9999.0):
        code = desk.turn("ann").code
        clock.now += seconds
        desk.answer("ann", code, word(desk, code))
    assert desk.turn("ann").minutes == pytest.approx(12.0 * 9 / 60)


def test_who_has_rated_keeps_the_scale(store: LabelStore) -> None:
    Desk(store, ["ann"], levels=5).answer("ann", next(iter(Desk(store, ["ann"], levels=5).questions)), "5")
    desk = Desk(store, ["ann", "bob"], levels=10)
    assert [desk.turn(who).levels for who in ("ann", "bob")] == [5, 10]
    with pytest.raises(FeedbackError, match="2 to 10 levels"):
        Desk(store, ["cid"], levels=11)


def test_a_script_is_no_annotator(store: LabelStore) -> None:
    store.rate(1, 3.0, annotator="script", source="scripted:reward")
    with pytest.raises(FeedbackError, match="answers in one way"):
        Desk(store, ["script"], levels=10)


def test_strange_codes_are_refused(store: LabelStore) -> None:
    desk = Desk(store, ["ann"], levels=10)
    for code in ("", "r000", "<script>"):
        with pytest.raises(FeedbackError, match="belongs to a question"):
            desk.answer("ann", code, "3")
    with pytest.raises(FeedbackError, match="share"):
        Desk(store, ["ann"], levels=10, overlap=1.5)


def test_many_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    store = asked(tmp_path / "labels.sqlite", ratings=40, preferences=0)
    names = [f"annotator {i}" for i in range(8)]
    desk = Desk(store, names, levels=10)
    with ThreadPoolExecutor(8) as pool:
        answered = [code for codes in pool.map(lambda name: finish(desk, name), names) for code in codes]
    assert Counter(answered) == Counter(desk.questions.keys())
    assert sum(len(store.answers(name)) for name in names) == 40


def test_everybodys_answers_as_numbers_and_how_far_they_are(store: LabelStore) -> None:
    desk = Desk(store, ["ann", "bob"], levels=10, overlap=1.0)
    words = {"ann": ["1", "4", "10", "skip", "unsure", "3", "left", "tie", "right"], "bob": ["10", "2"]}
    for name, given in words.items():
        for each in given:
            desk.answer(name, desk.turn(name).code, each)
    codes = [*desk.questions]
    assert desk.values() == {
        "rating": {
            "ann": {codes[0]: 0.0, codes[1]: 3 / 9, codes[2]: 1.0, codes[5]: 2 / 9},
            "bob": {codes[0]: 1.0, codes[1]: 1 / 9},
        },
        "preference": {"ann": {codes[6]: 1.0, codes[7]: 0.5, codes[8]: 0.0}, "bob": {}},
    }
    ann, bob = desk.standings()
    assert (ann.annotator, ann.answered, ann.unsure, ann.skipped, ann.left) == ("ann", 7, 1, 1, 3)
    assert (bob.annotator, bob.answered, bob.unsure, bob.skipped, bob.left) == ("bob", 2, 0, 0, 10)
