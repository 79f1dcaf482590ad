"""Learned and true return side by side, while an agent trains."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rmgym.cards import EnvCard
from rmgym.errors import HarnessError, PlaceholderRewardError
from rmgym.harness.deferred import is_deferred, learned_env, learned_returns
from rmgym.harness.environments import env_arguments
from rmgym.harness.evaluate import EVALUATION_SEED, Comparison, evaluate
from rmgym.harness.files import replacing
from rmgym.harness.leakage import survival_bonus
from rmgym.harness.saving import RECORD, save_agent
from rmgym.models.registry import load_reward_model
from rmgym.scoring.amortised import AmortisedReward, original
from rmgym.wrappers.source import Model

COMPARISON, STEPS = "comparison.csv", "steps.csv"
COLUMNS = (
    "steps",
    "wall_seconds",
    "episodes",
    "true_return_mean",
    "true_return_std",
    "learned_return_mean",
    "learned_return_std",
    "spearman",
    "pearson",
    "pair_accuracy",
)
_STEP_ROWS = 2_000
_LOG = logging.getLogger(__name__)


class RewardComparisonCallback(BaseCallback):
    """Evaluate on held-out episodes of the true environment, with both rewards, every so many steps and at the end.

    Writes to the SB3 logger (``rmgym/true_return``, ``rmgym/learned_return``, ``rmgym/spearman``, ``rmgym/pearson``,
    ``rmgym/pair_accuracy``, ``rmgym/gap_alarm``; where a student stands in for a slow model,
    ``rmgym/lm_call_share``, ``rmgym/audit_error``, ``rmgym/student_fits``; of training episodes
    ``rollout/true_return_mean`` and ``rollout/learned_return_mean``) and to ``comparison.csv`` and ``steps.csv``.
    Training is the same with and without it: evaluation has its own environments and leaves every random state as it
    was.

    Args:
        reward_model: what is compared with the true reward; by default the model that the agent trains on.
        eval_every: training steps between evaluations.
        episodes: held-out episodes of each.
        seed: of the first; the same episodes each time.
        out: folder for the files; without one nothing is written. Rows of a run that is resumed are kept up to the
            step where it goes on.
        env_id: environment to evaluate in; by default the agent's, with its arguments, card and language.
        env_kwargs: arguments of ``gymnasium.make`` for ``env_id``.
        card: path of an environment card.
        language: language of the texts.
        save_best: keep the agent with the best ``"true"`` or ``"learned"`` return as ``best_true.zip`` or
            ``best_learned.zip`` in ``out``: the name says which reward selected it.
        alarm_window: evaluations over which the gap alarm looks back.
        started: ``time.perf_counter()`` at the start of the run; by default the start of this training.
        verbose: 1 prints a line per evaluation.

    Attributes:
        rows: one per evaluation, by column of ``comparison.csv``.
        last: the last evaluation.
        alarms: steps at which the learned return had risen and the true return fallen, each by more than its standard
            error, over the window: the sign of a reward that is being gamed.
        survival_bonus: what is to be said of a learned reward that pays for an episode's length
            (:mod:`rmgym.harness.leakage`), logged once; None where nothing is.

    Raises:
        HarnessError: an option is impossible, or there is no environment or reward model to evaluate with.
        PlaceholderRewardError: the agent would train on the zeros of deferred scoring.
    """

    def __init__(
        self,
        reward_model: Model | None = None,
        *,
        eval_every: int = 10_000,
        episodes: int = 10,
        seed: int = EVALUATION_SEED,
        out: str | os.PathLike[str] | None = None,
        env_id: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
        card: str | os.PathLike[str] | None = None,
        language: str | None = None,
        save_best: Literal["true", "learned"] | None = None,
        alarm_window: int = 3,
        started: float | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        if eval_every < 1 or episodes < 1 or alarm_window < 2:
            raise HarnessError(
                "an evaluation happens every step or rarer, has an episode, and an alarm compares at least two",
                got=f"eval_every={eval_every}, episodes={episodes}, alarm_window={alarm_window}",
                fix="pass positive numbers",
            )
        if save_best not in (None, "true", "learned"):
            raise HarnessError("'save_best' is 'true', 'learned' or None", got=save_best, fix="choose one")
        if save_best is not None and out is None:
            raise HarnessError("the best agent is saved in a folder", got="out=None", fix="pass out=")
        self.reward_model, self.eval_every, self.episodes, self.seed = reward_model, eval_every, episodes, seed
        self.out = None if out is None else Path(out)
        self.env_id, self.env_kwargs, self.language = env_id, env_kwargs, language
        self.card: str | os.PathLike[str] | EnvCard | None = card
        self.save_best, self.alarm_window, self.started = save_best, alarm_window, started
        self.rows: list[dict[str, float]] = []
        self.last: Comparison | None = None
        self.alarms: list[int] = []
        self.survival_bonus: str | None = None
        self._evaluated = 0
        self._true_returns: deque[float] = deque(maxlen=100)
        self._learned_returns: deque[float] = deque(maxlen=100)

    def _init_callback(self) -> None:
        """Fill in what the agent knows about itself."""
        record: dict[str, Any] = getattr(self.model, RECORD, {})
        learned = learned_env(self.model)
        if learned is not None and learned.when == "rollout" and not is_deferred(self.model):
            raise PlaceholderRewardError(
                "an environment that defers its rewards needs an agent that asks for them",
                got=f"{type(self.model).__name__} with SB3's own buffer, which would train on zeros",
                fix="call rmgym.sb3.score_rollouts(agent, model), or pass when='step' to LearnedRewardVecEnv",
            )
        if self.reward_model is None:
            if learned is None:
                raise HarnessError("a comparison has a reward model", got="none", fix="pass reward_model=")
            self.reward_model = original(learned.model)  # a student is not judged by itself
        if self.env_id is None:
            self.env_id, kwargs = record.get("env"), record.get("env_kwargs", {})
            if self.env_id is None:
                self.env_id, kwargs = env_arguments(self.training_env)
            if self.env_id is None:
                raise HarnessError("an evaluation makes its own environments", got="no id", fix="pass env_id=")
            self.env_kwargs, self.card = self.env_kwargs or kwargs, self.card or record.get("card")
        if learned is not None:  # what the agent trains on decides what it is judged by
            self.card = self.card or learned.textualizer.card
            self.language = self.language or learned.textualizer.language
        self.language = self.language or record.get("language", "en")

    def _on_training_start(self) -> None:
        self._evaluated = steps = self.model.num_timesteps
        known = self.rows or ([] if self.out is None else read_rows(self.out / COMPARISON))
        self.rows = [row for row in known if row["steps"] <= steps] if steps else []
        self.alarms = [int(row["steps"]) for i, row in enumerate(self.rows) if self._is_gamed(self.rows[: i + 1])]
        if self.started is None:
            self.started = time.perf_counter()

    def _on_step(self) -> bool:
        if self.locals["dones"].any():
            for info in self.locals["infos"]:
                if "true_return" in info:
                    self._true_returns.append(info["true_return"])
                if "learned_return" in info:
                    self._learned_returns.append(info["learned_return"])
        if self.num_timesteps // self.eval_every > self._evaluated // self.eval_every:
            self._evaluate()
        return True

    def _on_rollout_end(self) -> None:
        if self._true_returns:
            self.logger.record("rollout/true_return_mean", float(np.mean(self._true_returns)))
        if finished := self._learned_returns or learned_returns(self.model):
            self.logger.record("rollout/learned_return_mean", float(np.mean(finished)))
        for name, value in (self.amortised or {}).items():
            self.logger.record(f"rmgym/{name}", value)

    @property
    def amortised(self) -> dict[str, float] | None:
        """How a student has stood in for the model so far (:attr:`rmgym.AmortisedReward.statistics`), if one does."""
        learned = learned_env(self.model)
        model = None if learned is None else learned.model
        return model.statistics if isinstance(model, AmortisedReward) else None

    def _on_training_end(self) -> None:
        """The last word is about the agent as it is now, after its last update."""
        if self.rows and self.rows[-1]["steps"] == self.num_timesteps:
            self.rows.pop()
            self.alarms = [step for step in self.alarms if step != self.num_timesteps]
        self._evaluate()

    def _evaluate(self) -> None:
        assert self.env_id is not None  # this and the next: _init_callback and _on_training_start have seen to it
        assert self.reward_model is not None
        assert self.started is not None
        self.last = evaluate(
            self.model,
            self.env_id,
            self.reward_model,
            episodes=self.episodes,
            seed=self.seed,
            env_kwargs=self.env_kwargs,
            card=self.card,
            language=self.language or "en",
        )
        self._evaluated = self.num_timesteps
        self._look_for_a_bonus(self.last)
        row = {"steps": self.num_timesteps, "wall_seconds": time.perf_counter() - self.started, **self.last.row()}
        self._keep_best(row)
        self.rows.append(row)
        gamed = self._is_gamed(self.rows)
        if gamed:
            self._alarm()
        self._log(row, gamed)
        if self.out is not None:
            write_rows(self.out / COMPARISON, COLUMNS, self.rows)
            write_rows(self.out / STEPS, *_sample(self.last))

    def _keep_best(self, row: Mapping[str, float]) -> None:
        if self.save_best is None or self.out is None:
            return
        column = f"{self.save_best}_return_mean"
        if row[column] > max((r[column] for r in self.rows), default=-math.inf):
            save_agent(self.model, self.out / f"best_{self.save_best}.zip")

    def _is_gamed(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether the learned return rose and the true return fell over the window, each beyond its standard error."""
        if len(rows) < self.alarm_window:
            return False
        then, now = rows[-self.alarm_window], rows[-1]
        return _change(then, now, "learned") > 0 and _change(then, now, "true") < 0

    def _look_for_a_bonus(self, played: Comparison) -> None:
        """Warn once, unless the agent is trained on the true reward or with a fixed horizon."""
        record: dict[str, Any] = getattr(self.model, RECORD, {})
        is_true = load_reward_model(self.reward_model).name == "true"  # type: ignore[arg-type]
        if self.survival_bonus is None and not is_true and not record.get("fixed_horizon"):
            self.survival_bonus = survival_bonus(played.steps, played.learned_reward)
            if self.survival_bonus is not None:
                _LOG.warning("after %d steps %s", self.num_timesteps, self.survival_bonus)

    def _alarm(self) -> None:
        self.alarms.append(self.num_timesteps)
        then, now = self.rows[-self.alarm_window], self.rows[-1]
        _LOG.warning(
            "after %d steps the learned return rose from %.4g to %.4g while the true return fell from %.4g to %.4g: "
            "the agent may be gaming its reward model",
            self.num_timesteps,
            *(row[f"{reward}_return_mean"] for reward in ("learned", "true") for row in (then, now)),
        )

    def _log(self, row: Mapping[str, float], gamed: bool) -> None:
        said = {"true_return": row["true_return_mean"], "learned_return": row["learned_return_mean"]}
        said |= {name: row[name] for name in ("spearman", "pearson", "pair_accuracy") if not math.isnan(row[name])}
        for name, value in {**said, "gap_alarm": float(gamed)}.items():
            self.logger.record(f"rmgym/{name}", value)
        self.logger.dump(self.num_timesteps)
        if self.verbose:
            print(
                f"{self.num_timesteps:>10,} steps  true {row['true_return_mean']:.4g} ± {row['true_return_std']:.3g}"
                f"  learned {row['learned_return_mean']:.4g} ± {row['learned_return_std']:.3g}"
                f"  spearman {row['spearman']:.3f}{'  GAP' if gamed else ''}"
            )


