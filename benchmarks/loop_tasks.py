"""Tasks of ``loop.py``: an environment, an agent, what is asked, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from loop_sparse import mountain_car_value, pump

from rmgym.environments.behaviours import Policy
from rmgym.feedback.teachers.levels import Edges
from rmgym.feedback.teachers.panel import People
from rmgym.feedback.teachers.scripted import Target
from rmgym.feedback.teachers.values import StateValue
from rmgym.runs.loop_options import LoopOptions

MIXES = ("loop, uniform", "loop, no largest", "loop, no unsure", "loop, no ended")
"""Arms of the loop in which it asks other questions."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """An environment, an agent, and what may be asked.

    Attributes:
        env: its id.
        algo: the agent.
        steps: of its training.
        labels: numbers of labels, the one that controls are run with first.
        least: claims, by number of labels: the least interquartile mean of the true return, or share of the range,
            and of the worst seed, if anything is claimed of it.
        options: of the loop.
        target: by which steps are rated.
        gamma: discount of outcomes.
        levels: of ratings; None for exact ones.
        edges: where levels end. Outcomes of a random policy fall by orders of magnitude on the way back from success:
            only by their order do they tell near from far.
        evaluations: of the agent on the way, among which one is kept.
        episodes: of each, and a fifth of those that the kept one is judged on.
        by_share: whether ``least`` is of shares.
        mixes: those of :data:`MIXES` that it is run with.
        controls: names of rewards that know nothing, each an arm.
        threshold: true return to be reached within half of the steps that the true reward needs, those of collecting
            counted; None for no such claim.
        value: makes an expert's value of states, discounted by ``GAMMA``.
        people: who answer instead of the scripted teacher, with their habits.
        of_exact: the least share of what the same loop gains over a random policy with exact answers.
        expert: shows it for ``SHOWN`` steps, about which may be asked first.
        seconds: of one core that a run takes, about.
    """

    env: str
    algo: str
    steps: int
    labels: tuple[int, ...]
    least: dict[int, tuple[float, float | None]]
    options: LoopOptions = field(default_factory=LoopOptions)
    target: Target = "reward"
    gamma: float = 0.95
    levels: int | None = None
    edges: Edges = "width"
    evaluations: int = 10
    episodes: int = 20
    by_share: bool = False
    mixes: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    threshold: float | None = None
    people: People | None = None
    of_exact: float = 0.9
    expert: Policy | None = None
    value: Callable[[], StateValue] | None = None
    seconds: float = 120

    @property
    def agent(self) -> tuple[object, ...]:
        """What a true-reward agent's training depends on."""
        return self.env, self.algo, self.steps, self.evaluations, self.episodes


SPARSE = LoopOptions(whole_episodes=True, potential=True)
EARLY = tuple(share / 4 for share in SPARSE.at)  # for agents that are to be good early
TASKS = {
    "Pendulum, ratings": Task(
        env="Pendulum-v1",
        algo="ppo",
        steps=100_000,
        labels=(100, 50),
        least={50: (-200, -300), 100: (-170, -300)},
        levels=10,
        mixes=MIXES[:3],  # nothing ends it
        seconds=60,
    ),
    "Pendulum, comparisons": Task(
        env="Pendulum-v1",
        algo="ppo",
        steps=100_000,
        labels=(100,),
        least={100: (-250, -350)},
        options=LoopOptions(kind="preference"),
        seconds=180,
    ),
    "LunarLander, ratings": Task(
        env="LunarLander-v3",
        algo="dqn",
        steps=100_000,
        labels=(1000, 500),
        least={1000: (0.8, 0.5), 500: (0.6, 0.3)},
        mixes=MIXES[:1],
        evaluations=20,
        by_share=True,
        seconds=420,
    ),
    "HalfCheetah, ratings": Task(
        env="HalfCheetah-v5",
        algo="sac",
        steps=50_000,
        labels=(300,),
        least={300: (0.9, None)},
        episodes=5,
        by_share=True,
        seconds=500,
    ),
    "HalfCheetah, comparisons": Task(
        env="HalfCheetah-v5",
        algo="sac",
        steps=50_000,
        labels=(200,),
        least={200: (0.6, None)},
        options=LoopOptions(kind="preference"),
        episodes=5,
        by_share=True,
        seconds=500,
    ),
    "Hopper, ratings": Task(
        env="Hopper-v5",
        algo="sac",
        steps=50_000,
        labels=(500,),
        least={500: (0.8, None)},
        by_share=True,
        seconds=500,
    ),
    "MiniGrid-Empty, outcomes": Task(
        env="MiniGrid-Empty-Random-5x5-v0",
        algo="ppo",
        steps=100_000,
        labels=(150,),
        least={150: (0.95, 0.9)},
        options=SPARSE,
        target="outcome",
        by_share=True,
        seconds=120,
    ),
    "MiniGrid-DoorKey, outcomes": Task(
        env="MiniGrid-DoorKey-5x5-v0",
        algo="ppo",
        steps=100_000,
        labels=(300,),
        least={300: (0.95, 0.9)},
        options=replace(SPARSE, collect=20_000),  # of 6,000, none came to the goal with one seed of two
        target="outcome",
        levels=10,
        edges="quantile",
        gamma=0.99,
        by_share=True,
        seconds=180,
    ),
    "MountainCar, outcomes": Task(
        env="MountainCar-v0",
        algo="dqn",
        steps=120_000,
        labels=(300,),
        least={},
        options=replace(SPARSE, collect=3000, at=EARLY),
        target="outcome",
        gamma=0.99,
        threshold=-110,
        evaluations=48,
        expert=pump,
        seconds=400,
    ),
    "CartPole, outcomes": Task(
        env="CartPole-v1",
        algo="dqn",
        steps=50_000,
        labels=(300,),
        least={300: (475, 475)},
        options=SPARSE,
        target="outcome",
        mixes=MIXES,
        controls=("constant", "random"),
        seconds=120,
    ),
}
TASKS["MountainCar, prospects"] = replace(
    TASKS["MountainCar, outcomes"],
    # The worth of states changes within a step or two, which takes longer to fit; outcomes, which contradict each other
    # where policies of any skill have come by, are worse for it.
    options=LoopOptions(potential=True, collect=3000, fit_steps=1500, warm_steps=400, at=EARLY),
    target="prospect",
    value=mountain_car_value,
    expert=None,
)
PEOPLE = People(own_scale=True, mistakes=0.1, skips=0.1, people=3)
"""Three people, each on a scale of 4 to 9 levels."""
TASKS["Pendulum, people"] = replace(TASKS["Pendulum, ratings"], labels=(100,), least={}, people=PEOPLE)
TASKS["LunarLander, people"] = replace(TASKS["LunarLander, ratings"], labels=(1000,), least={}, people=PEOPLE)
TASKS["Pendulum, flipped"] = replace(
    TASKS["Pendulum, comparisons"], labels=(300,), least={}, people=People(mistakes=0.3), of_exact=0.85, seconds=400
)
