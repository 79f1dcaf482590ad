"""The verdict on a match in plain words: how far the learned reward carried, if it is right, what controls prove."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rmgym.bench.compare import Arm, Match, gamed_from
from rmgym.metrics import Interval

Mark = Literal["good", "partly", "bad", "open"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one match.

    Attributes:
        mark: ``good`` (at least 90 % of the range), ``partly`` (50 %), ``bad``, or ``open`` where it cannot be said.
        headline: one short sentence.
        sentences: what stands behind it.
    """

    mark: Mark
    headline: str
    sentences: tuple[str, ...]


def verdict(match: Match) -> Verdict:
    """Judge a match by its best learned arm; controls and unfinished runs are always spoken of."""
    learned = match.learned
    sentences = [s for arm in learned for s in _about(arm, match)]
    sentences += [_control(arm, match) for arm in match.arms if arm.kind == "control"]
    seeds = {len(arm.runs) for arm in match.arms}
    if max(seeds) < 3:
        word = "One seed" if max(seeds) == 1 else "Two seeds"
        sentences.append(f"{word}: a demonstration, not yet evidence; use three or more to compare rewards.")
    if match.unfinished:
        sentences.append(f"{match.unfinished} of these runs are not finished; their last evaluation so far counts.")
    if not learned:
        return Verdict(mark="open", headline="No learned reward among these runs.", sentences=tuple(sentences))
    best = learned[0]
    share = best.share.value
    if match.true_return <= match.random_return:
        headline = "Nothing to judge yet: the agent on the true reward does no better than a random policy."
        return Verdict(mark="open", headline=headline, sentences=tuple(sentences))
    if not math.isfinite(share):
        headline = f"{best.reward}: true return {number(best.true_return.value)}."
        return Verdict(mark="open", headline=headline, sentences=tuple(sentences))
    if _unproven(match):
        headline = f"{best.reward} reaches {percent(share)}, but so does a reward that knows nothing."
        return Verdict(mark="partly", headline=headline, sentences=tuple(sentences))
    mark: Mark = "good" if share >= 0.9 else "partly" if share >= 0.5 else "bad"
    words = {
        "good": "does the work of the true reward",
        "partly": "carries part of the way",
        "bad": "does not carry this task",
    }
    headline = f"{best.reward} {words[mark]}: {percent(share)} of the random-to-true range."
    return Verdict(mark=mark, headline=headline, sentences=tuple(sentences))


def number(value: float) -> str:
    """A number as people write it: ``-1,203``, ``-17.2``, ``0.97``; a dash where it is unknown."""
    if not math.isfinite(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # adding zero turns -0.0 into 0.0


def percent(share: float) -> str:
    """A share as ``97%``; a dash where it is unknown."""
    return f"{100 * share:.0f}%" if math.isfinite(share) else "–"


def interval(value: Interval) -> str:
    """``-172 [-190, -155]``; without brackets where one seed gives no interval."""
    if not math.isfinite(value.low):
        return number(value.value)
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def _about(arm: Arm, match: Match) -> list[str]:
    """Sentences on one learned arm."""
    if not math.isfinite(arm.true_return.value):
        return [f"{arm.reward} has not been evaluated yet."]
    labels = f" ({arm.labels:,} labels)" if arm.labels else ""
    reached = f"Trained on {arm.reward}{labels} alone, {match.algo.upper()} reached a true return of "
    reached += interval(arm.true_return)
    if math.isfinite(arm.share.value):
        reached += (
            f": {percent(arm.share.value)} of the way from a random policy ({number(match.random_return)}) "
            f"to the agent on the true reward ({number(match.true_return)})"
        )
    sentences = [reached + ".", _agreement(arm)]
    if bonus := next((run.survival_bonus for run in arm.runs if run.survival_bonus), None):
        sentences.append(f"The length of an episode may have given {arm.reward} away: {bonus}.")
    if students := [run.student for run in arm.runs if run.student]:
        sentences.append(_students(arm.reward, students))
    step = gamed_from(arm, match.true_return - match.random_return)
    if step is not None:
        sentences.append(
            f"From step {step:,.0f} on {arm.reward} is gamed: true return falls while the learned return does not."
        )
    return sentences


def _students(reward: str, runs: Sequence[Mapping[str, float | None]]) -> str:
    """What is to be known of runs where a fast student stood in for a slow model."""
    share, error = (max(run[name] or 0.0 for run in runs) for name in ("lm_call_share", "audit_error"))
    sentence = f"A student stood in for {reward}: the model itself read {percent(share)} of the steps"
    if not error:
        return f"{sentence}, and none of the student's were audited yet."
    return f"{sentence}, and the student erred by {error:.2g} standard deviations on the latest that were audited."


def _agreement(arm: Arm) -> str:
    rank, linear = arm.spearman.value, arm.pearson.value
    if not math.isfinite(rank):
        return (
            f"Agreement of {arm.reward} with the true reward is undefined: one of the two is constant over the "
            "evaluated steps."
        )
    if linear >= 0.9 > 0.7 > rank:
        # A trained agent's steps are nearly all alike: their order is hard to get right, and matters little.
        words = "tells good steps from bad ones as the true reward does, but orders nearly equal ones less well"
    elif rank >= 0.9:
        words = "ranks steps almost as the true reward does"
    elif rank >= 0.7:
        words = "ranks steps mostly as the true reward does"
    elif rank >= 0.3:
        words = "ranks steps only loosely as the true reward does"
    else:
        words = "does not rank steps as the true reward does"
    right = f", {percent(arm.pair_accuracy.value)} of pairs in the right order"
    pairs = right if math.isfinite(arm.pair_accuracy.value) else ""
    return f"On held-out episodes {arm.reward} {words} (Pearson {linear:.2f}, Spearman {rank:.2f}{pairs})."


def _control(arm: Arm, match: Match) -> str:
    reached, share = number(arm.true_return.value), arm.share.value
    if not math.isfinite(arm.true_return.value):
        return f"The control {arm.reward} has not been evaluated yet."
    if not math.isfinite(share):
        return f"The control {arm.reward}, which knows nothing of the task, reached {reached}."
    if share >= 0.5:
        return (
            f"The control {arm.reward} knows nothing of the task and still reached {reached} ({percent(share)}): "
            f"on {match.task} a high return does not prove that a reward is right."
        )
    sentence = f"The control {arm.reward} reached {reached} ({percent(share)}): "
    sentence += "a reward that knows nothing does not solve this task."
    carried = any(a.share.value >= 0.5 for a in match.learned)
    return sentence + (" What the learned reward carried, it owes to its labels." if carried else "")


def _unproven(match: Match) -> bool:
    best = match.learned[0].share.value
    controls = [arm.share.value for arm in match.arms if arm.kind == "control" and math.isfinite(arm.share.value)]
    return any(share >= 0.5 and share >= best - 0.1 for share in controls)
