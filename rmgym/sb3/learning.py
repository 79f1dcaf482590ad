"""An agent's training as people see it: a bar with both returns beside it."""

from __future__ import annotations

from rich.progress import Progress, TaskID
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from rmgym.evaluation.measure import MEASURED
from rmgym.progress import progress_bar
from rmgym.sb3.callbacks import RewardComparisonCallback
from rmgym.sb3.checkpoints import Checkpoints
from rmgym.sb3.rounds import Rounds, RoundsCallback
from rmgym.specs import RunSpec


class _ProgressCallback(BaseCallback):
    """Moves the bar; the last true and learned return stand beside it."""

    def __init__(self, bar: Progress, task: TaskID, comparison: RewardComparisonCallback) -> None:
        super().__init__()
        self.bar, self.task, self.comparison = bar, task, comparison

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        returns = ""
        if self.comparison.rows:
            row = self.comparison.rows[-1]
            returns = f"  true {row['true_return_mean']:.4g}  learned {row['learned_return_mean']:.4g}"
            returns += f"  measure {row[MEASURED[0]]:.4g}" if MEASURED[0] in row else ""
        self.bar.update(self.task, completed=self.model.num_timesteps, description=f"training{returns}")


def learn(
    agent: BaseAlgorithm,
    spec: RunSpec,
    comparison: RewardComparisonCallback,
    checkpoints: Checkpoints,
    rounds: Rounds | None = None,
    *,
    progress: bool,
) -> None:
    """Train what is left, and close the environments."""
    total, begun = spec.total_steps, agent.num_timesteps
    try:
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("training", total=total, completed=begun)
            callbacks: list[BaseCallback] = [checkpoints, comparison, _ProgressCallback(bar, task, comparison)]
            if rounds is not None:
                callbacks.insert(0, RoundsCallback(rounds, comparison, checkpoints))
            agent.learn(total - begun, callback=callbacks, reset_num_timesteps=begun == 0)
    finally:
        if agent.env is not None:
            agent.env.close()
