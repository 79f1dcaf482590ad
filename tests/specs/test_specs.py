"""Specs: frozen values that survive JSON exactly, and are refused where they cannot."""

from __future__ import annotations

import http
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmgym.composition import Composition
from rmgym.errors import RunError
from rmgym.specs import AgentSpec, EnvSpec, Layer, RewardSpec, RunSpec

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
arguments = st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=3)
layers = st.builds(Layer, entry=st.just("gymnasium.wrappers:ClipAction"), kwargs=arguments)
envs = st.builds(
    EnvSpec,
    id=st.sampled_from(["Pendulum-v1", "module:Mine-v0"]),
    kwargs=arguments,
    wrappers=st.lists(layers, max_size=2).map(tuple),
    layers=st.lists(layers, max_size=2).map(tuple),
    horizon=st.none() | st.integers(1, 900),
    card=st.none() | st.just("/cards/mine.toml"),
    language=st.sampled_from(["en", "zh"]),
)
clips = st.none() | st.tuples(st.floats(-9, -1), st.floats(1, 9))
rewards = st.builds(
    RewardSpec,
    name=st.just("minilm"),
    digest=st.text("0123456789abcdef", min_size=1, max_size=16),
    model=st.none() | st.just("runs/model"),
    composition=st.builds(Composition, true_weight=st.floats(-3, 3), clip=clips),
    student=st.none() | st.just({"tolerance": 0.2}),
)
agents = st.builds(
    AgentSpec,
    env=envs,
    reward=rewards,
    algo=st.just("ppo"),
    algorithm=st.just("stable_baselines3.PPO"),
    n_envs=st.integers(1, 64),
    hyperparameters=arguments,
    seed=st.none() | st.integers(0, 2**31),
    total_steps=st.integers(1, 10**9),
    when=st.sampled_from(["rollout", "step"]),
)
runs = st.builds(
    RunSpec,
    agent=agents,
    reward_name=st.text(min_size=1, max_size=5),
    eval_every=st.integers(1, 99),
    checkpoint_every=st.integers(1, 99),
    save_best=st.sampled_from([None, "true", "learned"]),
)


@given(runs)
def test_a_run_comes_back_from_json_as_it_was(run: RunSpec) -> None:
    text = json.dumps(run.to_json(), allow_nan=False) if "inf" not in repr(run) else json.dumps(run.to_json())
    assert RunSpec.from_json(json.loads(text), "run.json") == run


def test_arrays_and_tuples_come_back_as_such() -> None:
    layer = Layer(entry="a:B", kwargs={"low": np.float32([1, 2]), "shape": (3, 4), "one": np.int64(3)})
    again = Layer.from_json(json.loads(json.dumps(layer.to_json())), "a test")
    assert again.kwargs["shape"] == (3, 4)
    assert again.kwargs["one"] == 3
    assert again.kwargs["low"].dtype == np.float32
    np.testing.assert_array_equal(again.kwargs["low"], [1, 2])


def test_where_a_model_lies_is_no_setting() -> None:
    agent = AgentSpec(
        env=EnvSpec(id="Pendulum-v1"),
        reward=RewardSpec(name="toy", digest="1", model="here"),
        algo="ppo",
        algorithm="stable_baselines3.PPO",
        n_envs=1,
        total_steps=10,
    )
    run = RunSpec(agent=agent, reward_name="toy", eval_every=5, checkpoint_every=5)
    moved = replace(run, agent=replace(agent, reward=replace(agent.reward, model="there")))
    other = replace(run, agent=replace(agent, reward=replace(agent.reward, digest="2")))
    assert moved.settings() == run.settings() != other.settings()


def test_specs_are_frozen() -> None:
    spec = EnvSpec(id="Pendulum-v1")
    with pytest.raises(FrozenInstanceError):
        spec.id = "CartPole-v1"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EnvSpec(id="X-v0", kwargs={"a": object()}), "(?s)env_kwargs are JSON-able.*register an id"),
        (lambda: EnvSpec(id="X-v0", horizon=0), "fixed_horizon=1"),
        (lambda: Layer(entry="a:B", kwargs={"f": len}), "arguments of a:B are JSON-able"),
        (lambda: EnvSpec.from_json({"id": "X-v0", "hurizon": 3}, "f"), r"(?s)f: unknown key 'hurizon'.*'horizon'"),
        (
            lambda: EnvSpec.from_json({"id": "X-v0", "wrappers": [{"entri": "a"}]}, "f"),
            r"(?s)'wrappers.0.entri'.*'entry'",
        ),
        (lambda: EnvSpec.from_json({}, "f"), "f: the key 'id' is required"),
        (lambda: EnvSpec.from_json({"id": "X-v0", "horizon": "long"}, "f"), r"valid integer.*\(at 'horizon'\)"),
        (lambda: EnvSpec.from_json({"id": "X-v0", "horizon": -1}, "f"), "fixed_horizon=1"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"when": "later"}, "'rollout'"), ({"n_envs": 0}, "n_envs=1"), ({"hyperparameters": {"a": len}}, "JSON-able")],
)
def test_impossible_agents(change: dict[str, Any], message: str) -> None:
    agent = {"env": None, "reward": RewardSpec(name="a", digest="1"), "algo": "p", "algorithm": "q.P", "n_envs": 1}
    with pytest.raises(RunError, match=message):
        AgentSpec(**{**agent, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("kwargs", [{"table": {1: 5.0}}, {"mode": http.HTTPStatus.OK}])
def test_what_json_takes_for_something_simpler_is_refused(kwargs: Any) -> None:
    with pytest.raises(RunError, match="JSON-able"):
        EnvSpec(id="Pendulum-v1", kwargs=kwargs)


@pytest.mark.parametrize("array", [{"__array__": [1], "dtype": "S999999999"}, {"__array__": ["x"], "dtype": "f4"}])
def test_an_array_in_json_holds_numbers(array: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="an array in JSON holds numbers"):
        EnvSpec.from_json({"id": "X-v0", "kwargs": {"a": array}}, "run.json")
