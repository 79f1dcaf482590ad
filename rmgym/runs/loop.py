"""The loop: collect, ask, fit, train, and ask again where the agent goes, under one budget of labels.

Its folder holds ``loop.json``, the labels, a folder per round (what was asked and why, the model fitted then) and the
agent's run, which reports read like any other. What is finished is kept, so that a killed loop goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from rmgym.cards import find_agent_card
from rmgym.environments.collect import collected_in
from rmgym.errors import FeedbackError, RunError
from rmgym.evaluation.measure import Measure, identity_of
from rmgym.feedback.teachers.base import TOLD_BY_SOURCE, Teacher
from rmgym.feedback.teachers.judging import JudgeTeacher
from rmgym.feedback.teachers.panel import Panel, check_habits
from rmgym.jobs import Job
from rmgym.models.registry import create_reward_model, load_reward_model
from rmgym.runs.loop_folder import KIND, LoopFolder, finished_loop
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.loop_rounds import LoopRounds
from rmgym.runs.record import Round, read_run
from rmgym.runs.train import TENSORBOARD, RunResult, run_agent, run_spec
from rmgym.sb3 import make_agent
from rmgym.sb3.agents import Agent, plain_value
from rmgym.sb3.callbacks import best_agent
from rmgym.sb3.hyperparameters import set_up
from rmgym.sb3.rounds import Rounds, rollout_steps
from rmgym.specs import EnvSpec
from rmgym.specs.base import Json
from rmgym.specs.run import Best
from rmgym.threads import torch_threads
from rmgym.training.fitting import fittable
from rmgym.transitions import Transitions

GAMMA = 0.99
"""At which Stable-Baselines3's algorithms discount where nothing else is asked for."""
SELECTED_BY: Best = "learned"
"""The reward that selects the agent that is kept. A last update can lose an agent (PPO on Pendulum once fell from -139
to -547 within one), and the true reward is not known where a loop is of use."""


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """A finished loop.

    Attributes:
        path: its folder.
        run: the agent's training.
        rounds: what was asked, round by round.
        model: folder of the last reward model.
        agent: file of the agent that was kept, the best by the learned return under the last model; what it earns on
            other episodes is ``run.best``.
    """

    path: Path
    run: RunResult
    rounds: tuple[Round, ...]
    model: Path
    agent: Path

    def __repr__(self) -> str:
        """A line: where it is, on how many labels, and what it came to."""
        true, learned = (f"{self.run.best[f'{kind}_return_mean']:.4g}" for kind in ("true", "learned"))
        return f"LoopResult({self.path}, {self.rounds[-1].labels} labels, true return {true}, learned return {learned})"

    def to_json(self) -> Json:
        """Everything as JSON-able values but the folders."""
        return {"rounds": [asdict(r) for r in self.rounds], **self.run.to_json()}


