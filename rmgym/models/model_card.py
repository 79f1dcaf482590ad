"""What a shared model says of itself: what it was fitted on, by whom, how well, and what it stands on.

Names and texts in it may be anybody's: they are shown as code, so that no markup of theirs acts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rmgym.models.backbones.weights import HUB, PACKAGED
from rmgym.models.base import RewardModel
from rmgym.progress import visible
from rmgym.storage.provenance import versions

_SCORES = {"labels": "labels", "r2": "R²", "spearman": "Spearman", "rmse": "RMS error", "accuracy": "pairs in order"}
"""Of a fit, see :func:`rmgym.training.objective.judge`, as they are called here."""
Facts = Mapping[str, Any]
"""A part of what a model says of itself, which was JSON."""


def model_card(model: RewardModel, repo_id: str) -> str:
    """The README of a repository: front matter of the hub, and Markdown.

    Args:
        model: fitted or not.
        repo_id: ``user/name``, for the example of how to load it.
    """
    facts = model.describe()
    fitted, config = _table(facts, "fitted_on"), _table(facts, "config")
    source, backbone = _table(fitted, "source"), config.get("backbone")
    env = source.get("env_id")
    base = PACKAGED[backbone].base if backbone in PACKAGED else str(backbone or "").removeprefix(HUB)
    is_id = backbone in PACKAGED or str(backbone).startswith(HUB)
    front = ["library_name: rmgym", "tags: [reward-model, reinforcement-learning, rmgym]"]
    front += [f"base_model: {json.dumps(base)}"] if is_id else []
    make = f"gym.make({json.dumps(env)}{', ...' if source.get('env_kwargs') else ''})" if env else "gym.make(...)"
    parts = [
        "\n".join(["---", *front, "---"]),
        f"# {repo_id}",
        f"A reward model of kind {_code(model.name)} for reinforcement learning, made with rmgym. It reads "
        f"a step's text and says what the step is worth. It takes texts of card {_code(model.card_hash or 'any')}.",
        "## How to load it",
        f'```python\nimport gymnasium as gym, rmgym\n\nmodel = rmgym.load_reward_model("{repo_id}")\n'
        f'env = rmgym.LearnedRewardWrapper({make}, "{repo_id}")\n```',
        "## What it was fitted on",
        "\n".join(f"- {line}" for line in _labels(fitted, source)),
        "## How well it foretells labels",
        "\n".join(_scores(_table(fitted, "metrics"))),
        "## What it stands on",
        "\n".join(f"- {line}" for line in _ground(model, str(backbone or ""))),
        "## All that it says of itself",
        f"```json\n{json.dumps(facts, indent=2, default=str)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _labels(fitted: Facts, source: Facts) -> Iterator[str]:
    if not fitted:
        yield "Nothing: its weights, if it has any, are those that it was made with."
        return
    if source.get("env_id"):
        kwargs = f" with {_code(json.dumps(source['env_kwargs']))}" if source.get("env_kwargs") else ""
        yield f"Environment: {_code(source['env_id'])}{kwargs}"
    yield f"Labels: {fitted.get('ratings', 0)} ratings, {fitted.get('preferences', 0)} comparisons"
    for annotator, answers in _table(source, "answers").items():
        counts = ", ".join(f"{count} as {_code(how)}" for how, count in answers.items())
        yield f"Answers by {_code(annotator)}: {counts}"
    for finding in _table(source, "cleaning").get("findings", ()):
        whose = f" of {_code(finding['annotator'])}" if finding["annotator"] else ""
        count = f"{len(finding['answers'])} answers{whose}"
        yield f"Set aside as {_code(finding['what'])}: {count}: {_code(finding['why'])}"
    if source.get("kind"):
        yield f"They came as {_code(source['kind'])}" + (f" {_code(source['table'])}" if "table" in source else "")
    yield f"Digest of the labels: {_code(fitted.get('digest', 'unknown'))}"
    options = _table(fitted, "options")
    if options.get("shuffle_labels"):
        yield "**The labels were permuted**: this is a control that must not work."
    yield "Of other environments, other words, and of what nobody was asked about, these labels say nothing."


def _scores(metrics: Facts) -> Iterator[str]:
    train, held_out = _table(metrics, "train"), _table(metrics, "validation")
    if not train:
        yield "Nobody knows."
        return
    yield "| | fitted on | held out |"
    yield "|---|---:|---:|"
    for key, name in _SCORES.items():
        if train.get(key) is not None:
            yield f"| {name} | {_number(train[key])} | {_number(held_out.get(key))} |"
    if metrics.get("note"):
        yield f"\n{_code(metrics['note'])}"


def _ground(model: RewardModel, backbone: str) -> Iterator[str]:
    if backbone in PACKAGED:
        of = PACKAGED[backbone]
        yield f"Language model: {_code(of.base)}, licence {of.licence}, as the package {_code(of.package)} brings it"
    elif backbone:
        yield f"Language model: {_code(backbone)}; see there for its licence"
    else:
        yield "No language model's weights"
    yield f"Digest of the model: {_code(model.digest)}"
    yield "Versions when this was written: " + ", ".join(f"{name} {version}" for name, version in versions().items())


def _table(facts: Facts, name: str) -> Facts:
    """A part of the facts; empty where it is not there, or something else."""
    part = facts.get(name)
    return part if isinstance(part, Mapping) else {}


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "–" if value is None else str(value)


def _code(value: object) -> str:
    """A value on one line in which nothing is markup, nor the border of a cell."""
    text = visible(" ".join(str(value).split())).replace("`", "'").replace("|", "¦")
    return f"`{text or ' '}`"
