"""Real steps of a real environment, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np

from rmgym.cards import EnvCard, find_env_card
from rmgym.environments.behaviours import SEEDS, Player, Policy, Source, acting
from rmgym.environments.build import build_env
from rmgym.environments.fixed_horizon import ABSORBING
from rmgym.environments.introspect import facts_of, plain_fact, refuse_other_facts, spaces_of
from rmgym.environments.kinds import Env, one_reward
from rmgym.environments.raw_observation import Raw
from rmgym.errors import RunError
from rmgym.progress import progress_bar
from rmgym.specs import EnvSpec
from rmgym.transitions import IN_ABSORBING, NOT_ABSORBING, Transitions
from rmgym.trees import Array, Tree, Value, concatenate, stack

_APART = 1000  # seeds of two sources
_PATIENT = 10  # of so many episodes under a fixed horizon, one goes on until its task has ended


def collect(
    env: str | EnvSpec,
    steps: int,
    *,
    seed: int = 0,
    reset_every: int | None = None,
    policy: Source | Mapping[str, Source] = "random",
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
        steps: number of steps, at least 1, of each source at least one.
        seed: seeds the first reset and the random policy; same seed, same steps.
        reset_every: start a new episode after this many steps; frequent resets visit more kinds of states. None lets
            every episode end by itself, which labels by outcome need. A player's episodes always do.
        policy: chooses actions: a function, anything with ``predict`` as agents of Stable-Baselines3 have it, the name
            of a behaviour (:func:`rmgym.environments.behaviours.behaviour`), or a player, such as
            :class:`rmgym.sb3.AgentPlayer`. Several by name take equal parts of the steps, one after the other;
            :func:`sources_of` tells which took a step.
        env_kwargs: arguments of the environment.
        fixed_horizon: let every episode last so many steps (:class:`rmgym.FixedHorizonWrapper`).
        progress: show a progress bar on stderr.

    Returns:
        ``steps`` transitions with the true final observation of each episode, the true reward, and ``metadata`` with
        ``env`` (the spec as JSON), ``seed``, ``reset_every``, ``sources`` (by name, the number of the first episode),
        ``seeds`` (by the number of an episode, where it does not go on from the one before), ``card`` (hash of the
        card, None without one), ``rmgym``, and ``facts`` where the card has some: their values there.

    Raises:
        RunError: the environment cannot be made, a count is not positive, a reward is no number, a fact of the card
            (a map) is another one after a reset, or a policy cannot act there.
    """
    for name, count in (("steps", steps), ("reset_every", reset_every)):
        if count is not None and count < 1:
            raise RunError(f"{name} is at least 1", got=count, fix=f"pass {name}=1 or more")
    sources: Mapping[str, Source] = policy if isinstance(policy, Mapping) else {_name_of(policy): policy}
    if not 0 < len(sources) <= steps:
        got = f"{steps} steps of {len(sources)} sources"
        raise RunError("each source takes a step at least", got=got, fix="pass steps= as many as sources, or more")
    spec = EnvSpec(id=env, kwargs=env_kwargs or {}, horizon=fixed_horizon) if isinstance(env, str) else env
    card = find_env_card(spec.id, spec.card)
    with closing(build_env(spec)) as live:
        names = {} if card is None else card.facts
        facts = facts_of(live, names)
        taken = dict[str, Transitions]()
        for i, (name, source) in enumerate(sources.items()):
            share, own = steps // len(sources) + (i < steps % len(sources)), seed + _APART * i
            if isinstance(source, Player):
                taken[name] = source.play(spec, share, own)
                continue
            chosen = acting(source, (live.observation_space, live.action_space), own)
            taken[name] = _roll(
                live, share, own, reset_every, chosen, progress, partial(refuse_other_facts, live, names, facts)
            )
    joined = Transitions.concatenate(list(taken.values()))
    firsts = np.cumsum([0, *(int(part.episode[-1]) + 1 for part in taken.values())])
    metadata = {
        **origin(spec, card, facts),
        "seed": seed,
        "reset_every": reset_every,
        "sources": dict(zip(taken, firsts.tolist(), strict=False)),
        SEEDS: _seeds(sources, taken, seed),
    }
    return replace(joined, metadata=metadata)


def origin(spec: EnvSpec, card: EnvCard | None, facts: Mapping[str, Array]) -> Mapping[str, object]:
    """What metadata say of where steps were taken: ``env``, ``card``, ``rmgym`` and, where there are any, ``facts``."""
    plain = {key: plain_fact(fact) for key, fact in facts.items()}
    about = {"env": spec.to_json(), "card": None if card is None else card.hash, "rmgym": version("rmgym")}
    return {**about, "facts": plain} if plain else about


def sources_of(steps: Transitions) -> list[str] | None:
    """Who took each of some collected steps, or None where that is not known.

    Raises:
        RunError: another version of rmgym wrote them.
    """
    sources = steps.metadata.get("sources")
    if sources is None:
        return None
    if not isinstance(sources, dict) or list(sources.values()) != sorted(sources.values()):
        raise RunError("the metadata of steps say who took them", got=sources, fix="collect them again")
    names = list(sources)
    return [names[i] for i in np.searchsorted(list(sources.values()), steps.episode, side="right") - 1]


def seeds_of(steps: Transitions) -> dict[int, int]:
    """The seeds that episodes were begun with, by the numbers of the episodes; others go on from those before them.

    There are none where somebody who took steps does not say.
    """
    seeds = steps.metadata.get(SEEDS)
    if not isinstance(seeds, dict) or not all(str(e).isdecimal() and isinstance(s, int) for e, s in seeds.items()):
        return {}
    return {int(episode): seed for episode, seed in seeds.items()}


def _seeds(sources: Mapping[str, Source], taken: Mapping[str, Transitions], seed: int) -> dict[str, int] | None:
    """The seeds of episodes by their numbers, as JSON has them; None where a player does not say its own."""
    seeds, first = dict[str, int](), 0
    for i, (name, part) in enumerate(taken.items()):
        own = seeds_of(part) if isinstance(sources[name], Player) else {0: seed + _APART * i}
        if not own:
            return None
        seeds |= {str(first + episode): each for episode, each in own.items()}
        first += int(part.episode[-1]) + 1
    return seeds


def _name_of(policy: object) -> str:
    return policy if isinstance(policy, str) else getattr(policy, "__name__", type(policy).__name__)


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
    policy: Policy,
    progress: bool,
    check: Callable[[], None],
) -> Transitions:
    """Steps of a policy; ``check`` looks at the environment after each reset."""
    rows, raw, (space, action_space) = list[tuple[Tree, ...]](), Raw(env), spaces_of(env)

    def reset(seed: int | None = None) -> tuple[Value, Tree]:
        obs, info = env.reset(seed=seed)
        check()
        return obs, stack(space, [raw.obs(obs, info)])  # a copy: an environment may return the same array again

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
    befores, acts, afters, ended, cut, kinds, rewards, episodes, places = zip(*rows, strict=True)
    return Transitions.from_arrays(
        concatenate(befores),
        concatenate(acts),
        concatenate(afters),
        ended,
        cut,
        absorbing=kinds,
        true_reward=rewards,
        episode=episodes,
        step=places,
    )
