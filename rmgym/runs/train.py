"""One run: an agent trained on one reward, watched with both, in a folder that can be killed and resumed."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rmgym.composition import Composition
from rmgym.distillation.student_options import StudentOptions
from rmgym.evaluation.log import Row
from rmgym.evaluation.measure import Measure, identity_of
from rmgym.evaluation.random_policy import RandomReturns, play_at_random
from rmgym.jobs import Job
from rmgym.runs.outcome import judged, outcome_of, selected
from rmgym.runs.record import KIND, RANDOM, Outcome, Run, random_of, read_run
from rmgym.sb3 import RewardComparisonCallback, make_agent, save_agent
from rmgym.sb3.agents import Agent
from rmgym.sb3.candidates import Candidates
from rmgym.sb3.checkpoints import (
    Checkpoints,
    latest_checkpoint,
    load_checkpoint,
    remove_checkpoints,
    restore_checkpoint,
    steps_of,
)
from rmgym.sb3.deferred import learned_env
from rmgym.sb3.learning import learn
from rmgym.sb3.rounds import Rounds
from rmgym.sb3.saving import AGENT
from rmgym.sb3.spec import spec_of
from rmgym.specs import EnvSpec, RunSpec, When
from rmgym.specs.base import Json
from rmgym.specs.run import Best
from rmgym.threads import torch_threads
from rmgym.trees import Space
from rmgym.wrappers.source import Model, load

_LOG = logging.getLogger(__name__)
TENSORBOARD = "tensorboard"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run.

    Attributes:
        path: its folder: ``run.json``, ``comparison.csv``, ``steps.csv``, ``agent.zip``, ``tensorboard/``, and
            the agent that was kept.
        spec: what it was.
        outcome: what it came to.
        random: what a random policy earns on the same episodes.
        comparison: rows of ``comparison.csv``.
    """

    path: Path
    spec: RunSpec
    outcome: Outcome
    random: RandomReturns
    comparison: list[Row]

    @property
    def best(self) -> Row:
        """What the kept agent earns, see :attr:`rmgym.runs.record.Outcome.best`; empty where none was kept."""
        return {name: math.nan if value is None else value for name, value in (self.outcome.best or {}).items()}

    def __repr__(self) -> str:
        """A line: where it is and what it came to."""
        true, learned = (f"{self.final[f'{kind}_return_mean']:.4g}" for kind in ("true", "learned"))
        return f"RunResult({self.path}, {self.final['steps']:,.0f} steps, true return {true}, learned return {learned})"

    @property
    def final(self) -> Row:
        """The last row: the trained agent."""
        return self.comparison[-1]

    def to_json(self) -> Json:
        """Everything as JSON-able values but the folder."""
        outcome: Json = {**self.outcome.to_json(), RANDOM: self.random.to_json(), "comparison": self.comparison}
        return {**self.spec.to_json(), **outcome}


def train(
    algo: str | os.PathLike[str],
    env_id: str | EnvSpec,
    reward_model: Model,
    *,
    out: str | os.PathLike[str],
    total_steps: int | None = None,
    seed: int = 0,
    eval_every: int | None = None,
    episodes: int = 10,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: bool = True,
    reward_name: str | None = None,
    when: When = "rollout",
    student: StudentOptions | Mapping[str, object] | Literal[True] | None = None,
    env_kwargs: Mapping[str, object] | None = None,
    fixed_horizon: int | None = None,
    card: str | os.PathLike[str] | None = None,
    language: str = "en",
    n_envs: int | None = None,
    composition: Composition | Mapping[str, object] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    save_best: Best | None = None,
    measure: Callable[..., object] | None = None,
    threads: int = 1,
    device: str = "cpu",
    verbose: int = 0,
) -> RunResult:
    """Train an agent on a reward model and watch both returns; a random policy plays the held-out episodes first.

    The process may be killed at any moment; with ``resume=True`` the same call goes on from the last checkpoint and
    gives the same agent as a run that was never interrupted. A finished run is returned as it is.

    Args:
        algo: name of an agent card, or the path of one.
        env_id: Gymnasium id, or a spec.
        reward_model: a folder, hub id, control's name or model; ``"true"`` trains on the true reward.
        out: the run's folder.
        total_steps: environment steps; by default the card's.
        seed: of everything that is drawn in training.
        eval_every: steps between evaluations; by default a tenth of the training.
        episodes: held-out episodes of each evaluation.
        checkpoint_every: steps between checkpoints (each resets the environments); by default a fifth of the training.
        resume: go on with the run in ``out``, or begin one.
        progress: show a progress bar on stderr.
        reward_name: how reports call this reward; by default the model's name.
        when: this and ``student``, ``env_kwargs``, ``language``, ``n_envs``, ``composition``: see :func:`make_agent`.
        student: a fast model that stands in for a slow one.
        env_kwargs: arguments of ``gymnasium.make``.
        fixed_horizon: let every training episode last so many steps (:class:`rmgym.FixedHorizonWrapper`); evaluation
            is in the environment as it is.
        card: path of an environment card.
        language: language of the texts.
        n_envs: number of parallel environments.
        composition: how the reward is put together.
        hyperparameters: of the algorithm, over the card's.
        save_best: see :class:`RewardComparisonCallback`.
        measure: a function of your own by which episodes are measured too, called as :class:`rmgym.ProgramTeacher` is.
        threads: torch threads; more than one slows small networks down.
        device: torch device of the policy.
        verbose: 1 prints a line per evaluation.

    Raises:
        JobError: the folder holds a run and ``resume`` is False, or was begun with other settings.
        RunError: see :func:`make_agent`.
        FeedbackError: the measure fails on what a random policy does.
    """
    folder, own = Path(out), None if measure is None else Measure.of(measure)
    with torch_threads(threads):
        agent = make_agent(
            algo,
            env_id,
            reward_model=reward_model,
            seed=seed,
            when=when,
            student=student,
            env_kwargs=env_kwargs,
            fixed_horizon=fixed_horizon,
            card=card,
            language=language,
            n_envs=n_envs,
            total_steps=total_steps,
            composition=composition,
            tensorboard_log=folder / TENSORBOARD,
            device=device,
            **(hyperparameters or {}),
        )
        spec = run_spec(agent, reward_name, eval_every, episodes, checkpoint_every, save_best)
        spec = replace(spec, measure=identity_of(own))
        return run_agent(agent, spec, folder, measure=own, resume=resume, progress=progress, verbose=verbose)


