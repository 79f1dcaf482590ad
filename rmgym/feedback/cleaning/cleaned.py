"""Answers that labels are made of: all that were given, or those that cleaning leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rmgym.errors import FeedbackError
from rmgym.feedback.cleaning.audit import Audit, Finding
from rmgym.feedback.cleaning.constant import constant
from rmgym.feedback.cleaning.cycles import cycles
from rmgym.feedback.cleaning.disagreeing import disagreeing
from rmgym.feedback.cleaning.one_scale import on_one_scale
from rmgym.feedback.cleaning.reliability import reliabilities
from rmgym.feedback.cleaning.twice import given_twice
from rmgym.feedback.given import Given, answer_id, value_of
from rmgym.feedback.scales import Scale, are_mixed, check_value
from rmgym.feedback.tables import DamagedRowError
from rmgym.feedback.teachers.panel import PANEL
from rmgym.feedback.teachers.person import HUMAN


@dataclass(frozen=True, kw_only=True, eq=False)
class Cleaned:
    """Answers, what they say on one scale, and how much each counts.

    Attributes:
        given: ``N`` answers with their questions.
        values: ratings on one scale, and choices, ``float64 [N]``.
        weights: of each among the answers to one question, above 0, ``float64 [N]``.
        audit: what was set aside; None where nothing was looked for.
    """

    given: Given
    values: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    audit: Audit | None


def clean(given: Given) -> Cleaned:
    """Set aside answers that cannot be right, and weigh the others.

    In this order, each for what the one before has left: values off their scale (what then would mix different things
    is refused); what one annotator answered twice
    (:func:`~rmgym.feedback.cleaning.twice.given_twice`); annotators who give one answer to everything
    (:func:`~rmgym.feedback.cleaning.constant.constant`), or the opposite of the others', or none of any use
    (:func:`~rmgym.feedback.cleaning.disagreeing.disagreeing`); and preferences that close cycles
    (:func:`~rmgym.feedback.cleaning.cycles.cycles`). Then people's ratings are put on one scale
    (:func:`~rmgym.feedback.cleaning.one_scale.on_one_scale`), and their answers to one question are weighted
    (:func:`~rmgym.feedback.cleaning.reliability.reliabilities`). Each step has an error rate that it states, and leaves
    what is in order exactly as it is. The database stays as it is.

    Args:
        given: answers of a database: ``LabelStore.given()``.

    Raises:
        FeedbackError: answers that mean different things would be mixed, or none is left.
    """
    findings, notes, left = list[Finding](), list[str](), given

    def set_aside(found_in: Callable[[Given], list[Finding]]) -> None:
        nonlocal left
        findings.extend(new := found_in(left))
        left = left.without({answer for finding in new for answer in finding.answers})

    def without_disagreeing(left: Given) -> list[Finding]:
        new, remarks = disagreeing(left)
        notes.extend(remarks)
        return new

    set_aside(_off_scale)
    _check_mixed(left, (HUMAN,))  # before anybody is judged by what others say, who may mean something else
    for step in (given_twice, constant, without_disagreeing, cycles):
        set_aside(step)
    if not left.answers:
        got = "; ".join(map(str, findings))
        raise FeedbackError("some answers are left when they are cleaned", got=got, fix="pass clean=False")
    values, note = _values(left, of_people=True)
    weights, remarks = reliabilities(left, values)
    notes += [*([note] if note else []), *remarks]
    audit = Audit(answers=len(given.answers), findings=tuple(findings), notes=tuple(notes))
    return Cleaned(given=left, values=values, weights=weights, audit=audit)


def as_given(given: Given) -> Cleaned:
    """All answers, each as good as another; ratings of a panel are on one scale.

    Raises:
        FeedbackError: answers that mean different things would be mixed.
        DamagedRowError: one is off its scale.
    """
    if off := _off_scale(given):
        raise DamagedRowError(f"answer {off[0].answers[0]}: {off[0].why}")
    _check_mixed(given, ())
    values, _ = _values(given, of_people=False)
    return Cleaned(given=given, values=values, weights=np.ones(len(values)), audit=None)


def _off_scale(given: Given) -> list[Finding]:
    findings = list[Finding]()
    for answer in given.answers:
        try:
            check_value(answer)
        except FeedbackError as error:
            ids, why = (answer_id(answer),), f"{error.rule}, not {error.got}"
            findings.append(Finding(what="off the scale", annotator=answer.annotator, answers=ids, why=why))
    return findings


def _values(given: Given, *, of_people: bool) -> tuple[npt.NDArray[np.float64], str]:
    """What was answered, ratings on one scale, and a note about these."""
    values, note = np.array([value_of(answer) for answer in given.answers]), ""
    if rated := given.of("rating").answers:
        rows = np.array([answer.choice is None for answer in given.answers], np.bool_)
        values[rows], note = on_one_scale(rated, of_people=of_people)
    return values, note


def _check_mixed(given: Given, own: tuple[str, ...]) -> None:
    """Refuse answers that mean different things; those of sources in ``own``, and of a panel, are put on one scale.

    Raises:
        FeedbackError: they do.
    """
    scales = {(a.annotator, Scale.of(a.source, a.value is None, a.levels, a.cuts)) for a in given.answers}
    sources = {scale.source for _, scale in scales}
    if len(sources) == 1 and (next(iter(sources)) in own or next(iter(sources)).startswith(PANEL)):
        return
    if are_mixed(scale for _, scale in scales):
        raise FeedbackError(
            "answers that mean different things are not mixed",
            got="; ".join(f"{annotator}: {scale}" for annotator, scale in sorted(scales)),
            fix="choose one annotator: annotator=NAME",
        )
