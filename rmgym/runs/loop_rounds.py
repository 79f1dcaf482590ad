"""The rounds of a loop in its folder: what was asked and why, and the model that was fitted then."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.feedback.ask import ask
from rmgym.feedback.choice import Chosen, choose_segments, choose_steps
from rmgym.feedback.labels import Labels
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.values import in_ended_episode
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import create_reward_model, load_reward_model
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.loop_policies import agreement, keep_policy, values_of
from rmgym.runs.record import AboutReward, Round, read_object
from rmgym.specs import EnvSpec
from rmgym.storage.atomic import make_folder, write_json
from rmgym.text import TextBatch, textualizer
from rmgym.text.textualizer import Textualizer
from rmgym.training import fit
from rmgym.training.fit_folder import labels_digest
from rmgym.training.fitting import fittable
from rmgym.training.units import match_units
from rmgym.transitions import Transitions

_LABELS, _ROUNDS, _QUESTIONS, _MODEL, _ROUND = "labels.sqlite", "rounds", "questions.json", "model", "round.json"
_POLICIES = "policies"
RUN = "run"
"""Folder of the agent's run."""
_LOG = logging.getLogger(__name__)
_ANEW = "put a copy of the file back, or begin the loop anew"
_EPISODES = 1_000_000  # more than a round has


