"""Placements are comparisons on the disk, and a ladder is read off them again as it was."""

from __future__ import annotations

from bisect import bisect
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rmgym.errors import AnsweredError, FeedbackError
from rmgym.feedback.ladder import ladder_of
from rmgym.feedback.questions import segment_digest
from rmgym.feedback.store import LabelStore
from rmgym.ui.ladder_desk import LadderDesk
from tests.ui.labelling import asked

STEPS = 14


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return asked(tmp_path / "labels.sqlite", ratings=STEPS, preferences=0)


def angle(desk: LadderDesk, code: str) -> float:
    """What steps are placed by: the pole's angle before."""
    return float(desk.questions[code].left.numbers[2])


def place(desk: LadderDesk, annotator: str, places: int = 1000) -> list[str]:
    """Place steps by their angle; the codes of those placed."""
    codes = list[str]()
    while len(codes) < places and (turn := desk.turn(annotator)).code:
        above = bisect([angle(desk, rung) for rung in turn.rungs], angle(desk, turn.code))
        around = ("", *turn.rungs, "")
        desk.answer(annotator, turn.code, f"{around[above]}:{around[above + 1]}")
        codes.append(turn.code)
    return codes


def test_steps_placed_one_by_one_are_in_order_and_stay_so(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    assert desk.turn("ann").rungs == (next(iter(desk.questions)),)
    assert len(place(desk, "ann", 6)) == 6
    after = LadderDesk(LabelStore(store.path), ["ann"])  # nothing but the database is left
    assert after.turn("ann").code == desk.turn("ann").code
    assert after.turn("ann").rungs == desk.turn("ann").rungs
    assert after.words("ann") == desk.words("ann")
    place(after, "ann")
    wanted = sorted(after.questions, key=lambda code: angle(after, code))
    assert [*after.turn("ann").rungs] == wanted
    assert ladder_of(store, "ann") == [segment_digest(after.questions[code].left) for code in wanted]
    assert (after.turn("ann").code, after.turn("ann").done) == ("", STEPS - 1)
    labels = store.labels().preferences
    assert labels is not None
    before = labels.steps.numbers.reshape(len(labels.steps), -1)[:, 2]
    for left, right, choice in zip(labels.left[:, 0], labels.right[:, 0], labels.choice, strict=True):
        assert (before[left] > before[right]) == bool(choice)


def test_everybody_has_a_ladder_of_their_own_and_steps_that_nobody_else_placed(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann", "bob"])
    first = next(iter(desk.questions))
    ann, bob = place(desk, "ann", 4), place(desk, "bob")
    ann += place(desk, "ann")
    assert {*ann, *bob, first} == desk.questions.keys()
    assert not {*ann} & {*bob}
    assert [{*desk.turn(who).rungs} for who in ("ann", "bob")] == [{*ann, first}, {*bob, first}]
    with pytest.raises(AnsweredError, match="one person"):
        desk.answer("bob", ann[0], f":{first}")


def test_a_placement_sent_twice_is_one_and_another_one_is_refused(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    place(desk, "ann", 3)
    turn = desk.turn("ann")
    desk.answer("ann", turn.code, f"{turn.rungs[-1]}:")
    rows = [row.model_dump() for row in store.answers("ann")]
    for again in (desk, LadderDesk(LabelStore(store.path), ["ann"])):
        again.answer("ann", turn.code, f"{turn.rungs[-1]}:")
        with pytest.raises(AnsweredError, match="answered once"):
            again.answer("ann", turn.code, f":{turn.rungs[0]}")
    assert [row.model_dump() for row in store.answers("ann")] == rows


def test_undo_takes_a_whole_placement_back(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    place(desk, "ann", 8)
    before, rows = desk.turn("ann"), [row.model_dump() for row in store.answers("ann")]
    place(desk, "ann", 1)
    assert len(store.answers("ann")) > len(rows) + 1
    for _ in range(2):
        desk.undo("ann", before.code)
    assert desk.turn("ann").code == before.code
    assert desk.turn("ann").rungs == before.rungs
    assert [row.model_dump() for row in store.answers("ann")] == rows
    place(desk, "ann")
    assert desk.turn("ann").code == ""


def test_a_tie_is_one_and_shares_the_rung(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    place(desk, "ann", 4)
    turn = desk.turn("ann")
    desk.answer("ann", turn.code, f"{turn.rungs[2]}:{turn.rungs[2]}")
    for again in (desk, LadderDesk(LabelStore(store.path), ["ann"])):
        assert again.turn("ann").rungs == turn.rungs
        assert again.words("ann")[turn.code] == f"{turn.rungs[2]}:{turn.rungs[2]}"
    assert [row.choice for row in store.answers("ann")].count(0.5) == 1
    desk.undo("ann", turn.code)
    assert 0.5 not in [row.choice for row in store.answers("ann")]
    assert desk.turn("ann").rungs == turn.rungs


def test_ladders_agree_by_the_order_of_what_all_have_placed(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann", "bob", "cid"], overlap=1.0)
    placed = place(desk, "ann")
    for code in placed[:6]:
        turn = desk.turn("bob")
        assert turn.code == code
        desk.answer("bob", code, f"{turn.rungs[-1]}:")  # whatever it is
    turn = desk.turn("bob")
    desk.answer("bob", turn.code, f"{turn.rungs[3]}:{turn.rungs[3]}")
    values = desk.values()["placement"]
    order = sorted(placed[:7], key=lambda code: angle(desk, code))
    assert values["ann"] == {code: order.index(code) / 6 for code in order}
    assert values["bob"] == {**{code: i / 5 for i, code in enumerate(placed[:6])}, placed[6]: 2 / 5}
    assert "cid" not in values
    desk.answer("cid", desk.turn("cid").code, "skip")  # who has no order yet wipes out nobody's
    assert desk.values()["placement"] == values
    place(desk, "cid", 1)
    assert desk.values()["placement"] == values


def test_a_skipped_step_is_somebody_elses(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann", "bob"])
    skipped = desk.turn("ann").code
    desk.answer("ann", skipped, "skip")
    unsure = desk.turn("ann").code
    desk.answer("ann", unsure, "unsure")
    again = LadderDesk(LabelStore(store.path), ["ann", "bob"])
    assert again.words("ann") == {skipped: "skip", unsure: "unsure"}
    placed = place(again, "bob")
    assert skipped in placed
    assert unsure not in placed
    desk.undo("ann", unsure)
    assert [row.confidence for row in store.answers("ann")] == [None]


def test_places_that_the_ladder_does_not_have_are_refused(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    place(desk, "ann", 4)
    turn = desk.turn("ann")
    low, middle, high = turn.rungs[:3]
    for word in (f"{low}:{high}", f"{high}:{low}", f"{middle}:", f":{middle}", "r000:r000", f"{turn.code}:{turn.code}"):
        with pytest.raises(AnsweredError, match="neighbours"):
            desk.answer("ann", turn.code, word)
    for word in ("", ":", "3", "left", "<script>"):
        with pytest.raises(FeedbackError, match="between two others"):
            desk.answer("ann", turn.code, word)
    assert desk.turn("ann") == turn


def test_ratings_and_comparisons_of_before_are_no_placements(store: LabelStore) -> None:
    codes = [*LadderDesk(store, ["ann"]).questions.values()]
    store.rate(codes[1].id, 3, annotator="ann", source="human", levels=10)
    (query,) = store.ask_to_compare(codes[2].id, [codes[3].id])  # neither is on the ladder
    store.prefer(query, 1.0, annotator="ann", source="human")
    desk = LadderDesk(store, ["ann"])
    assert (desk.turn("ann").done, len(desk.turn("ann").rungs)) == (0, 1)
    assert len(place(desk, "ann")) == STEPS - 1


def test_many_at_once_lose_and_double_nothing(store: LabelStore) -> None:
    names = ["ann", "bob", "cid", "dan"]
    desk = LadderDesk(store, names)
    with ThreadPoolExecutor(4) as pool:
        placed = [code for codes in pool.map(lambda name: place(desk, name), names) for code in codes]
    assert sorted(placed) == sorted([*desk.questions][1:])
    after = LadderDesk(LabelStore(store.path), names)
    for name in names:
        assert after.words(name) == desk.words(name)
        assert after.turn(name).rungs == desk.turn(name).rungs


def test_a_kill_between_question_and_answer_leaves_the_step_to_be_placed(store: LabelStore) -> None:
    desk = LadderDesk(store, ["ann"])
    place(desk, "ann", 4)
    turn = desk.turn("ann")
    assert turn.question is not None
    store.ask_to_compare(turn.question.id, [desk.questions[turn.rungs[2]].id])
    after = LadderDesk(LabelStore(store.path), ["ann"])
    assert (after.turn("ann").code, after.turn("ann").rungs) == (turn.code, turn.rungs)
    place(after, "ann")
    assert after.turn("ann").done == STEPS - 1


def test_one_step_is_no_ladder(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="at least two steps"):
        LadderDesk(asked(tmp_path / "one.sqlite", ratings=1, preferences=1), ["ann"])
