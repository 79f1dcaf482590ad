"""Annotators who give one answer to everything."""

from __future__ import annotations

import math
from collections import Counter

from scipy.stats import beta

from rmgym.feedback.cleaning.audit import Finding
from rmgym.feedback.given import KINDS, Given, answer_id, value_of

ALPHA = 0.01
"""How likely each test, for each kind of answers, takes anybody who answers as the others do for a bad annotator."""


def constant(given: Given) -> list[Finding]:
    """Who gave the same answer so often that nobody does who answers as the others.

    Where a reward is sparse, honest people give one answer nearly always too. So the fewest answers that tell follow
    from how often each of the others gives their own most frequent one: the upper bound of that share (Clopper &
    Pearson 1934, at 99 %) times itself, for each answer but the first, has to fall below :data:`ALPHA` over the number
    of annotators (Bonferroni). Where two people are judged and the other says "1" to 50 of 100 steps, that is 13
    answers; where to 95 of 100, 407. Somebody who answers alone is not judged.
    """
    findings = list[Finding]()
    for kind in KINDS:
        of = dict[str, list[tuple[int, float]]]()
        for answer in given.of(kind).answers:
            of.setdefault(answer.annotator, []).append((answer_id(answer), value_of(answer)))
        counts = {name: Counter(value for _, value in answers) for name, answers in of.items()}
        for name, answers in of.items():
            others = [count for other, count in counts.items() if other != name]
            if len(counts[name]) > 1 or not others:
                continue
            least = fewest(sum(max(c.values()) for c in others), sum(c.total() for c in others), len(of))
            if len(answers) < least:
                continue
            words = "rated each step" if kind == "rating" else "answered each comparison with"
            why = f"{words} {answers[0][1]:g}, which tells of nothing from {least:.0f} answers on, as others answer"
            findings.append(
                Finding(what="constant", annotator=name, answers=tuple(sorted(i for i, _ in answers)), why=why)
            )
    return findings


def fewest(frequent: int, of: int, annotators: int) -> float:
    """How many equal answers somebody has to give until that is no chance.

    Args:
        frequent: how many of the others' answers are the most frequent one of whoever gave it.
        of: how many answers the others gave.
        annotators: how many are judged.
    """
    if frequent == of:
        return math.inf
    share = float(beta.ppf(1 - ALPHA, frequent + 1, of - frequent))
    return math.ceil(1 + math.log(ALPHA / annotators) / math.log(share))