class LoopRounds:
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
        self.store = LabelStore(folder / _LABELS)
        with closing(build_env(env)) as live:
            self.words: Textualizer = textualizer(live, card=env.card, language=env.language)

    def folder(self, number: int) -> Path:
        """Of a round."""
        return self.place / _ROUNDS / f"{number:02d}"

    def first(self) -> Path:
        """Collect, ask and fit before training; the model that the agent begins with."""
        if self._is_done(0):
            return self.model_after(0)
        started = time.perf_counter()
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
        for name, steps in zip(self.options.behaviours, parts, strict=True):
            keep_policy(self.folder(0) / _POLICIES, name, steps)
        return self._fitted(0, 0, Transitions.concatenate(parts), started)

    def next_model(self, number: int, taken: int, steps: Transitions) -> Path:
        """Ask about what the agent did since the last round, and fit; see :class:`rmgym.sb3.rounds.Rounds`."""
        if self._is_done(number):
            return self.model_after(number)
        started = time.perf_counter()
        first = steps.episode[-min(self.options.recent, len(steps))]
        steps = steps[steps.episode >= first]
        # Numbers of their own for each round: an agent that goes on after a kill counts its episodes from 0 again.
        episode = np.unique(steps.episode, return_inverse=True)[1].astype(np.int64) + number * _EPISODES
        keep_policy(self.folder(number) / _POLICIES, "agent", steps)
        return self._fitted(number, taken, replace(steps, episode=episode), started)

    def model_after(self, number: int) -> Path:
        """Where the model of a round is that is done."""
        return self.folder(self.made_in(number)) / _MODEL

    def made_in(self, number: int) -> int:
        """The round that fitted that model: one that brings no labels fits none."""
        return max(r.number for r in self.record() if r.number <= number and (self.folder(r.number) / _MODEL).exists())

    def record(self) -> tuple[Round, ...]:
        """What was asked in each round; rounds that fell into one rollout are one."""
        files = (self.place / _ROUNDS).glob(f"*/{_ROUND}")
        rounds = [Round.from_json(read_object(file, fix=_ANEW), str(file)) for file in files]
        return tuple(sorted(rounds, key=lambda each: each.number))

    def write_about(self) -> None:
        """Say beside the agent's run how its reward was made, for reports."""
        rounds = self.record()  # those after the first are in the time of the training
        AboutReward(rounds=rounds, seconds=rounds[0].seconds).write(self.place / RUN)

    def _is_done(self, number: int) -> bool:
        return (self.folder(number) / _ROUND).exists()

    def _fitted(self, number: int, taken: int, steps: Transitions, started: float) -> Path:
        """Ask about some steps, fit on all labels, write both down."""
        if self.options.whole_episodes:
            steps = steps[in_ended_episode(steps)]
        texts = self.words.batch(steps)
        chosen = self._chosen(number, steps, texts)
        pending = ask(self.store, self.teacher, steps, texts, chosen) if len(chosen) else []
        labels = self.store.labels()
        model = self._model(labels, self.folder(number) / _MODEL)
        done = Round(
            number=number,
            steps=taken,
            asked=dict(Counter(chosen.reasons)),
            labels=len(labels),
            pending=len(pending),
            agreement=self._agreement(model, len(labels)),
            seconds=time.perf_counter() - started,
        )
        write_json(self.folder(number) / _ROUND, asdict(done), what="a round of a loop")
        _tell(done, settled=self._settled())
        if number:
            self.write_about()
        return self.model_after(number)

    def _model(self, labels: Labels, folder: Path) -> NeuralRewardModel:
        """The last model where there are no further labels, else one that is fitted on all, in a folder."""
        earlier, options = self.record(), self.options
        last = self.model_after(earlier[-1].number) if earlier else None
        model, steps = self._loaded(last) if last is not None else None, options.warm_steps
        if model is not None and model.fitted_on["digest"] == labels_digest(labels):
            return model
        if model is None or steps is None or not model.has_read(labels.texts):
            model = fittable(create_reward_model(options.model, seed=self.seed, **options.model_options), self.seed)
            steps = options.fit_steps
        model = fit(model, labels, options.fit_options(self.seed, steps), progress=self.progress).model
        if labels.ratings is None and last is not None:
            of_first = 2 * options.length * sum(earlier[0].asked.values())  # which every model was fitted on
            match_units(model, load_reward_model(last), labels.texts[:of_first])
        model.save(folder)
        return model

    def _loaded(self, folder: Path) -> NeuralRewardModel:
        return fittable(load_reward_model(folder), self.seed)

    def _agreement(self, model: NeuralRewardModel, labels: int) -> float | None:
        """See :attr:`Round.agreement`."""
        files = sorted((self.place / _ROUNDS).glob(f"*/{_POLICIES}/*.parquet"))
        models, earlier = [model], self.record()
        if earlier and earlier[-1].labels < labels:  # else it is the same model, and agrees with itself
            models.append(self._loaded(self.model_after(earlier[-1].number)))
        now, *before = values_of(models, files, self.words)
        value = agreement(now, before[0] if before else None)
        return value if math.isfinite(value) else None

    def _settled(self) -> bool:
        """Whether the order of the policies stayed as it is over two rounds with further labels, and ever since."""
        rounds = self.record()
        grown = [i for i, each in enumerate(rounds) if i == 0 or each.labels > rounds[i - 1].labels]
        since = rounds[grown[-2] :] if len(grown) > 1 else ()
        return bool(since) and min(each.agreement or 0.0 for each in since) >= self.options.settled

    def _chosen(self, number: int, steps: Transitions, texts: TextBatch) -> Chosen:
        """The questions of a round, chosen once: who goes on after a kill asks the same ones."""
        file = make_folder(self.folder(number), what="a round of a loop") / _QUESTIONS
        if file.exists():
            return Chosen.from_json(read_object(file, fix=_ANEW))
        earlier = self.record()
        n = self.options.labels_by(number, self.labels) - sum(sum(r.asked.values()) for r in earlier)
        if self.options.stop_when_settled and self._settled():
            n = 0
        rng = np.random.default_rng([self.seed, number])
        if self.options.kind == "preference":
            asked = self.store.keys("preference")
            chosen = choose_segments(steps, texts, n, self.options.length, asked=asked, rng=rng)
        else:
            model = load_reward_model(self.model_after(earlier[-1].number)) if earlier else None
            before = Counter[str]()
            for each in earlier:
                before.update(each.asked)
            chosen = choose_steps(
                steps,
                texts,
                n,
                asked=self.store.asked_texts(),
                predicted=None if model is None else model.predict(texts),
                mix=self.options.mix,
                before=before if earlier else {},
                rng=rng,
            )
        write_json(file, chosen.to_json(), what="questions")
        return chosen


def _tell(done: Round, *, settled: bool) -> None:
    """Say what came of a round, and whether a person may stop."""
    agreement = "" if done.agreement is None else f", heads agree on the order of policies to {done.agreement:.3f}"
    _LOG.info("round %d at %s steps: %d labels%s", done.number, f"{done.steps:,}", done.labels, agreement)
    if settled:
        _LOG.info("the order of the policies so far has settled: more labels of them are unlikely to change it")