def loop(
    env_id: str | EnvSpec,
    algo: str | os.PathLike[str],
    teacher: Teacher | Panel,
    *,
    labels: int,
    out: str | os.PathLike[str],
    start: str | os.PathLike[str] | None = None,
    demonstrations: str | os.PathLike[str] | None = None,
    options: LoopOptions | Mapping[str, object] | None = None,
    total_steps: int | None = None,
    seed: int = 0,
    eval_every: int | None = None,
    episodes: int = 10,
    reward_name: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    measure: Callable[..., object] | None = None,
    resume: bool = False,
    progress: bool = True,
    verbose: int = 0,
) -> LoopResult:
    """Train an agent on a reward that is learned on the way, from questions about what the agent does.

    Steps of a few behaviours are collected and the first questions chosen by coverage; a model is fitted and an agent
    begins to train. In each round it stops for further questions (:class:`rmgym.feedback.choice.QuestionMix`), a
    model is fitted on all labels, and the agent goes on with what came of it: on-policy from the next rollout, a replay
    buffer relabelled (Lee et al. 2021, PEBBLE, https://arxiv.org/abs/2106.05091). All rounds are inside one
    ``learn()``. Of all agents evaluated, the one with the largest return under the last model is kept beside the last.

    The process may be killed at any moment; with ``resume=True`` the same call goes on and gives what an uninterrupted
    one gives.

    Args:
        env_id: Gymnasium id, or a spec.
        algo: name of an agent card, or the path of one; its agent scores whole rollouts or blocks.
        teacher: who answers, or several who share the questions out among them. Questions that are left pending wait
            in ``labels.sqlite``; the agent trains on what is known.
        labels: how many questions are asked in all.
        out: the loop's folder.
        start: folder of a finished loop to go on from with further labels: its labels and its model are there from the
            beginning, and the first questions are about what its policies did. The agent is a new one.
        demonstrations: file of steps of somebody who can do it (:meth:`rmgym.Transitions.save`), collected in this
            environment: the first questions are about them too. Without any, chance has to succeed once where nothing
            else is rewarded.
        options: :class:`LoopOptions`, or some of them by name.
        total_steps: environment steps of the agent; by default the card's.
        seed: of everything that is drawn.
        eval_every: steps between evaluations; by default a tenth of the training.
        episodes: held-out episodes of each evaluation.
        reward_name: how reports call this reward; by default ``loop`` and the model's name.
        hyperparameters: of the algorithm, over the card's.
        measure: a function of your own by which evaluations are measured too; see :func:`rmgym.runs.train.train`.
        resume: go on with the loop in ``out``, or begin one.
        progress: show progress bars on stderr.
        verbose: 1 prints a line per evaluation.

    Raises:
        JobError: the folder holds a loop and ``resume`` is False, or one begun with other settings.
        FeedbackError: there are too few labels for the first fit, or the teacher cannot tell the steps apart.
        RunError: ``start`` is no finished loop in this environment and of such answers, ``demonstrations`` are of
            another environment, or see :func:`rmgym.sb3.make_agent`.
    """
    how = LoopOptions.of(options)
    compared = {"rating": 0, "ladder": 1}.get(how.kind, how.length)
    check_habits(teacher, rated=how.kind in ("rating", "both"), compared=compared, fix="pass kind='both'")
    if labels < 2:
        raise FeedbackError("a loop has at least two labels", got=labels, fix="pass labels=100")
    unfitted = fittable(create_reward_model(how.model, seed=seed, **how.model_options), seed)
    how.fit_options(seed, labels, unfitted.most_drawn)  # both before anybody is asked
    env = EnvSpec(id=env_id) if isinstance(env_id, str) else env_id
    discount = _discount(algo, env, hyperparameters or {})
    teacher = _measured_once(teacher, LoopFolder(Path(out)).measures)
    about = json.loads(json.dumps(_about(teacher)))  # as it comes back from the record
    before = None if start is None else finished_loop(Path(start), env.to_json(), about, potential=how.potential)
    shown = None if demonstrations is None else Path(demonstrations)
    settings: Json = {
        "env": env.to_json(),
        "start": None if before is None else load_reward_model(before.last_model).digest,
        "demonstrations": None if shown is None else _digest(shown, env),
        "algo": Path(algo).stem,
        "teacher": about,
        "labels": labels,
        "options": asdict(how),
        "total_steps": total_steps,
        "hyperparameters": {name: plain_value(value) for name, value in (hyperparameters or {}).items()},
    }
    settings = json.loads(json.dumps(settings))  # as it comes back from the record
    identity = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    settings |= {"seed": seed, "eval_every": eval_every, "episodes": episodes, "reward_name": reward_name}
    own = None if measure is None else Measure.of(measure)
    settings |= {} if own is None else {"measure": own.identity}  # loops of before have no such key
    job = Job(Path(out), settings, kind=KIND)
    with job.claim(resume=resume) as status, torch_threads(1):
        folder = LoopFolder(job.folder)
        rounds = LoopRounds(env, teacher, labels, how, folder, seed, progress, before, discount, shown)
        first = rounds.first()
        agent = make_agent(
            algo,
            env,
            reward_model=first,
            composition=how.composition_after(0),
            seed=seed,
            total_steps=total_steps,
            tensorboard_log=folder.run / TENSORBOARD,
            **(hyperparameters or {}),
        )
        spec = run_spec(agent, reward_name or f"loop {how.model}", eval_every, episodes, None, save_best=SELECTED_BY)
        # The reward is the loop's: its models follow from its settings, and from what was drawn.
        # Its labels are those of all loops that were to be asked for; how many cleaning leaves is in the rounds.
        all_labels = labels + (0 if before is None else read_run(before.run).labels or 0)
        reward = replace(spec.agent.reward, digest=identity, labels=all_labels, model=None, kind="learned")
        spec = replace(spec, agent=replace(spec.agent, reward=reward), measure=identity_of(own))
        at = _due(how.at, spec.total_steps, agent)
        schedule = Rounds(
            at=at,
            model_after=folder.model_after,
            made_in=folder.made_in,
            next_model=rounds.next_model,
            composition_after=how.composition_after,
        )
        run = run_agent(agent, spec, folder.run, schedule, measure=own, resume=True, progress=progress, verbose=verbose)
        record = folder.record()
        if status != "done":
            rounds.write_about()
            job.finish({"rounds": [asdict(r) for r in record]})
    return LoopResult(
        path=job.folder,
        run=run,
        rounds=record,
        model=folder.last_model,
        agent=run.path / best_agent(SELECTED_BY),
    )


