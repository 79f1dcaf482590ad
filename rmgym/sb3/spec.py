"""What an agent remembers of its making: ``agent.rmgym``, an :class:`AgentSpec` as plain JSON, saved with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from rmgym.composition import Composition
from rmgym.distillation.student_options import StudentOptions
from rmgym.errors import RunError
from rmgym.models.registry import CONTROLS
from rmgym.specs import AgentSpec, RewardSpec
from rmgym.specs.reward import Kind
from rmgym.wrappers.source import Loaded, Model, digest_of, name_of

RECORD = "rmgym"
"""The attribute."""


def spec_of(agent: object) -> AgentSpec | None:
    """What an agent was made of; None where it does not remember.

    Raises:
        RunError: another version of rmgym wrote it.
    """
    record: Mapping[str, Any] | None = getattr(agent, RECORD, None)
    return None if record is None else AgentSpec.from_json(record, f"agent.{RECORD}")


def remember(agent: BaseAlgorithm, spec: AgentSpec) -> None:
    """Let an agent remember what it was made of."""
    setattr(agent, RECORD, spec.to_json())


def describe_reward(
    given: Model,
    loaded: Loaded,
    *,
    composition: Composition,
    student: StudentOptions | None = None,
) -> RewardSpec:
    """What a reward is, for records.

    Args:
        given: the model as the caller named it, or the model itself.
        loaded: the model in memory.
        composition: how the reward is put together.
        student: options of what stands in for it.
    """
    where = None
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        where = str(path.resolve()) if path.exists() else os.fspath(given)
    kind, labels = _knowledge(loaded)
    return RewardSpec(
        model=where,
        name=name_of(loaded),
        digest=digest_of(loaded),
        kind=kind,
        labels=labels,
        composition=composition,
        student=None if student is None else student.to_dict(),
    )


def _knowledge(loaded: Loaded) -> tuple[Kind, int | None]:
    """What a reward knows, and from how many labels, by what its model says of itself."""
    if isinstance(loaded, str):
        return "true", 0
    facts = _own(loaded.describe())
    kind, fitted = _kind(facts), facts.get("fitted_on") or {}
    if "distilled_from" in fitted.get("source", {}):  # its labels are what its teacher said
        return kind, None
    if kind == "control":
        return kind, 0
    return kind, fitted["ratings"] + fitted["preferences"] if {"ratings", "preferences"} <= set(fitted) else None


def _kind(facts: Mapping[str, Any]) -> Kind:
    """What a model of text knows; of a student, what its teacher does."""
    fitted = facts.get("fitted_on") or {}
    if (teacher := fitted.get("source", {}).get("distilled_from")) is not None:
        return _kind(_own(teacher))
    if facts.get("model") in CONTROLS or "nothing" in fitted:  # NeuralRewardModel.accept_random_weights
        return "control"
    return "shuffled" if fitted.get("options", {}).get("shuffle_labels") else "learned"


def _own(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a model says of itself, also from behind a server."""
    while "served" in facts:
        facts = facts["served"]
    return facts


def check_digest(reward: RewardSpec, loaded: Loaded, whose: str) -> None:
    """Refuse a reward model other than the one that was remembered.

    Raises:
        RunError: the digests differ.
    """
    if reward.digest != (digest := digest_of(loaded)):
        raise RunError(
            f"{whose} was trained on another reward model",
            got=f"digest {digest} instead of {reward.digest} ({reward.name!r} at {reward.model})",
            fix="pass the model it was trained on, or make a new agent for this one",
        )
