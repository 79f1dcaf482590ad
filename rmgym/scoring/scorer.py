"""From transitions to rewards: text, one row per distinct text (or a table of all steps), cache, model, checks.

Where a strategy stands in for the model, it answers above the cache: cache and table hold the model's own scores alone.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, RewardModel
from rmgym.scoring.absorbing import warn_of_unseen
from rmgym.scoring.cache import ScoreCache
from rmgym.scoring.lookup import ScoreTable
from rmgym.scoring.potential import Potential, as_states, states_hash
from rmgym.scoring.strategy import Strategy
from rmgym.text.batch import TextBatch
from rmgym.text.distinct import distinct
from rmgym.text.textualizer import Textualizer
from rmgym.transitions import Transitions


class Scorer:
    """A reward model that reads transitions.

    Args:
        model: any reward model; how it splits a batch into micro-batches is its own affair.
        textualizer: puts the environment's steps into words.
        cache: scores of texts that were read before; by default one in memory, and in the file that the environment
            variable ``RMGYM_SCORE_CACHE`` names, if it does.
        student: answers in the model's place, and asks it where it must (:class:`rmgym.Student`).

    Attributes:
        potential: how rewards follow from what the model says of states; None where it says what steps are worth.

    Raises:
        ModelError: the model was fitted on texts of another card, space or language.
    """

    def __init__(
        self,
        model: RewardModel,
        textualizer: Textualizer,
        cache: ScoreCache | None = None,
        student: Strategy | None = None,
    ) -> None:
        self.model, self.textualizer, self.student = model, textualizer, student
        self._cache = ScoreCache(os.environ.get("RMGYM_SCORE_CACHE")) if cache is None else cache
        self.potential = Potential.of(model)
        self._refuse_other_texts()
        # A table would keep a student's guesses. Below one, the cache knows the few texts of such an environment.
        self._table = ScoreTable.of(textualizer) if student is None else None
        self._scored_by = model.digest if self._table is not None else ""
        if student is not None:
            student.imitate(model)

    def _refuse_other_texts(self) -> None:
        """Refuse a model of another card, or of states where it is asked about steps.

        Raises:
            ModelError: it is one.
        """
        steps, words = self.textualizer.card_hash, self.textualizer
        if self.model.card_hash in (None, steps if self.potential is None else states_hash(steps)):
            return
        fix = "use the environment, card= and language= it was fitted for, or fit it on this environment"
        if self.model.card_hash == states_hash(steps):
            fix = "its labels are of a loop with a potential, about states: go on with that loop ('rmgym loop --from')"
        raise ModelError(
            "a reward model scores only texts of the card, spaces and language it was fitted on",
            got=f"model {self.model.name!r} fitted on texts {self.model.card_hash}, environment card "
            f"{words.card.id!r} in language {words.language!r} makes texts {steps}",
            fix=fix,
        )

    @property
    def version(self) -> str:
        """Identity of the scores as they are now: the model's digest, and what answers in its place."""
        answering = "" if self.student is None else self.student.version
        return f"{self.model.digest}-student-{answering}" if answering else self.model.digest

    def score(self, transitions: Transitions) -> Prediction:
        """Score ``B`` steps in one call of the model; equal texts are scored once.

        A model of what states are worth is asked about both states of each step (:class:`Potential`).

        Where scores are kept in a table, a step that a time limit cut is read together with the one that goes on: any
        step can be the last in time, and would otherwise be asked about alone one day.

        Args:
            transitions: raw steps, in the spaces of the textualizer; ``true_reward`` is not read.

        Returns:
            Mean and std, ``float32 [B]`` each, in arrays of their own: changing them changes nothing else.

        Warns:
            UnseenStepsWarning: a step is in the absorbing state of a fixed horizon, which the model was never shown.

        Raises:
            TextError: a step holds NaN or infinity, or a value without words.
            ModelError: the model answers with NaN, infinity or the wrong number of rewards.
        """
        if not len(transitions):
            return Prediction(np.zeros(0, np.float32), np.zeros(0, np.float32))
        if self.potential is None:
            return self._asked(transitions)
        worth = self._worth(self.potential, transitions)
        reward = self.potential.rewards(worth.mean, transitions).astype(np.float32)
        return Prediction(reward, worth.std[: len(transitions)] / np.float32(self.potential.unit))

    def success(self, transitions: Transitions) -> npt.NDArray[np.float64] | None:
        """The part of ``B`` scores that is no shaping, ``float64 [B]``; None where no potential tells it."""
        if self.potential is None:
            return None
        return self.potential.success(self._worth(self.potential, transitions).mean, transitions)

    def _worth(self, potential: Potential, transitions: Transitions) -> Prediction:
        """What the states are worth where steps lead, and then where they begin."""
        return self._asked(potential.states(transitions, self.textualizer.action_space))

    def _asked(self, transitions: Transitions) -> Prediction:
        """What the model says of some steps."""
        if transitions.absorbing.any():
            warn_of_unseen(self.model)
        table = self._fresh_table()
        cells = None if table is None else table.cells(transitions)
        if table is None or cells is None:
            return self._score_texts(self._texts(transitions))
        rows = table.unknown(cells)
        if len(rows):
            asked = transitions[rows]
            if hasattr(self.model, "micro_batch"):  # a few texts more cost such a model nothing beside another call
                asked = Transitions.concatenate([asked, replace(asked, truncated=~asked.truncated)])
            places = table.cells(asked)
            assert places is not None  # the same states and actions
            table.put(places, self._score_texts(self._texts(asked)))
        return table.get(cells)

    def _texts(self, transitions: Transitions) -> TextBatch:
        """What the model is asked, about steps or, where it is read as a potential, about states."""
        texts = self.textualizer.batch(transitions)
        return texts if self.potential is None else as_states(texts)

    def _fresh_table(self) -> ScoreTable | None:
        """The table, emptied if the model has changed since it was filled; None where there can be none."""
        if self._table is not None and self._scored_by != (digest := self.model.digest):
            self._table, self._scored_by = ScoreTable.of(self.textualizer), digest
        return self._table

    def _score_texts(self, texts: TextBatch) -> Prediction:
        """Score texts: the student does where there is one, else the model."""
        prediction = self._exact(texts) if self.student is None else self._guessed(self.student, texts)
        return Prediction(np.array(prediction.mean, np.float32), np.array(prediction.std, np.float32))

    def _guessed(self, student: Strategy, texts: TextBatch) -> Prediction:
        """What a student says, who is asked about equal texts once."""
        student.imitate(self.model)  # it may have been fitted further
        first, where = distinct(texts)
        asked = texts if len(first) == len(texts) else texts[first]
        prediction = self._checked(student.predict(asked, self._exact), asked)
        return Prediction(prediction.mean[where], prediction.std[where])

    def _exact(self, texts: TextBatch) -> Prediction:
        """What the model itself says, now or when it was asked before."""
        return self._checked(self._cache.predict(self.model, texts), texts)

    def _checked(self, prediction: Prediction, texts: TextBatch) -> Prediction:
        """One finite number per text, or an error."""
        for name, values in (("mean", prediction.mean), ("std", prediction.std)):
            if np.shape(values) != (len(texts),):
                raise ModelError(
                    "a reward model answers one number per text",
                    got=f"{name} of shape {np.shape(values)} from {self.model.name!r} for {len(texts)} texts",
                    fix="return Prediction(mean [B], std [B])",
                )
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ModelError(
                    "a learned reward is a finite number",
                    got=f"{name} {values[row]} from {self.model.name!r} for: {texts[[row]].strings()[0]}",
                    fix="fit the model again (look for diverging loss or extreme labels) or load another one",
                )
        return prediction
