"""What a run came to: its last evaluation, and the agent that was kept, judged on other episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.errors import RmgymError
from rmgym.evaluation.evaluate import EVALUATION_SEED
from rmgym.evaluation.log import Row
from rmgym.models.base import RewardModel
from rmgym.runs.record import Outcome
from rmgym.sb3 import RewardComparisonCallback, evaluate, load_agent
from rmgym.sb3.callbacks import best_agent
from rmgym.sb3.candidates import Candidates
from rmgym.scoring import Scorer
from rmgym.scoring.absorbing import unseen_absorbing
from rmgym.specs import RunSpec
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions
from rmgym.wrappers.source import Model

JUDGED = 5
"""Times as many episodes judge the agent that was kept as have selected it: selecting makes those few look better."""


def outcome_of(comparison: RewardComparisonCallback, steps: int, seconds: float) -> Outcome:
    """What ``run.json`` says of a run that is done; what is not a number is null there."""
    return Outcome(
        wall_seconds=seconds,
        steps_per_second=steps / seconds,
        final=_without_nan(comparison.rows[-1]),
        alarms=tuple(comparison.alarms),
        survival_bonus=comparison.survival_bonus,
        shaping=comparison.shaping,
        student=None if comparison.student is None else _without_nan(comparison.student),
        unseen_absorbing=_unseen(comparison),
        held_out=_held_out(comparison.reward_model),
    )


def selected(candidates: Candidates, comparison: RewardComparisonCallback, words: Textualizer, last: Model) -> Row:
    """The evaluation at which an agent was the best under the last model, which it is saved with."""
    model, log = comparison.reward_model, comparison.log
    assert isinstance(model, RewardModel)  # this and the next: rounds are those of a learned reward, in a folder
    assert log is not None
    rows, scorer = {int(row["steps"]): row for row in comparison.rows}, Scorer(model, words)

    def counted(steps: Transitions) -> npt.NDArray[np.float64]:
        rewards = scorer.score(steps).mean.astype(np.float64)
        return rewards if scorer.potential is None else rewards * scorer.potential.discounts(steps)

    best, learned_return = candidates.best(rows, counted)
    candidates.keep(best, last, log.folder / best_agent(comparison.save_best))
    return {**rows[best], "round": comparison.rows[-1]["round"], "learned_return_mean": learned_return}


def judged(comparison: RewardComparisonCallback, spec: RunSpec, folder: Path) -> dict[str, float | None] | None:
    """See :attr:`rmgym.runs.record.Outcome.best`."""
    if comparison.kept is None:
        return None
    assert comparison.reward_model is not None  # it has judged every evaluation
    agent = load_agent(
        folder / best_agent(spec.save_best), comparison.reward_model, device=str(comparison.model.device)
    )
    try:
        played = evaluate(
            agent,
            comparison.env,
            comparison.reward_model,
            episodes=JUDGED * spec.episodes,
            seed=EVALUATION_SEED + spec.episodes,
        )
    finally:
        assert agent.env is not None  # load_agent has made it
        agent.env.close()
    return _without_nan({**comparison.kept, **played.row(), **comparison.measured(played)})


def _unseen(comparison: RewardComparisonCallback) -> str | None:
    """What is to be said of a model that was never shown the absorbing state of the run's horizon."""
    env, model = comparison.env, comparison.reward_model
    if env is None or env.horizon is None or not isinstance(model, RewardModel):
        return None
    return unseen_absorbing(model)


def _held_out(model: Model | None) -> Mapping[str, float | int | None] | None:
    """What a model that was fitted remembers of labels that it was not fitted on."""
    try:
        facts = model.describe() if isinstance(model, RewardModel) else {}
    except RmgymError:  # it is served, and the server is gone; the run is worth more than this
        return None
    fitted = facts.get("served", facts).get("fitted_on")
    metrics = fitted.get("metrics") if isinstance(fitted, Mapping) else None
    judged = metrics.get("validation") if isinstance(metrics, Mapping) else None
    return judged if isinstance(judged, Mapping) else None


def _without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}
