"""The policies that a loop has seen, and how far heads agree on their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rmgym.metrics.ranking import order_agreement
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import load_reward_model
from rmgym.runs.loop_folder import LoopFolder
from rmgym.sb3 import evaluate, load_agent
from rmgym.sb3.callbacks import best_agent
from rmgym.sb3.saving import AGENT
from rmgym.scoring.potential import Potential, as_states
from rmgym.storage.atomic import make_folder
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions

_KEPT = 1000
"""Steps of each policy."""
_PLAYED = 10
"""Episodes that the agents of a finished loop play once more."""


def keep_policy(folder: Path, name: str, steps: Transitions) -> None:
    """Keep the latest steps of what a policy did.

    Args:
        folder: of the policies of a round.
        name: of the policy.
        steps: what it did, each episode in order.
    """
    steps[slice(-_KEPT, None)].save(make_folder(folder, what="a loop's policies") / f"{name}.parquet", overwrite=True)


def policies_of(loop: LoopFolder, seed: int) -> dict[str, Transitions]:
    """Steps of all policies that a finished loop has seen, and of its last agent and the one it kept, by name.

    Args:
        loop: its folder.
        seed: of the episodes that the agents play.
    """
    policies = {f"{file.parent.parent.name}-{file.stem}": Transitions.load(file) for file in loop.all_policies()}
    metadata = next(iter(policies.values())).metadata
    model = load_reward_model(loop.last_model)
    for name in (AGENT, best_agent("learned")):
        agent = load_agent(loop.run / name, model)
        try:
            played = evaluate(agent, None, model, episodes=_PLAYED, seed=seed, deterministic=False)
        finally:
            assert agent.env is not None  # load_agent has made it
            agent.env.close()
        policies[Path(name).stem] = replace(played.steps, metadata=metadata)
    return policies


def values_of(
    models: Sequence[NeuralRewardModel], files: Sequence[Path], words: Textualizer
) -> list[npt.NDArray[np.float64]]:
    """What each head of some models takes each policy for, ``float64 [policies, heads]`` for each model.

    It is the reward of all steps by the number of episodes that ended, an estimate of the return of an episode that
    counts those that were cut rightly (as lifetimes that are censored); where no policy's did, the mean reward.
    """
    steps = [Transitions.load(file) for file in files]
    ends = np.array([int((each.terminated | each.truncated).sum()) for each in steps])
    by = np.maximum(ends, 1) if ends.any() else np.array([len(each) for each in steps])
    values = [list[npt.NDArray[np.float64]]() for _ in models]
    for each, count in zip(steps, by, strict=True):
        for model, its_values in zip(models, values, strict=True):
            its_values.append(_by_head(model, each, words).sum(axis=0) / count)
    return [np.array(its_values) for its_values in values]


def _by_head(model: NeuralRewardModel, steps: Transitions, words: Textualizer) -> npt.NDArray[np.float64]:
    """The reward of each step by each head, as it counts for a return, ``float64 [B, heads]``."""
    if (potential := Potential.of(model)) is None:
        return model.by_head(words.batch(steps))
    states = as_states(words.batch(potential.states(steps, words.action_space)))
    return potential.rewards(model.by_head(states), steps) * potential.discounts(steps)[:, None]


def agreement(now: npt.NDArray[np.float64], before: npt.NDArray[np.float64] | None) -> float:
    """How far each head agrees with the mean of the others on the order of policies, and an earlier model with all.

    Args:
        now: what heads take policies for, ``[policies, heads]``.
        before: the same of the model before; None where there is no other one.

    Returns:
        The mean of :func:`rmgym.metrics.order_agreement`, NaN where there is nobody to agree, or nothing to order.
    """
    judged = list[float]()
    if now.shape[1] > 1:
        judged += [order_agreement(now[:, [h]], np.delete(now, h, axis=1).mean(axis=1)) for h in range(now.shape[1])]
    if before is not None:
        judged.append(order_agreement(before.mean(axis=1, keepdims=True), now.mean(axis=1)))
    return float(np.mean(judged)) if judged else float("nan")
