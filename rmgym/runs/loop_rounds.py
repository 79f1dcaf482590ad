"""The rounds of a loop in its folder: what was asked and why, and the model that was fitted then."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rmgym.environments.build import build_env
from rmgym.environments.collect import collect
from rmgym.errors import RunError
from rmgym.feedback.ask import ask
from rmgym.feedback.choice import COMPARED, Chosen, choose_segments, choose_steps
from rmgym.feedback.cleaning import Audit
from rmgym.feedback.given import Given
from rmgym.feedback.labels import Labels
from rmgym.feedback.ladder import climb, costs_within, ladder_of
from rmgym.feedback.questions import texts_of
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.base import Teacher
from rmgym.feedback.teachers.judging import JudgeTeacher
from rmgym.feedback.teachers.panel import Panel
from rmgym.feedback.teachers.values import in_whole_episode
from rmgym.models.neural import NeuralRewardModel
from rmgym.models.registry import create_reward_model, load_reward_model
from rmgym.runs.loop_folder import ANEW, QUESTIONS, ROUND, LoopFolder
from rmgym.runs.loop_options import LoopOptions
from rmgym.runs.loop_policies import agreement, keep_policy, policies_of, values_of
from rmgym.runs.record import AboutReward, Round, read_object
from rmgym.scoring.potential import Potential, arrivals, as_states
from rmgym.specs import EnvSpec
from rmgym.storage.atomic import make_folder, write_json
from rmgym.text import TextBatch, textualizer
from rmgym.text.textualizer import Textualizer
from rmgym.training import fit
from rmgym.training.fit_folder import labels_digest
from rmgym.training.fitting import fittable
from rmgym.training.free_steps import check_foreseeable
from rmgym.training.implied import MOST_PAIRS
from rmgym.training.units import match_units
from rmgym.transitions import Transitions

_LOG = logging.getLogger(__name__)
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
        start: the loop whose labels, policies and model this one begins with.
        discount: the agent's, for potentials.
        demonstrations: file of steps of somebody who can do it, to ask about before training too.
    """

    def __init__(
        self,
        env: EnvSpec,
        teacher: Teacher | Panel,
        labels: int,
        options: LoopOptions,
        folder: LoopFolder,
        seed: int,
        progress: bool,
        start: LoopFolder | None = None,
        discount: float = 1.0,
        demonstrations: Path | None = None,
    ) -> None:
        self.env, self.teacher, self.labels = env, teacher, labels
        self.options = options if start is None else replace(options, least=2)  # what is needed to begin is there
        self.folder, self.seed, self.progress, self.start = folder, seed, progress, start
        self.discount, self.demonstrations = discount, demonstrations
        self.store = LabelStore(folder.labels)
        with closing(build_env(env)) as live:
            self.words: Textualizer = textualizer(live, card=env.card, language=env.language)
        if options.potential and (env.horizon is not None or self.words.card.history):
            got = "a fixed horizon" if env.horizon is not None else f"a history of {self.words.card.history} steps"
            fix = "leave it out, or leave potential= out"
            raise RunError("a potential is about single states of a task that ends", got=got, fix=fix)
        if options.kind == "ladder" and (isinstance(teacher, Panel | JudgeTeacher) or self.words.card.history):
            got = f"{teacher.source}, with a history of {self.words.card.history} steps"
            rule = "a ladder is one teacher's, whose answers are sure, of segments by themselves"
            raise RunError(rule, got=got, fix="rate, or compare")

    def first(self) -> Path:
        """Collect, ask and fit before training; the model that the agent begins with."""
        if self.folder.is_done(0):
            return self.folder.model_after(0)
        started = time.perf_counter()
        if self.start is not None and not self.folder.labels.exists():
            LabelStore(self.start.labels).copy(self.folder.labels)
        policies = self._behaviours() if self.start is None else policies_of(self.start, self.seed)
        if self.demonstrations is not None:
            policies["demonstrations"] = Transitions.load(self.demonstrations)
        for name, steps in policies.items():
            keep_policy(self.folder.policies(0), name, steps)
        return self._fitted(0, 0, Transitions.concatenate(list(policies.values())), started)

    def _behaviours(self) -> dict[str, Transitions]:
        """What is done where there is no agent yet."""
        options = self.options
        each = -(-options.collect // len(options.behaviours))
        return {
            name: collect(
                self.env,
                each,
                seed=self.seed + 1000 * i,
                reset_every=options.reset_every,
                policy=name,
                progress=self.progress,
            )
            for i, name in enumerate(options.behaviours)
        }

    def next_model(self, number: int, taken: int, steps: Transitions) -> Path:
        """Ask about what the agent did since the last round, and fit; see :class:`rmgym.sb3.rounds.Rounds`."""
        if self.folder.is_done(number):
            return self.folder.model_after(number)
        started = time.perf_counter()
        first = steps.episode[-min(self.options.recent, len(steps))]
        steps = steps[steps.episode >= first]
        # Numbers of their own for each round: an agent that goes on after a kill counts its episodes from 0 again.
        episode = np.unique(steps.episode, return_inverse=True)[1].astype(np.int64) + number * _EPISODES
        keep_policy(self.folder.policies(number), "agent", steps)
        return self._fitted(number, taken, replace(steps, episode=episode), started)

    def write_about(self) -> None:
        """Say beside the agent's run how its reward was made, for reports."""
        rounds = self.folder.record()  # those after the first are in the time of the training
        AboutReward(rounds=rounds, seconds=rounds[0].seconds).write(self.folder.run)

    def _fitted(self, number: int, taken: int, steps: Transitions, started: float) -> Path:
        """Ask about some steps, fit on all labels, write both down."""
        if self.options.whole_episodes:
            steps = steps[in_whole_episode(steps)]
        texts = self._texts(steps)
        if self.options.free_steps and not number and len(texts):
            check_foreseeable(self._unfitted(), texts)
        chosen = self._chosen(number, steps, texts)
        pending = self._ask(number, steps, texts, chosen) if len(chosen) else []
        labels = self.store.labels(clean=self.options.clean)
        model = self._model(labels, self.folder.model(number))
        done = Round(
            number=number,
            steps=taken,
            asked=dict(Counter(chosen.reasons)),
            labels=len(labels),
            pending=len(pending),
            agreement=self._agreement(model, number),
            kappa=0.0 - self.options.composition_after(number).uncertainty_penalty,
            seconds=time.perf_counter() - started,
        )
        write_json(self.folder.round(number) / ROUND, asdict(done), what="a round of a loop")
        _tell(done, Audit.of(labels.source), settled=self._settled())
        if number:
            self.write_about()
        return self.folder.model_after(number)

    def _ask(self, number: int, steps: Transitions, texts: TextBatch, chosen: Chosen) -> list[int]:
        """Put the questions of a round to the teacher; ids of those that are left pending."""
        if self.options.kind != "ladder":
            return ask(self.store, self.teacher, steps, texts, chosen)
        assert not isinstance(self.teacher, Panel)
        if not (file := self.folder.placed(number)).exists():
            before = [] if self.folder.all_placed() else self._rungs()  # of the loop that this one goes on from
            Transitions.concatenate([*map(Transitions.load, before), steps[chosen.ratings]]).save(file)
        placed = self._placed()
        assert placed is not None
        climb(self.store, self.teacher, placed, self.words.batch(placed))
        return []

    def _rungs(self) -> list[Path]:
        """Files of the steps that were placed so far, or are to be."""
        return self.folder.all_placed() or ([] if self.start is None else self.start.all_placed())

    def _placed(self) -> Transitions | None:
        """Those steps; None before the first."""
        files = self._rungs()
        return Transitions.concatenate(list(map(Transitions.load, files))) if files else None

    def _texts(self, steps: Transitions) -> TextBatch:
        """What is asked about some steps: they themselves, or the states that they lead to."""
        if not self.options.potential:
            return self.words.batch(steps)
        return as_states(self.words.batch(arrivals(steps, self.words.action_space)))

    def _model(self, labels: Labels, folder: Path) -> NeuralRewardModel:
        """The last model where there are no further labels, else one that is fitted on all, in a folder."""
        options, last = self.options, self._last_model
        model = self._loaded(last) if last is not None else None
        if model is not None and not self.folder.record():  # it is that of the loop before
            fresh = self._unfitted()
            model = model if (model.name, model.config) == (fresh.name, fresh.config) else None
        if model is not None and model.fitted_on.get("digest") == labels_digest(labels):
            if not self.folder.record():
                self._read(model.copy(), labels).save(folder)
            return model
        warm = model is not None and options.warm_steps is not None and model.has_read(labels.texts)
        model, compared = model if model is not None and warm else self._unfitted(), labels.ratings is None
        how = options.fit_options(self.seed, len(labels), model.most_drawn, warm=warm)
        how = replace(how, implied=options.implied and compared and len(labels) <= MOST_PAIRS)
        unlabelled = self._unlabelled() if how.takes_unlabelled else None
        model = fit(model, labels, how, unlabelled=unlabelled, progress=self.progress).model
        if compared and last is not None:
            match_units(model, load_reward_model(last), self._first_compared())
        self._read(model, labels).save(folder)
        return model

    def _unlabelled(self) -> TextBatch:
        """What all policies did so far."""
        return TextBatch.concatenate(self._texts(Transitions.load(file)) for file in self.folder.all_policies())

    def _read(self, model: NeuralRewardModel, labels: Labels) -> NeuralRewardModel:
        """The model, which says whether it is read as a potential, and how."""
        if self.options.potential and labels.ratings is not None:
            potential = Potential.between(labels.ratings.texts, labels.ratings.values, self.discount)
            model.fitted_on = {**model.fitted_on, **potential.facts}
        return model

    @property
    def _last_model(self) -> Path | None:
        """Where the model is that there was before this round."""
        if self.folder.record():
            return self.folder.last_model
        return None if self.start is None else self.start.last_model

    def _first_compared(self) -> TextBatch:
        """Texts of the comparisons that the first model was fitted on that the agent has had, or is to have."""
        first = self.folder.model_after(0) if self.folder.record() else self._last_model
        return compared_then(self.store.given(), self._loaded(first).fitted_on["source"])

    def _unfitted(self) -> NeuralRewardModel:
        options = self.options
        return fittable(create_reward_model(options.model, seed=self.seed, **options.model_options), self.seed)

    def _loaded(self, folder: Path | None) -> NeuralRewardModel:
        assert folder is not None
        return fittable(load_reward_model(folder), self.seed)

    def _agreement(self, model: NeuralRewardModel, number: int) -> float | None:
        """See :attr:`Round.agreement`."""
        models = [model]
        if self.folder.record() and self.folder.has_model(number):  # else it is the same one, and agrees with itself
            models.append(self._loaded(self._last_model))
        values = values_of(models, self.folder.all_policies(), self.words)
        if model.fitted_on["options"].get("implied"):  # its heads know one scale, and agree for that
            values = [each.mean(axis=1, keepdims=True) for each in values]
        now, *before = values
        value = agreement(now, before[0] if before else None)
        return value if math.isfinite(value) else None

    def _settled(self) -> bool:
        """Whether the order of the policies stayed as it is over two rounds that fitted models, and ever since."""
        rounds = self.folder.record()
        fitted = [i for i, each in enumerate(rounds) if self.folder.has_model(each.number)]
        since = rounds[fitted[-2] :] if len(fitted) > 1 else ()
        return bool(since) and min(each.agreement or 0.0 for each in since) >= self.options.settled

    def _chosen(self, number: int, steps: Transitions, texts: TextBatch) -> Chosen:
        """The questions of a round, chosen once: who goes on after a kill asks the same ones."""
        file = make_folder(self.folder.round(number), what="a round of a loop") / QUESTIONS
        if file.exists():
            return Chosen.from_json(read_object(file, fix=ANEW))
        earlier = self.folder.record()
        n = self.options.labels_by(number, self.labels) - sum(sum(r.asked.values()) for r in earlier)
        if self.options.stop_when_settled and self._settled():
            n = 0
        chosen = self._questions(n, earlier, steps, texts, np.random.default_rng([self.seed, number]))
        write_json(file, chosen.to_json(), what="questions")
        return chosen

    def _questions(
        self, n: int, earlier: Sequence[Round], steps: Transitions, texts: TextBatch, rng: np.random.Generator
    ) -> Chosen:
        """So many questions: of both kinds as many comparisons as are due by now, and ratings for the rest."""
        options, segments = self.options, None
        if options.kind in ("preference", "both"):
            asked = sum(sum(each.asked.values()) for each in earlier)
            due = round(options.compared * (asked + n)) - sum(each.asked.get(COMPARED, 0) for each in earlier)
            count = n if options.kind == "preference" else min(max(due, 0), n)
            keys = self.store.keys("preference")
            segments = choose_segments(steps, texts, count, options.length, asked=keys, rng=rng)
            if options.kind == "preference":
                return segments
            n -= len(segments)
        costs, asked_texts = [1] * n, self.store.asked_texts()
        if options.kind == "ladder":
            assert not isinstance(self.teacher, Panel)
            costs = costs_within(n, len(ladder_of(self.store, self.teacher.source)), self.teacher)
            asked_texts = None if (placed := self._placed()) is None else self.words.batch(placed)
        model = None if (last := self._last_model) is None else load_reward_model(last)
        before = Counter[str]()
        for each in earlier[1:]:  # those before training were chosen by coverage
            before.update(each.asked)
        chosen = choose_steps(
            steps,
            texts,
            len(costs),
            asked=asked_texts,
            predicted=None if model is None else model.predict(texts),
            mix=options.mix,
            before=before,
            rng=rng,
        )
        searched = sum(costs[: len(chosen)]) - len(chosen)  # answers beyond one for each step
        chosen = replace(chosen, reasons=(*chosen.reasons, *["searched"] * searched))
        return chosen if segments is None else chosen.and_compared(segments)


def compared_then(given: Given, source: Mapping[str, Any]) -> TextBatch:
    """Texts of comparisons that labels of before were made of, whatever is set aside by now.

    Args:
        given: the answers that there are by now.
        source: what the labels of before said of themselves (:attr:`rmgym.Labels.source`).
    """
    audit, compared = Audit.of(source), given.of("preference").answers[: source["counts"]["preferences"]]
    aside = frozenset[int]() if audit is None else audit.set_aside
    sides = (side for answer in compared if answer.id not in aside for side in given.sides(answer))
    return TextBatch.concatenate(texts_of(given.segments[side]) for side in dict.fromkeys(sides) if side is not None)


def _tell(done: Round, audit: Audit | None, *, settled: bool) -> None:
    """Say what came of a round, and whether a person may stop."""
    agreement = "" if done.agreement is None else f", heads agree on the order of policies to {done.agreement:.3f}"
    _LOG.info("round %d at %s steps: %d labels%s", done.number, f"{done.steps:,}", done.labels, agreement)
    for line in [] if audit is None else audit.lines():
        _LOG.info("%s", line)
    if settled:
        _LOG.info("the order of the policies so far has settled: more labels of them are unlikely to change it")
