"""The loop: collect, ask, fit, train, and ask again where the agent goes, under one budget of labels.

Its folder holds ``loop.json``, the labels, a folder per round (what was asked and why, the model fitted then) and the
agent's run, which reports read like any other. What is finished is kept, so that a killed loop goes on.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.errors import FeedbackError
from rmgym.feedback.ask import ask
from rmgym.feedback.choice import Chosen, choose_segments, choose_steps
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.values import in_ended_episode
from rmgym.jobs import Job
from rmgym.models.base import RewardModel
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import create_reward_model, load_reward_model
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.train import TENSORBOARD, RunResult, run_agent, run_spec
from rmgym.sb3 import make_agent
from rmgym.sb3.rounds import Rounds
from rmgym.specs import EnvSpec
from rmgym.specs.base import Json
from rmgym.storage.atomic import make_folder, write_json
from rmgym.text import TextBatch, textualizer
from rmgym.text.textualizer import Textualizer
from rmgym.threads import torch_threads
from rmgym.training import FitOptions, fit
from rmgym.training.units import match_units
from rmgym.transitions import Transitions

KIND = "loop"
LABELS, ROUNDS, RUN, QUESTIONS, MODEL, ROUND = (
    "labels.sqlite",
    "rounds",
    "run",
    "questions.json",
    "model",
    "round.json",
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What was asked in a round.

    Attributes:
        number: 0 before training.
        steps: training steps that the agent had taken.
        asked: questions by reason.
        labels: answers there were after it.
        pending: questions that the teacher has left open.
        seconds: that choosing, asking and fitting took.
    """

    number: int
    steps: int
    asked: Mapping[str, int]
    labels: int
    pending: int
    seconds: float = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """A finished loop.

    Attributes:
        path: its folder.
        run: the agent's training.
        rounds: what was asked, round by round.
        model: folder of the last reward model.
    """

    path: Path
    run: RunResult
    rounds: tuple[Round, ...]
    model: Path

    def __repr__(self) -> str:
        """A line: where it is, on how many labels, and what it came to."""
        true, learned = (f"{self.run.final[f'{kind}_return_mean']:.4g}" for kind in ("true", "learned"))
        return f"LoopResult({self.path}, {self.rounds[-1].labels} labels, true return {true}, learned return {learned})"

    def to_json(self) -> Json:
        """Everything as JSON-able values but the folders."""
        return {"rounds": [asdict(r) for r in self.rounds], **self.run.to_json()}


def loop(
    env_id: str | EnvSpec,
    algo: str | os.PathLike[str],
    teacher: Teacher,
    *,
    labels: int,
    out: str | os.PathLike[str],
    options: LoopOptions | Mapping[str, object] | None = None,
    total_steps: int | None = None,
    seed: int = 0,
    eval_every: int | None = None,
    episodes: int = 10,
    reward_name: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: bool = True,
    verbose: int = 0,
) -> LoopResult:
    """Train an agent on a reward that is learned on the way, from questions about what the agent does.

    Steps of a few behaviours are collected and the first questions chosen by coverage; a model is fitted and an agent
    begins to train. In each round it stops for further questions (:class:`rmgym.feedback.choice.QuestionMix`), a model
    is fitted anew on all labels, and the agent goes on with it: on-policy from the next rollout, a replay buffer
    relabelled (Lee et al. 2021, PEBBLE, https://arxiv.org/abs/2106.05091). All rounds are inside one ``learn()``.

    The process may be killed at any moment; with ``resume=True`` the same call goes on and gives what an uninterrupted
    one gives.

    Args:
        env_id: Gymnasium id, or a spec.
        algo: name of an agent card, or the path of one; its agent scores whole rollouts or blocks.
        teacher: who answers. Questions that it leaves pending wait in ``labels.sqlite``; the agent trains on what is
            known.
        labels: how many questions are asked in all.
        out: the loop's folder.
        options: :class:`LoopOptions`, or some of them by name.
        total_steps: environment steps of the agent; by default the card's.
        seed: of everything that is drawn.
        eval_every: steps between evaluations; by default a tenth of the training.
        episodes: held-out episodes of each evaluation.
        reward_name: how reports call this reward; by default ``loop`` and the model's name.
        hyperparameters: of the algorithm, over the card's.
        resume: go on with the loop in ``out``, or begin one.
        progress: show progress bars on stderr.
        verbose: 1 prints a line per evaluation.

    Raises:
        JobError: the folder holds a loop and ``resume`` is False, or one begun with other settings.
        FeedbackError: there are too few labels for the first fit, or the teacher cannot tell the steps apart.
        RunError: see :func:`rmgym.sb3.make_agent`.
    """
    how = LoopOptions.of(options)
    if labels < 2:
        raise FeedbackError("a loop has at least two labels", got=labels, fix="pass labels=100")
    env = EnvSpec(id=env_id) if isinstance(env_id, str) else env_id
    settings: Json = {
        "env": env.to_json(),
        "algo": Path(algo).stem,
        "teacher": teacher.source,
        "levels": getattr(teacher, "levels", None),
        "labels": labels,
        "options": asdict(how),
        "total_steps": total_steps,
        "hyperparameters": dict(hyperparameters or {}),
    }
    settings = json.loads(json.dumps(settings))  # as it comes back from the record
    identity = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    settings |= {"seed": seed, "eval_every": eval_every, "episodes": episodes, "reward_name": reward_name}
    job = Job(Path(out), settings, kind=KIND)
    with job.claim(resume=resume) as status, torch_threads(1):
        rounds = _LoopRounds(env, teacher, labels, how, job.folder, seed, progress)
        first = rounds.first()
        agent = make_agent(
            algo,
            env,
            reward_model=first,
            seed=seed,
            total_steps=total_steps,
            tensorboard_log=job.folder / RUN / TENSORBOARD,
            **(hyperparameters or {}),
        )
        spec = run_spec(agent, reward_name or f"loop {how.model}", eval_every, episodes, None)
        # The reward is the loop's: its models follow from its settings, and from what was drawn.
        reward = replace(spec.agent.reward, digest=identity, labels=labels, model=None, kind="learned")
        spec = replace(spec, agent=replace(spec.agent, reward=reward))
        at = tuple(max(1, round(share * spec.total_steps)) for share in how.at)
        schedule = Rounds(at=at, model_after=rounds.model_after, next_model=rounds.next_model)
        run = run_agent(agent, spec, job.folder / RUN, schedule, resume=True, progress=progress, verbose=verbose)
        record = rounds.record()
        if status != "done":
            job.finish({"rounds": [asdict(r) for r in record]})
    return LoopResult(path=job.folder, run=run, rounds=record, model=rounds.folder(record[-1].number) / MODEL)