def read_rows(file: Path) -> list[dict[str, float]]:
    """Rows of a CSV file of numbers; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as lines:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(lines)]


def write_rows(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Replace a CSV file in one step; counts are written without a point.

    Raises:
        HarnessError: it cannot be written; the old one is intact.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        table.writerow([int(v) if math.isfinite(v) and v == int(v) else v for v in (row[c] for c in columns)])
    with replacing(file) as target:
        target.write(text.getvalue().encode())


def _change(then: Mapping[str, float], now: Mapping[str, float], reward: str) -> float:
    """Change of a mean return, zero if it is within its standard error."""
    change = now[f"{reward}_return_mean"] - then[f"{reward}_return_mean"]
    error = math.sqrt(sum(row[f"{reward}_return_std"] ** 2 / row["episodes"] for row in (then, now)))
    return change if abs(change) > error else 0.0


def _sample(comparison: Comparison) -> tuple[tuple[str, ...], list[dict[str, float]]]:
    """At most two thousand steps, drawn evenly over the evaluation."""
    steps = comparison.steps
    picked = np.unique(np.linspace(0, len(steps) - 1, min(_STEP_ROWS, len(steps))).round().astype(int))
    table = {
        "episode": steps.episode[picked],
        "step": steps.step[picked],
        "true_reward": steps.true_reward[picked].astype(float),
        "learned_reward": comparison.learned_reward[picked],
    }
    return tuple(table), [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
