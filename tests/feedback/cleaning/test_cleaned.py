"""Cleaning as a whole: what is in order stays exactly as it is, what is not is set aside and accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

import rmgym.feedback
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.assemble import assemble
from rmgym.feedback.cleaning import Audit, as_given, clean
from rmgym.feedback.given import Given
from rmgym.feedback.labels import Labels
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.store import LabelStore
from rmgym.feedback.tables import Answer, Query
from rmgym.feedback.teachers import FallibleTeacher, Habits, Panel, ScriptedTeacher, Teacher
from tests.feedback.cleaning.answering import (
    Always,
    Chance,
    compared_by,
    drawn_steps,
    honest,
    in_order,
    rated_by,
    segment,
    shared_out,
)


def same(one: Labels, other: Labels) -> bool:
    """Whether labels are equal to the bit."""
    for part in ("ratings", "preferences"):
        a, b = getattr(one, part), getattr(other, part)
        if (a is None) != (b is None):
            return False
        for name in [] if a is None else ("values", "choice", "margin", "groups", "left", "right"):
            if hasattr(a, name) and getattr(a, name).tolist() != getattr(b, name).tolist():
                return False
    return one.texts.strings() == other.texts.strings()


def with_and_without(given: Given) -> tuple[Labels, Labels]:
    return assemble(clean(given), source={}), assemble(as_given(given), source={})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@drawn(
    seed=st.integers(0, 10_000),
    people=st.integers(1, 4),
    by=st.integers(1, 3),
    levels=st.sampled_from([None, 3, 10]),
    compared=st.booleans(),
    source=st.sampled_from(["scripted:reward", "panel:scripted:reward"]),
)
@example(seed=1, people=4, by=3, levels=None, compared=False, source="panel:scripted:reward")
def test_what_honest_people_answer_gives_the_labels_that_it_gives_without(
    seed: int, people: int, by: int, levels: int | None, compared: bool, source: str
) -> None:
    """Scripts that know the truth, on one scale, whoever is asked what; and a panel of such."""
    count = 30
    steps, texts = drawn_steps(count * 6 if compared else count, seed)
    cuts = () if levels is None else tuple(np.linspace(-2, 2, levels - 1).tolist())
    names = [f"p{i}" for i in range(people)]
    who: dict[str, Teacher] = dict.fromkeys(names, ScriptedTeacher(levels=levels, cuts=cuts))
    asked = shared_out(count, names, seed, by=min(by, people))
    asked = {name: rows for name, rows in asked.items() if len(rows) > 1}
    who = {name: who[name] for name in asked}
    if compared:
        pairs = np.random.default_rng(seed).permutation(np.arange(0, len(texts), 3)).reshape(-1, 2)
        given = compared_by(who, steps, texts, pairs, asked)
    else:
        given = rated_by(who, steps, texts, asked, source)
    cleaned, plain = with_and_without(given)
    assert Audit.of(cleaned.source) == Audit(answers=len(given.answers))
    assert same(cleaned, plain)


def test_the_bad_among_the_good_are_set_aside_with_reasons_and_counts() -> None:
    people = {
        **honest(4, 1, own_scale=True, mistakes=0.1),
        "always": Always(2.0),
        "chance": Chance(3),
        "turned": FallibleTeacher(habits=Habits(own_scale=True, adversarial=True), seed=9),
    }
    steps, texts = drawn_steps(500, 1)
    given = rated_by(people, steps, texts, shared_out(500, list(people), 1))
    cleaned = clean(given)
    audit = cleaned.audit
    assert audit is not None
    assert [(f.annotator, f.what) for f in audit.findings] == [
        ("always", "constant"),
        ("turned", "reversed"),
        ("chance", "by chance"),
    ]
    theirs = {a.id for a in given.answers if a.annotator in ("always", "chance", "turned")}
    assert audit.set_aside == theirs
    assert {a.annotator for a in cleaned.given.answers} == {f"good {i}" for i in range(4)}
    lines = audit.lines()
    assert lines[0] == f"cleaning: {len(theirs)} of 500 answers are set aside; all stay in the database"
    assert lines[1].startswith("  constant: ")
    assert "always: rated each step 2, which" in lines[1]
    assert Audit.of({"cleaning": audit.to_json()}) == audit
    assert Audit.of({}) is None
    assert Audit(answers=3).lines() == []


def test_values_off_their_scale_are_set_aside_and_all_of_them_are_too_many() -> None:
    _, texts = drawn_steps(3, 0)
    queries = {i: Query(id=i, kind="rating", left=i) for i in range(3)}
    segments = {i: segment(texts, i, 1) for i in range(3)}
    values = (3.0, 9.0, 1.0)
    answers = [Answer(query=i, annotator="ann", source="s", value=v, levels=5) for i, v in enumerate(values)]
    given = in_order(answers, queries, segments)
    cleaned = clean(given)
    assert cleaned.values.tolist() == [3, 1]
    assert cleaned.audit is not None
    assert str(cleaned.audit.findings[0]) == "off the scale: 1 of ann: a rating is 1 to 5, not 9.0"
    with pytest.raises(FeedbackError, match="some answers are left") as refused:
        clean(given.without({1, 3}))
    assert refused.value.fix == "pass clean=False"


def test_a_store_gives_labels_of_what_is_left_and_keeps_all(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels.sqlite")
    steps, texts = drawn_steps(400, 2)
    members: dict[str, Teacher] = {**honest(3, 2, own_scale=True), "always": Always(1.0)}
    ask(store, Panel(members), steps, texts, QuestionPlan(ratings=200))
    everything = store.path.read_bytes()
    counts = store.info()["counts"]
    labels, plain = store.labels(), store.labels(clean=False)
    always = len(store.answers("always"))
    assert labels.ratings is not None
    assert plain.ratings is not None
    assert (len(labels.ratings), len(plain.ratings)) == (200 - always, 200)
    audit = Audit.of(labels.source)
    assert audit is not None
    assert audit.set_aside == {answer.id for answer in store.answers("always")}
    assert labels.source["answers"].keys() == {"good 0", "good 1", "good 2"}  # nobody else has a part in them
    assert plain.source["answers"].keys() == members.keys()
    assert "cleaning" not in plain.source
    assert store.info()["counts"] == counts
    assert store.path.read_bytes() == everything
    assert rmgym.feedback.clean(store.given()).audit == audit


def test_answers_that_mean_different_things_are_still_not_mixed() -> None:
    _, texts = drawn_steps(2, 0)
    answers = [
        Answer(query=i, annotator=source, source=source, value=1.0 + i)
        for i, source in enumerate(("scripted:reward", "scripted:outcome"))
    ]
    queries = {i: Query(id=i, kind="rating", left=i) for i in range(2)}
    given = in_order(answers, queries, {i: segment(texts, i, 1) for i in range(2)})
    for how in (clean, as_given):
        with pytest.raises(FeedbackError, match="not mixed"):
            how(given)


def test_sources_are_not_mixed_even_where_cleaning_would_leave_one_of_them() -> None:
    steps, texts = drawn_steps(60, 0)
    queries = {i: Query(id=i, kind="rating", left=i) for i in range(60)}
    human = [Answer(query=i, annotator="hal", source="human", value=3.0, levels=6) for i in range(30)]
    scripted = [
        Answer(query=i, annotator="s", source="scripted:reward", value=float(steps.true_reward[i]))
        for i in range(30, 60)
    ]
    given = in_order(human + scripted, queries, {i: segment(texts, i, 1) for i in range(60)})
    with pytest.raises(FeedbackError, match="not mixed"):
        clean(given)