def _about(teacher: Teacher | Panel) -> Json:
    """What tells a teacher from others: its class, and its fields where it is a dataclass."""
    values: Json = {}
    if isinstance(teacher, Panel) and any(isinstance(member, JudgeTeacher) for member in teacher.members.values()):
        members = {name: _about(member) for name, member in teacher.members.items()}
        values = {"members": members, "seed": teacher.seed}
    elif is_dataclass(teacher):
        own = (f.name for f in fields(teacher) if not f.metadata.get(TOLD_BY_SOURCE))
        values = {name: plain_value(getattr(teacher, name)) for name in own}
    return {"class": type(teacher).__qualname__, "source": teacher.source, **values}


def _measured_once(teacher: Teacher | Panel, file: Path) -> Teacher | Panel:
    """The teacher; language models keep what was measured of them first, and label every round by that."""
    if isinstance(teacher, Panel):
        return replace(teacher, members={name: _once(member, file) for name, member in teacher.members.items()})
    return _once(teacher, file)


def _once(teacher: Teacher, file: Path) -> Teacher:
    return replace(teacher, measures=teacher.measures or file) if isinstance(teacher, JudgeTeacher) else teacher


def _digest(demonstrations: Path, env: EnvSpec) -> str:
    """What tells a file of steps from others.

    Raises:
        RunError: they are of another environment.
    """
    origin = collected_in(Transitions.load(demonstrations))
    here = (env.id, env.kwargs, env.horizon, env.below_reward.wrappers)
    if origin is None or (origin.id, origin.kwargs, origin.horizon, origin.below_reward.wrappers) != here:
        got = f"{demonstrations} of {None if origin is None else origin.task}"
        raise RunError(f"demonstrations are steps of {env.task}", got=got, fix="collect them there: rmgym.collect")
    return sha256(demonstrations.read_bytes()).hexdigest()[:16]


def _discount(algo: str | os.PathLike[str], env: EnvSpec, given: Mapping[str, Any]) -> float:
    """At which the agent will discount."""
    card = set_up(find_agent_card(algo), env.id, {}).hyperparameters
    return float({"gamma": GAMMA, **card, **given}["gamma"])


def _due(shares: Sequence[float], total: int, agent: Agent) -> tuple[int, ...]:
    """Training steps after which rounds are due, none of them after the last rollout has begun.

    Raises:
        RunError: the training is one rollout.
    """
    rollout = rollout_steps(agent)
    last = (total - 1) // rollout * rollout
    if shares and not last:
        raise RunError(
            "rounds of questions come between rollouts",
            got=f"{total} steps, and rollouts of {rollout}",
            fix="train longer, or ask everything before: at=()",
        )
    return tuple(min(max(1, round(share * total)), last) for share in shares)
