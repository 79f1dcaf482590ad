"""Real steps of a real environment, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.metadata import version

from rmgym.cards import find_env_card
from rmgym.environments.behaviours import Behaviour, Policy, behaviour
from rmgym.environments.build import build_env
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.introspect import facts_of, plain_fact, refuse_other_facts, spaces_of
from rmgym.environments.kinds import Env, one_reward
from rmgym.environments.raw_observation import Raw
from rmgym.errors import RunError
from rmgym.progress import progress_bar
from rmgym.specs import EnvSpec
from rmgym.transitions import IN_ABSORBING, NOT_ABSORBING, Transitions
from rmgym.trees import Tree, Value, concatenate, stack

_PATIENT = 10  # of so many episodes under a fixed horizon, one goes on until its task has ended


def collect(
    env: str | EnvSpec,
    steps: int,
    *,
    seed: int = 0,
    reset_every: int | None = None,
    policy: Policy | Behaviour = "random",
    env_kwargs: Mapping[str, object] | None = None,
    fixed_horizon: int | None = None,
    progress: bool = True,
) -> Transitions:
    """Take ``steps`` steps in a real environment.

    An episode that ``reset_every`` (or the last step asked for) cuts is neither terminated nor truncated: nothing in
    the environment ended it, and its text must not say so.

    Under a fixed horizon every tenth episode is not cut before its task has ended and a step in the absorbing state has
    followed, so that there are such steps to label; no longer so after one whose task did not end by the horizon.

    Args:
        env: a registered environment id, or a spec (then ``env_kwargs`` and ``fixed_horizon`` are the spec's).
        steps: number of steps, at least 1.
        seed: seeds the first reset and the random policy; same seed, same steps.
        reset_every: start a new episode after this many steps; frequent resets visit more kinds of states. None lets
            every episode end by itself, which labels by outcome need.
        policy: chooses actions, or the name of a behaviour (:func:`rmgym.environments.behaviours.behaviour`).
        env_kwargs: arguments of the environment.
        fixed_horizon: let every episode last so many steps (:class:`rmgym.FixedHorizonWrapper`).
        progress: show a progress bar on stderr.

    Returns:
        ``steps`` transitions with the true final observation of each episode, the true reward, and ``metadata`` with
        ``env`` (the spec as JSON), ``seed``, ``reset_every``, ``policy``, ``card`` (hash of the card, None without
        one), ``rmgym``, and ``facts`` where the card has some: their values there.

    Raises:
        RunError: the environment cannot be made, a count is not positive, a reward is no number, or a fact of the card
            (a map) is another one after a reset.
    """
    for name, count in (("steps", steps), ("reset_every", reset_every)):
        if count is not None and count < 1:
            raise RunError(f"{name} is at least 1", got=count, fix=f"pass {name}=1 or more")
    spec = EnvSpec(id=env, kwargs=env_kwargs or {}, horizon=fixed_horizon) if isinstance(env, str) else env
    card = find_env_card(spec.id, spec.card)
    metadata = {
        "env": spec.to_json(),
        "seed": seed,
        "reset_every": reset_every,
        "policy": type(policy).__name__ if callable(policy) else policy,
        "card": None if card is None else card.hash,
        "rmgym": version("rmgym"),
    }
    with closing(build_env(spec)) as live:
        names = {} if card is None else card.facts
        facts = facts_of(live, names)
        rows = _roll(live, steps, seed, reset_every, policy, progress, lambda: refuse_other_facts(live, names, facts))
    if facts:
        metadata["facts"] = {key: plain_fact(fact) for key, fact in facts.items()}
    obs, action, next_obs, terminated, truncated, absorbing, reward, episode, step = zip(*rows, strict=True)
    return Transitions.from_arrays(
        concatenate(obs),
        concatenate(action),
        concatenate(next_obs),
        terminated,
        truncated,
        absorbing=absorbing,
        true_reward=reward,
        episode=episode,
        step=step,
        metadata=metadata,
    )


def collected_in(steps: Transitions) -> EnvSpec | None:
    """The environment that steps were collected in; None for steps of another origin.

    Raises:
        RunError: another version of rmgym wrote them.
    """
    spec = steps.metadata.get("env")
    if spec is None:
        return None
    if not isinstance(spec, dict):
        raise RunError("the metadata of steps say which environment they are of", got=spec, fix="collect them again")
    return EnvSpec.from_json(spec, "the steps' metadata")


def _roll(
    env: Env,
    steps: int,
    seed: int,
    reset_every: int | None,
    policy: Policy | Behaviour,
    progress: bool,
    check: Callable[[], None],
) -> list[tuple[Tree, ...]]:
    """One tuple per step: obs, action and next_obs as batches of one, and the other arrays of transitions in order.

    ``check`` looks at the environment after each reset.
    """
    rows, raw, (space, action_space) = list[tuple[Tree, ...]](), Raw(env), spaces_of(env)

    def reset(seed: int | None = None) -> tuple[Value, Tree]:
        obs, info = env.reset(seed=seed)
        check()
        return obs, stack(space, [raw.obs(obs, info)])  # a copy: an environment may return the same array again

    if not callable(policy):
        policy = behaviour(policy, env.observation_space, env.action_space, seed)
    obs, before = reset(seed)
    episode, step, patient = 0, 0, True
    with progress_bar(shown=progress) as bar:
        task = bar.add_task("collecting steps", total=steps)
        for _ in range(steps):
            action = policy(obs)
            acted = stack(env.action_space, [action])
            obs, reward, terminated, truncated, info = env.step(action)
            if raw.handed_on:
                acted = stack(action_space, [raw.action(action, info)])
            after, absorbing = stack(space, [raw.obs(obs, info)]), info.get(ABSORBING, NOT_ABSORBING)
            rows.append((before, acted, after, terminated, truncated, absorbing, one_reward(reward), episode, step))
            bar.advance(task)
            before, step = after, step + 1
            waits = patient and ABSORBING in info and episode % _PATIENT == 0
            patient = patient and not (waits and truncated and absorbing == NOT_ABSORBING)
            enough = reset_every is not None and step >= reset_every and (not waits or absorbing == IN_ABSORBING)
            if terminated or truncated or enough:
                obs, before = reset()
                episode, step = episode + 1, 0
    return rows
