"""The verdict on a match in plain words: how far the learned reward carried, if it is right, what controls prove."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rmgym.bench.arms import Arm
from rmgym.bench.compare import Match
from rmgym.bench.words import estimate, number, percent, portion
from rmgym.metrics import mean_ci
from rmgym.models.registry import NO_LM, has_language_model

Mark = Literal["good", "partly", "bad", "open"]
MARGIN = 0.1
"""The share of a range that may be missing where a reward "does the work" of the true one, or a task is as good as
solved."""
HALF = 0.5
"""The share from which on a reward carries part of the way, and from which on a control takes the proof away."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one match.

    Attributes:
        mark: ``good`` (at least 90 % of the range, the whole interval where seeds differ, and no doubt is left),
            ``partly`` (50 %, or more with a doubt), ``bad``, or ``open`` where it cannot be said.
        headline: one short sentence.
        sentences: what stands behind it.
    """

    mark: Mark
    headline: str
    sentences: tuple[str, ...]


def verdict(match: Match) -> Verdict:
    """Judge a match by its best learned arm; controls and unfinished runs are always spoken of."""
    sentences = [*_measured(match), *(s for arm in match.learned for s in _about(arm, match))]
    sentences += [_control(arm, match) for arm in match.controls]
    sentences += _evidence(match)
    if not match.learned:
        return Verdict(mark="open", headline="No learned reward among these runs.", sentences=tuple(sentences))
    best = match.learned[0]
    if (nothing := _nothing_to_judge(best, match)) is not None:
        return Verdict(mark="open", headline=nothing, sentences=tuple(sentences))
    share, doubts = best.share.value, list(_doubts(best, match))
    if share >= HALF and doubts:
        headline = f"{best.reward} reaches {portion(share)} of the random-to-true range, but {doubts[0]}."
        sentences.append(f"What stands against it: {'; '.join(doubts)}.")
        return Verdict(mark="partly", headline=headline, sentences=tuple(sentences))
    mark: Mark = "good" if share >= 1 - MARGIN else "partly" if share >= HALF else "bad"
    words = {
        "good": "does the work of the true reward",
        "partly": "carries part of the way",
        "bad": "does not carry this task",
    }
    headline = f"{best.reward} {words[mark]}: {portion(share)} of the random-to-true range."
    return Verdict(mark=mark, headline=headline, sentences=tuple(sentences))


def _nothing_to_judge(best: Arm, match: Match) -> str | None:
    """Why there is nothing to say yet, if so."""
    if not math.isfinite(best.true_return.value):
        return f"{best.reward} has not been evaluated yet."
    if match.is_unrewarded:
        judges = [f"by {match.measure}, {_measures(match)}"] if match.measure else []
        judges += [f"by success, {_successes(match)}"] if match.has_success else []
        judge = "; ".join(judges) or "train with --measure to compare arms"
        return f"Every episode has the same true return, which judges nothing here; {judge}."
    if match.true_return <= match.random_return:
        return "Nothing to judge yet: the agent on the true reward does no better than a random policy."
    if math.isinf(best.share.low):
        return "Nothing to judge yet: agents on the true reward cannot be told from a random policy at so few seeds."
    if not math.isfinite(best.share.value):
        return f"{best.reward}: true return {number(best.true_return.value)}; no agent on the true reward to compare."
    return None


def _measures(match: Match) -> str:
    """What each arm is worth by the user's own measure, best first."""
    arms = sorted((arm for arm in match.arms if math.isfinite(arm.measured.value)), key=lambda arm: -arm.measured.value)
    worth = [f"{arm.reward} {estimate(arm.measured)}" for arm in arms]
    worth += [f"a random policy {number(match.random_measured.mean)}"] if match.random_measured.size else []
    return ", ".join(worth) or "nothing was measured yet"


def _successes(match: Match) -> str:
    """How often each arm succeeds by the environment's own word, best first."""
    arms = sorted((arm for arm in match.arms if math.isfinite(arm.success.value)), key=lambda arm: -arm.success.value)
    rates = [f"{arm.reward} {estimate(arm.success, percent)}" for arm in arms]
    return ", ".join(
        rates + ([f"a random policy {percent(match.random_success.mean)}"] if match.random_success.size else [])
    )


def _measured(match: Match) -> Iterator[str]:
    """What can be said by the environment's word on success, and by the user's own measure."""
    if match.has_success and not match.is_unrewarded:
        yield f"Episodes that succeed, by their info: {_successes(match)}."
    if len(match.measures) > 1:
        names = " and ".join(match.measures)
        yield f"Runs were measured by different functions, which are not compared: {names}."
    elif match.measure and not match.is_unrewarded:
        yield f"By {match.measure}, a measure of your own: {_measures(match)}."
    if match.measure and any(arm.measured.undefined for arm in match.arms):
        yield f"Some runs were not measured by {match.measure}, at least not at their last evaluation."


