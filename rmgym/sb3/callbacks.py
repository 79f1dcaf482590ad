"""Learned and true return side by side, while an agent trains."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import should_collect_more_steps

from rmgym.environments.raw_observation import policy_layers
from rmgym.errors import FeedbackError, PlaceholderRewardError, RunError
from rmgym.evaluation.evaluate import EVALUATION_SEED, SUCCESS, Comparison, evaluate
from rmgym.evaluation.leakage import beside_the_goal, survival_bonus
from rmgym.evaluation.log import ComparisonLog, Row
from rmgym.evaluation.measure import MEASURED, Measure
from rmgym.metrics.gaming import gamed_since
from rmgym.sb3.candidates import Candidates
from rmgym.sb3.deferred import finished_returns, is_deferred, learned_env
from rmgym.sb3.evaluation import load_as_trained, own_env
from rmgym.sb3.layers import view_of
from rmgym.sb3.saving import save_agent
from rmgym.sb3.spec import spec_of
from rmgym.specs import EnvSpec
from rmgym.wrappers.source import Model, is_true

_LOG = logging.getLogger(__name__)


def best_agent(by: str | None) -> str:
    """File of the agent that was kept: its name says which reward selected it."""
    return f"best_{by}.zip"


class RewardComparisonCallback(BaseCallback):
    """Evaluate on held-out episodes of the true environment, with both rewards, every so many steps and at the end.

    Writes to the SB3 logger (``rmgym/true_return``, ``rmgym/learned_return``, ``rmgym/spearman``, ``rmgym/pearson``,
    ``rmgym/pair_accuracy``, ``rmgym/gap_alarm``; where a student stands in for a slow model,
    ``rmgym/lm_call_share``, ``rmgym/audit_error``, ``rmgym/student_fits``; of training episodes
    ``rollout/true_return_mean``, ``rollout/learned_return_mean`` and, where a composition is set,
    ``rollout/composed_return_mean``: what the agent received) and to ``comparison.csv`` and ``steps.csv``.
    Training is the same with and without it: evaluation has its own environments and leaves every random state as it
    was.

    Args:
        reward_model: what is compared with the true reward; by default the model that the agent trains on.
        eval_every: training steps between evaluations.
        episodes: held-out episodes of each.
        seed: of the first; the same episodes each time.
        out: folder for the files; without one nothing is written. Rows of a run that is resumed are kept up to the
            step where it goes on.
        env: environment to evaluate in, an id or a spec; by default the agent's own, wrappers included.
        save_best: keep the agent with the best ``"true"`` or ``"learned"`` return as ``best_true.zip`` or
            ``best_learned.zip`` in ``out``: the name says which reward selected it.
        measure: of your own, for the same episodes: ``measure_mean`` and ``measure_std`` in ``comparison.csv``,
            ``rmgym/measure`` in the logger. What it cannot measure is NaN there, and a warning says why.
            Where the environment's infos tell of success, ``success_rate`` stands there too.
        alarm_window: evaluations over which the two returns have to part before the gap alarm goes.
        verbose: 1 prints a line per evaluation.

    Attributes:
        started: ``time.perf_counter()`` at the start of the run; by default the start of this training.
        rows: one per evaluation, by column of ``comparison.csv``.
        last: the last evaluation.
        kept: the evaluation at which ``save_best`` kept its agent.
        candidates: where the reward model changes on the way (:mod:`rmgym.sb3.rounds`) and ``save_best`` is
            ``"learned"``, keeps all evaluated agents instead, of which the last model selects one afterwards.
        alarms: steps at which the reward was being gamed (:func:`rmgym.metrics.gamed_since`): since an earlier
            evaluation the learned return had risen and the true return fallen.
        survival_bonus: what is to be said of a learned reward that pays for an episode's length
            (:mod:`rmgym.evaluation.leakage`), logged once; None where nothing is.
        shaping: what is to be said of an agent that, when it was evaluated last, was paid for getting near more than
            for getting there (:func:`rmgym.evaluation.leakage.beside_the_goal`); None where nothing is.

    Raises:
        RunError: an option is impossible, there is no reward model, or the agent's environment cannot be made again.
        PlaceholderRewardError: nobody would score the agent's steps.
    """

    def __init__(
        self,
        reward_model: Model | None = None,
        *,
        eval_every: int = 10_000,
        episodes: int = 10,
        seed: int = EVALUATION_SEED,
        out: str | os.PathLike[str] | None = None,
        env: str | EnvSpec | None = None,
        save_best: Literal["true", "learned"] | None = None,
        measure: Measure | None = None,
        alarm_window: int = 3,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        if eval_every < 1 or episodes < 1 or alarm_window < 2:
            raise RunError(
                "an evaluation happens every step or rarer, has an episode, and an alarm compares at least two",
                got=f"eval_every={eval_every}, episodes={episodes}, alarm_window={alarm_window}",
                fix="pass positive numbers",
            )
        if save_best not in (None, "true", "learned"):
            raise RunError("'save_best' is 'true', 'learned' or None", got=save_best, fix="choose one")
        if save_best is not None and out is None:
            raise RunError("the best agent is saved in a folder", got="out=None", fix="pass out=")
        self.reward_model: Model | None = reward_model
        self.eval_every, self.episodes, self.seed, self.alarm_window = eval_every, episodes, seed, alarm_window
        self.log = None if out is None else ComparisonLog(Path(out))
        self.env: EnvSpec | None = EnvSpec(id=env, wrappers=policy_layers(env, None)) if isinstance(env, str) else env
        self.save_best, self.measure = save_best, measure
        self.candidates: Candidates | None = None
        self.started: float | None = None
        self.rows: list[Row] = []
        self.last: Comparison | None = None
        self.kept: Row | None = None
        self.alarms: list[int] = []
        self.survival_bonus: str | None = None
        self.shaping: str | None = None
        self._evaluated = 0
        self._round = 0
        self._true_returns: deque[float] = deque(maxlen=100)
        self._learned_returns: deque[float] = deque(maxlen=100)
        self._composed_returns: deque[float] = deque(maxlen=100)

    def exchange(self, model: Model, round_: int) -> None:
        """Compare with another model from now on, that of a round of feedback.

        It does not pay for what an earlier one did.
        """
        self.reward_model, self._round, self.survival_bonus = model, round_, None

    def _init_callback(self) -> None:
        """Fill in what the agent knows about itself."""
        learned = learned_env(self.model)
        if learned is not None and learned.when == "rollout" and not is_deferred(self.model):
            raise PlaceholderRewardError(
                "an environment that defers its rewards needs an agent that asks for them",
                got=f"{type(self.model).__name__} with SB3's own buffer, which does not",
                fix="call rmgym.sb3.score_rollouts(agent, model), or pass when='step' to LearnedRewardVecEnv",
            )
        if self.reward_model is not None:
            self.reward_model = load_as_trained(self.model, self.reward_model)
        elif learned is not None:
            self.reward_model = learned.loaded  # the exact one: a student is not judged by itself
        else:
            raise RunError("a comparison has a reward model", got="none", fix="pass reward_model=")
        self.env = self.env or own_env(self.model)
        assert self.env is not None  # an agent that learns has one
        if learned is not None:  # what the agent trains on decides what it is judged by
            card = self.env.card or learned.textualizer.card.file or None
            self.env = replace(self.env, card=card, language=learned.textualizer.language)

    def _on_training_start(self) -> None:
        self._evaluated = steps = self.model.num_timesteps
        earlier = (self.rows or ([] if self.log is None else self.log.rows())) if steps else []
        self.rows = [row for row in earlier if row["steps"] <= steps]
        self.alarms = [int(row["steps"]) for i, row in enumerate(self.rows) if self._is_gamed(self.rows[: i + 1])]
        self.kept = None
        for row in self.rows:
            self.kept = row if self._is_better(row) else self.kept
        if self.started is None:
            self.started = time.perf_counter()

    def _on_step(self) -> bool:
        if self.locals["dones"].any():
            for info in self.locals["infos"]:
                if "true_return" in info:
                    self._true_returns.append(info["true_return"])
                if "learned_return" in info:
                    self._learned_returns.append(info["learned_return"])
                if "composed_return" in info:
                    self._composed_returns.append(info["composed_return"])
        due = self.num_timesteps // self.eval_every > self._evaluated // self.eval_every
        if due and not self._is_last_step():  # after that one, _on_training_end has the last word
            self._evaluate()
        return True

    def _is_last_step(self) -> bool:
        """Whether the last update follows, as far as the algorithm's loop tells (on-policy, else off-policy)."""
        if self.num_timesteps < self.model._total_timesteps:
            return False
        loop = self.locals
        if "n_rollout_steps" in loop:
            return bool(loop["n_steps"] + 1 >= loop["n_rollout_steps"])
        names = ("train_freq", "num_collected_steps", "num_collected_episodes")
        return all(name in loop for name in names) and not should_collect_more_steps(*(loop[name] for name in names))

    def _on_rollout_end(self) -> None:
        learned, composed = finished_returns(self.model)
        finished = {
            "true": self._true_returns,
            "learned": self._learned_returns or learned,
            "composed": self._composed_returns or composed,
        }
        for name, returns in finished.items():
            if returns:
                self.logger.record(f"rollout/{name}_return_mean", float(np.mean(returns)))
        for name, value in (self.student or {}).items():
            self.logger.record(f"rmgym/{name}", value)

    @property
    def student(self) -> dict[str, float] | None:
        """How a student has stood in for the model so far (:attr:`rmgym.Student.statistics`), if one does."""
        learned = learned_env(self.model)
        return learned.student.statistics if learned is not None and learned.student is not None else None

    def _on_training_end(self) -> None:
        """The last word is about the agent as it is now, after its last update."""
        if self.rows and self.rows[-1]["steps"] == self.num_timesteps:
            self.rows.pop()
            self.alarms = [step for step in self.alarms if step != self.num_timesteps]
        self._evaluate()

    def _evaluate(self) -> None:
        assert self.env is not None  # this and the next: _init_callback and _on_training_start have seen to it
        assert self.reward_model is not None
        assert self.started is not None
        self.last = evaluate(
            self.model,
            self.env,
            self.reward_model,
            episodes=self.episodes,
            seed=self.seed,
            view=view_of(self.model),
        )
        self._evaluated = self.num_timesteps
        self._look_for_a_bonus(self.last)
        row = {
            "steps": self.num_timesteps,
            "wall_seconds": time.perf_counter() - self.started,
            "round": self._round,
            **self.last.row(),
            **self.measured(self.last),
        }
        self._keep_best(row)
        self.rows.append(row)
        gamed = self._is_gamed(self.rows)
        if gamed:
            self._alarm()
        self._log(row, gamed)
        if self.log is not None:
            self.log.write(self.rows, self.last)

    def measured(self, played: Comparison) -> Row:
        """What is to be said of some episodes by the measure; nothing where there is none."""
        if self.measure is None:
            return {}
        try:
            return self.measure.row(played.steps)
        except FeedbackError as error:  # the training is worth more than one number of it
            _LOG.warning("after %d steps there is no measure: %s", self.num_timesteps, error)
            return dict.fromkeys(MEASURED, math.nan)

    def _keep_best(self, row: Row) -> None:
        if self.candidates is not None:
            assert self.last is not None  # it is what was evaluated just now
            self.candidates.add(self.model, self.last.steps)
        elif self.log is not None and self._is_better(row):
            self.kept = row
            save_agent(self.model, self.log.folder / best_agent(self.save_best))

    def _is_better(self, row: Row) -> bool:
        """Whether an agent is to be kept rather than the one before; NaN is never better."""
        if self.save_best is None or self.candidates is not None:
            return False
        column = f"{self.save_best}_return_mean"
        return row[column] > (-math.inf if self.kept is None else self.kept[column])

    def _is_gamed(self, rows: Sequence[Mapping[str, float]]) -> bool:
        return gamed_since(rows, self.alarm_window) is not None

    def _look_for_a_bonus(self, played: Comparison) -> None:
        """Warn once, unless the agent is trained on the true reward or with a fixed horizon.

        Of a potential the sign of single rewards says nothing: over an episode they add up to what its end is worth.
        """
        assert self.reward_model is not None
        if played.shaping_return is not None and played.success_return is not None:
            self._look_beside_the_goal(played.shaping_return, played.success_return)
            return
        spec = spec_of(self.model)
        fixed = spec is not None and spec.env.horizon is not None
        if self.survival_bonus is None and not is_true(self.reward_model) and not fixed:
            self.survival_bonus = survival_bonus(played.steps, played.learned_reward)
            if self.survival_bonus is not None:
                _LOG.warning("after %d steps %s", self.num_timesteps, self.survival_bonus)

    def _look_beside_the_goal(self, shaping: npt.NDArray[np.float64], success: npt.NDArray[np.float64]) -> None:
        """Warn where an agent begins to be paid for getting near more than for getting there."""
        before, self.shaping = self.shaping, beside_the_goal(shaping, success)
        if self.shaping is not None and before is None:
            _LOG.warning("after %d steps %s", self.num_timesteps, self.shaping)

    def _alarm(self) -> None:
        self.alarms.append(self.num_timesteps)
        then, now = gamed_since(self.rows, self.alarm_window), self.rows[-1]
        assert then is not None  # who calls has looked
        _LOG.warning(
            "after %d steps the learned return rose from %.4g to %.4g while the true return fell from %.4g to %.4g: "
            "the agent may be gaming its reward model",
            self.num_timesteps,
            *(row[f"{reward}_return_mean"] for reward in ("learned", "true") for row in (then, now)),
        )

    def _log(self, row: Mapping[str, float], gamed: bool) -> None:
        values = {"true_return": row["true_return_mean"], "learned_return": row["learned_return_mean"]}
        values |= {name: row[name] for name in ("spearman", "pearson", "pair_accuracy") if not math.isnan(row[name])}
        if not math.isnan(measured := row.get(MEASURED[0], math.nan)):
            values["measure"] = measured
        if SUCCESS in row:
            values[SUCCESS] = row[SUCCESS]
        for name, value in {**values, "gap_alarm": float(gamed)}.items():
            self.logger.record(f"rmgym/{name}", value)
        self.logger.dump(self.num_timesteps)
        if self.verbose:
            own = f"  measure {measured:.4g} ± {row[MEASURED[1]]:.3g}" if self.measure is not None else ""
            own += f"  success {row[SUCCESS]:.0%}" if SUCCESS in row else ""
            print(
                f"{self.num_timesteps:>10,} steps  true {row['true_return_mean']:.4g} ± {row['true_return_std']:.3g}"
                f"  learned {row['learned_return_mean']:.4g} ± {row['learned_return_std']:.3g}"
                f"{own}  spearman {row['spearman']:.3f}{'  GAP' if gamed else ''}"
            )