class _LoopRounds:
    """The rounds of a loop in its folder; what is there already is taken from there.

    Args:
        env: where steps are taken.
        teacher: who answers.
        labels: of all rounds.
        options: how they are spent.
        folder: the loop's.
        seed: of what is drawn.
        progress: show progress bars.
    """

    def __init__(
        self,
        env: EnvSpec,
        teacher: Teacher,
        labels: int,
        options: LoopOptions,
        folder: Path,
        seed: int,
        progress: bool,
    ) -> None:
        self.env, self.teacher, self.labels, self.options = env, teacher, labels, options
        self.place, self.seed, self.progress = folder, seed, progress
        self.store = LabelStore(folder / LABELS)
        with closing(build_env(env)) as live:
            self.words: Textualizer = textualizer(live, card=env.card, language=env.language)

    def folder(self, number: int) -> Path:
        """Of a round."""
        return self.place / ROUNDS / f"{number:02d}"

    def first(self) -> RewardModel:
        """Collect, ask and fit before training; the model that the agent begins with."""
        if self._is_done(0):
            return self.model_after(0)
        each = -(-self.options.collect // len(self.options.behaviours))
        parts = [
            collect(
                self.env,
                each,
                seed=self.seed + 1000 * i,
                reset_every=self.options.reset_every,
                policy=name,
                progress=self.progress,
            )
            for i, name in enumerate(self.options.behaviours)
        ]
        return self._fitted(0, 0, Transitions.concatenate(parts))

    def next_model(self, number: int, taken: int, steps: Transitions) -> RewardModel:
        """Ask about what the agent did since the last round, and fit anew; see :class:`rmgym.sb3.rounds.Rounds`."""
        if self._is_done(number):
            return self.model_after(number)
        first = steps.episode[-min(self.options.recent, len(steps))]
        return self._fitted(number, taken, steps[steps.episode >= first])

    def model_after(self, number: int) -> RewardModel:
        """The model of a round that is done."""
        return load_reward_model(self.folder(number) / MODEL)

    def record(self) -> tuple[Round, ...]:
        """What was asked in each round; rounds that fell into one rollout are one."""
        files = sorted((self.place / ROUNDS).glob(f"*/{ROUND}"))
        return tuple(Round(**json.loads(file.read_text(encoding="utf-8"))) for file in files)

    def _is_done(self, number: int) -> bool:
        return (self.folder(number) / ROUND).exists()

    def _fitted(self, number: int, taken: int, steps: Transitions) -> RewardModel:
        """Ask about some steps, fit on all labels, write both down."""
        started = time.perf_counter()
        if self.options.whole_episodes:
            steps = steps[in_ended_episode(steps)]
        texts = self.words.batch(steps)
        chosen = self._chosen(number, steps, texts)
        pending = ask(self.store, self.teacher, steps, texts, chosen) if len(chosen) else []
        labels = self.store.labels()
        model = create_reward_model(self.options.model, seed=self.seed, **self.options.model_options)
        assert isinstance(model, NeuralRewardModel)
        how = FitOptions(
            max_steps=self.options.fit_steps, validation=0, patience=None, crop=self.options.crop, seed=self.seed
        )
        fit(model, labels, how, progress=self.progress)
        earlier = self.record()
        if labels.ratings is None and earlier:
            match_units(model, self.model_after(earlier[-1].number), labels.texts)
        model.save(self.folder(number) / MODEL)
        asked = dict(Counter(chosen.reasons))
        seconds = time.perf_counter() - started
        done = Round(number=number, steps=taken, asked=asked, labels=len(labels), pending=len(pending), seconds=seconds)
        write_json(self.folder(number) / ROUND, asdict(done), what="a round of a loop")
        return self.model_after(number)  # as who goes on after a kill has it

    def _chosen(self, number: int, steps: Transitions, texts: TextBatch) -> Chosen:
        """The questions of a round, chosen once: who goes on after a kill asks the same ones."""
        file = make_folder(self.folder(number), what="a round of a loop") / QUESTIONS
        if file.exists():
            return Chosen.from_json(json.loads(file.read_text(encoding="utf-8")))
        earlier = self.record()
        n = self.options.labels_by(number, self.labels) - sum(sum(r.asked.values()) for r in earlier)
        rng = np.random.default_rng([self.seed, number])
        if self.options.kind == "preference":
            chosen = choose_segments(steps, n, self.options.length, rng=rng)
        else:
            rated = self.store.labels().texts if earlier else None
            predicted = self.model_after(earlier[-1].number).predict(texts) if earlier else None
            chosen = choose_steps(steps, texts, n, rated=rated, predicted=predicted, mix=self.options.mix, rng=rng)
        write_json(file, chosen.to_json(), what="questions")
        return chosen