def run_agent(
    agent: Agent,
    spec: RunSpec,
    folder: Path,
    rounds: Rounds | None = None,
    *,
    measure: Measure | None = None,
    resume: bool,
    progress: bool,
    verbose: int,
) -> RunResult:
    """Train an agent that was made for a run, in the run's folder.

    Args:
        agent: fresh, as :func:`rmgym.sb3.make_agent` gives it; where the run goes on, the one of its last checkpoint
            takes its place.
        spec: what the run is.
        folder: where it is.
        rounds: when its reward model is exchanged on the way.
        measure: the user's own, which the spec names.
        resume: go on with the run in the folder, or begin one.
        progress: show a progress bar on stderr.
        verbose: 1 prints a line per evaluation.

    Raises:
        JobError: see :func:`train`.
    """
    learned, seed = learned_env(agent), spec.agent.seed or 0
    assert learned is not None  # make_agent has seen to it
    job, candidates = Job(folder, spec.settings(), kind=KIND), Candidates(folder / "candidates")
    with job.claim(resume=resume, clear=lambda: _clear(folder)) as status:
        if status == "done":
            remove_checkpoints(folder)  # which a kill right at the end has left
            candidates.remove()
            return _finished(read_run(folder))
        _LOG.info(
            "%s on %s, reward %s; TensorBoard: tensorboard --logdir %s",
            spec.agent.algo, spec.agent.env.id, spec.reward_name, folder,
        )  # fmt: skip
        random = _random_policy(job, agent.action_space, spec, measure)
        restore_checkpoint(folder)
        checkpoint, seconds = latest_checkpoint(folder), 0.0
        comparison = RewardComparisonCallback(
            eval_every=spec.eval_every,
            episodes=spec.episodes,
            out=folder,
            save_best=spec.save_best,
            measure=measure,
            verbose=verbose,
        )
        if rounds is not None and spec.save_best == "learned":
            comparison.candidates = candidates
        if checkpoint is not None:
            model: Model = learned.loaded
            if rounds is not None and (done := rounds.done_by(steps_of(checkpoint))):
                model = rounds.model_after(done)
                comparison.exchange(load(model), rounds.made_in(done))
            agent, before = load_checkpoint(
                checkpoint, model, tensorboard_log=folder / TENSORBOARD, device=str(agent.device)
            )
            seconds, comparison.survival_bonus = before.wall_seconds, before.survival_bonus
        else:
            _clear(folder)  # of an attempt that came to no checkpoint
        comparison.started = started = time.perf_counter() - seconds
        after = 0 if rounds is None else max(rounds.at, default=0)
        checkpoints = Checkpoints(folder, spec.checkpoint_every, seed, started, after=after, comparison=comparison)
        learn(agent, spec, comparison, checkpoints, rounds, progress=progress)
        save_agent(agent, folder / AGENT)
        if rounds is not None and comparison.candidates is not None:
            comparison.kept = selected(candidates, comparison, learned.textualizer, rounds.model_after(len(rounds.at)))
        outcome = outcome_of(comparison, agent.num_timesteps, time.perf_counter() - started)
        outcome = replace(outcome, best=judged(comparison, spec, folder))
        job.finish(outcome.to_json())
        remove_checkpoints(folder)
        candidates.remove()
    return RunResult(path=folder, spec=spec, outcome=outcome, random=random, comparison=comparison.rows)


def _random_policy(job: Job, action_space: Space, spec: RunSpec, measure: Measure | None) -> RandomReturns:
    """What a random policy earns on the episodes of an evaluation, with actions of the run's seed; played once."""
    if (played := random_of(job.notes)) is not None:
        return played
    played = play_at_random(
        spec.agent.env.evaluated,
        action_space,
        episodes=spec.episodes,
        action_seed=spec.agent.seed or 0,
        measure=measure,
    )
    job.note(**{RANDOM: played.to_json()})
    return played


def run_spec(
    agent: Agent,
    reward_name: str | None,
    eval_every: int | None,
    episodes: int,
    checkpoint_every: int | None,
    save_best: Best | None = None,
) -> RunSpec:
    """What a run of an agent is, as :func:`train` takes its arguments."""
    of_agent, learned = spec_of(agent), learned_env(agent)
    assert of_agent is not None  # make_agent has seen to both
    assert learned is not None
    total = of_agent.total_steps or 0
    return RunSpec(
        agent=of_agent,
        reward_name=reward_name or of_agent.reward.name,
        eval_every=max(total // 10, 1) if eval_every is None else eval_every,
        episodes=episodes,
        checkpoint_every=max(total // 5, 1) if checkpoint_every is None else checkpoint_every,
        save_best=save_best,
        card_hash=learned.textualizer.card_hash,
    )


def _clear(folder: Path) -> None:
    """Remove what an attempt has left that comes to nothing."""
    shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)


def _finished(run: Run) -> RunResult:
    assert run.outcome is not None  # this and the next: it is done
    assert run.random is not None
    return RunResult(path=run.folder, spec=run.spec, outcome=run.outcome, random=run.random, comparison=run.evaluations)