def _doubts(best: Arm, match: Match) -> Iterator[str]:
    """What keeps a high share from being a proof, the gravest first; clauses that follow "but"."""
    if best.is_flat:
        yield "it says the same of every step"
    if best.has_true_part:
        yield "the true reward was part of what the agents were trained on"
    for arm in match.controls:
        if arm.share.value >= HALF:
            reached = "so does" if arm.share.value >= best.share.value - MARGIN else f"{portion(arm.share.value)} does"
            yield f"{reached} a reward that knows nothing ({arm.reward})"
    if not any(math.isfinite(arm.share.value) for arm in match.controls):
        yield "no control shows what a reward earns that knows nothing"
    if best.survival_bonus:
        yield "the length of an episode may have given it away"
    if best.shaping:
        yield "at the end it pays for getting near more than for getting there"
    if best.unseen_absorbing:
        yield "its model was never shown the absorbing state of the fixed horizon"
    if best.gamed:
        yield f"it is gamed in {len(best.gamed)} of {len(best.evaluated)} seeds"
    if not match.has_true_arm:
        yield "no agent was trained on the true reward here"
    elif match.threshold is not None and match.true_return < _nearly(match.threshold, match.random_return):
        of = f"{number(match.true_return)} of {number(match.threshold)}"
        yield f"the agents on the true reward are far below the threshold themselves ({of})"
    judged = [arm for arm in match.arms if arm is best or arm.is_reference]
    if any(run.status != "done" for arm in (*judged, *match.controls) for run in arm.runs):
        yield "not all runs are finished"
    if min(len(arm.evaluated) for arm in judged) < 2:
        yield "one seed proves nothing"
    if match.random.size < 2:
        yield "one episode does not tell what a random policy earns"
    if best.share.value >= 1 - MARGIN > best.share.low:
        yield f"its interval reaches down to {percent(best.share.low)}"


def _nearly(threshold: float, random: float) -> float:
    """What counts as solved but for the margin."""
    return threshold - MARGIN * (threshold - random)


def _evidence(match: Match) -> Iterator[str]:
    """What the runs are: how many, how far, how independent."""
    seeds = max(len(arm.runs) for arm in match.arms)
    if seeds < 3:
        word = "One seed" if seeds == 1 else "Two seeds"
        yield f"{word}: a demonstration, not yet evidence; use three or more to compare rewards."
    for arm in match.learned:
        if len(arm.runs) > 1 and len({run.spec.agent.reward.digest for run in arm.runs}) == 1:
            yield f"All seeds of {arm.reward} train on one fitted model: what another fit would do is not known."
    for arm in match.arms:
        if arm.superseded:
            of = ", ".join(sorted({str(run.seed) for run in arm.superseded}))
            yield f"{arm.reward} has several runs of seed {of}: the finished one counts, or the latest."
    if match.unfinished:
        yield f"{match.unfinished} of these runs are not finished; their last evaluation so far counts."


def _about(arm: Arm, match: Match) -> Iterator[str]:
    """Sentences on one learned arm."""
    if not math.isfinite(arm.true_return.value):
        yield f"{arm.reward} has not been evaluated yet."
        return
    labels = f" ({arm.labels:,} labels)" if arm.labels else ""
    alone = "and a part of the true reward" if arm.has_true_part else "alone"
    reached = f"Trained on {arm.reward}{labels} {alone}, {match.algo.upper()} reached a true return of "
    reached += estimate(arm.true_return)
    if math.isfinite(arm.share.value):
        source = "the agent on the true reward" if match.has_true_arm else "what the card says of an agent"
        reached += (
            f": {portion(arm.share.value)} of the way from a random policy ({number(match.random_return)}) "
            f"to {source} ({number(match.true_return)})"
        )
        if math.isfinite(arm.share.low):
            reached += f", 95 % interval {percent(arm.share.low)} to {percent(arm.share.high)}"
    if match.is_unrewarded:
        yield from _own_word(arm, match)
    else:
        yield reached + "."
        yield _agreement(arm)
    yield from _on_labels(arm)
    yield from _language(arm, match)
    if bonus := arm.survival_bonus:
        yield f"The length of an episode may have given {arm.reward} away: {bonus}."
    if shaping := arm.shaping:
        yield f"Of {arm.reward} at the end: {shaping}."
    if students := [run.student for run in arm.runs if run.student]:
        yield _students(arm.reward, students)
    if since := arm.gamed:
        seeds = f" in {len(since)} of {len(arm.evaluated)} seeds" if len(arm.evaluated) > 1 else ""
        parts = "the learned return rises while the true return falls"
        yield f"From step {min(since):,.0f} on {arm.reward} is gamed{seeds}: {parts}."


def _own_word(arm: Arm, match: Match) -> Iterator[str]:
    """What is known of an arm where no true reward judges it, and what is not."""
    curves = [run.comparable("learned_return_mean") for run in arm.evaluated]
    ends = [(own[0], own[-1]) for own in (curve[np.isfinite(curve)] for curve in curves) if len(own) > 1]
    if ends:
        first, last = (number(float(np.mean(side))) for side in zip(*ends, strict=True))
        yield (
            f"By the word of {arm.reward} itself, its agents went from {first} to {last} between the first and the "
            "last evaluation. Other arms have units of their own, so that this compares nothing."
        )
    if not (match.measure or match.has_success):
        yield (
            f"Whether what {arm.reward} pays for is what you want, these runs cannot tell: there is neither a true "
            "reward, nor success in the infos, nor a measure of your own."
        )


def _on_labels(arm: Arm) -> Iterator[str]:
    """How well an arm's models foretell labels that they were not fitted on."""
    explained, ordered = arm.held_out("r2"), arm.held_out("accuracy")
    parts = [f"explains {portion(explained)} of the variance of ratings"] if math.isfinite(explained) else []
    parts += [f"puts {percent(ordered)} of the compared pairs in order"] if math.isfinite(ordered) else []
    if parts:
        yield f"On {arm.held_out('labels'):,.0f} labels that it was not fitted on, {arm.reward} {' and '.join(parts)}."


def _language(arm: Arm, match: Match) -> Iterator[str]:
    """What an arm's language model added, where as many labels were read without one (:data:`NO_LM`) too."""

    def trained(arm: Arm) -> tuple[object, ...]:
        reward = arm.runs[0].spec.agent.reward
        return arm.labels, reward.composition, reward.student

    others = [other for other in match.learned if other.model == NO_LM and trained(other) == trained(arm)]
    if not has_language_model(arm.model) or not others:
        return
    returns, without = ({run.seed: run.last("true_return_mean") for run in each.evaluated} for each in (arm, others[0]))
    gains = [returns[seed] - without[seed] for seed in returns.keys() & without.keys()]
    if not gains:
        return
    gain = mean_ci(gains)
    beside = f"{others[0].reward}, without one, reached {estimate(others[0].true_return)} on as many labels"
    if not math.isfinite(gain.low):
        yield f"What the language model of {arm.reward} added, one seed cannot tell: {beside}."
    elif gain.low <= 0 <= gain.high:
        tellable = f"that {len(gains)} seeds can tell ({estimate(gain)})"
        yield f"The language model of {arm.reward} added nothing {tellable}: {beside}."
    else:
        verb, sign = ("added", 1) if gain.value > 0 else ("took", -1)
        size = estimate(mean_ci([sign * each for each in gains]))
        yield f"The language model of {arm.reward} {verb} {size} of true return: {beside}."


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
    some = arm.spearman
    defined = f"; undefined in {some.undefined} of {some.seeds + some.undefined} seeds" if some.undefined else ""
    return f"On held-out episodes {arm.reward} {words} (Pearson {linear:.2f}, Spearman {rank:.2f}{pairs}{defined})."


def _control(arm: Arm, match: Match) -> str:
    reached, share = number(arm.true_return.value), arm.share.value
    if not math.isfinite(arm.true_return.value):
        return f"The control {arm.reward} has not been evaluated yet."
    if not math.isfinite(share):
        return f"The control {arm.reward}, which knows nothing of the task, reached {reached}."
    if share >= HALF:
        return (
            f"The control {arm.reward} knows nothing of the task and still reached {reached} ({percent(share)}): "
            f"on {match.task} a high return does not prove that a reward is right."
        )
    sentence = f"The control {arm.reward} reached {reached} ({percent(share)}): "
    sentence += "a reward that knows nothing does not solve this task."
    owed = [learned.reward for learned in match.learned if _is_owed(learned, arm)]
    return sentence + (f" What {', '.join(owed)} carried, it owes to its labels." if owed else "")


def _is_owed(learned: Arm, control: Arm) -> bool:
    """Whether a control shows that a reward owes its success to its labels: the same model on the same ones, permuted,
    carries nothing, beyond chance where there are seeds enough to tell. Only a suite knows which ones were the same.
    """
    same = learned.unshuffled is not None and learned.unshuffled == control.unshuffled
    carried = learned.share.value >= HALF and not learned.has_true_part
    overlap = control.share.high >= learned.share.low  # False where one has no interval
    return control.kind == "shuffled" and same and carried and not overlap
