"""Text from every kind of environment, with a card or without."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from rmgym.cards import find_env_card, load_env_card
from rmgym.errors import CardError, RunError, TextError
from rmgym.text import textualizer

DESC = ["SFHF", "FFFG"]


def lake() -> gym.Env[Any, Any]:
    return gym.make("FrozenLake-v1", desc=DESC)


KINDS: dict[str, Callable[[], Any]] = {
    "made": lake,
    "unwrapped": lambda: lake().unwrapped,
    "wrapped": lambda: gym.wrappers.RecordEpisodeStatistics(gym.wrappers.OrderEnforcing(lake())),
    "sync vector": lambda: gym.vector.SyncVectorEnv([lake, lake]),
    "made vector": lambda: gym.make_vec("FrozenLake-v1", num_envs=2, vectorization_mode="sync", desc=DESC),
    "wrapped vector": lambda: gym.wrappers.vector.RecordEpisodeStatistics(gym.vector.SyncVectorEnv([lake, lake])),
    "async vector": lambda: gym.vector.AsyncVectorEnv([lake]),
    "sb3 dummy": lambda: DummyVecEnv([lake, lake]),
    "sb3 wrapped": lambda: VecNormalize(DummyVecEnv([lake]), norm_obs=False, norm_reward=False),
    "sb3 subprocesses": lambda: SubprocVecEnv([lake], start_method="fork"),
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_environment_says_the_same(kind: str) -> None:
    made = KINDS[kind]()
    try:
        text = textualizer(made)
    finally:
        made.close()
    assert text.card.id == "FrozenLake-v1"
    said = text.describe(1, 2, 2, terminated=True)
    assert "The map by rows is SFHF FFFG." in said
    assert "Next state: row: 0, column: 2, tile: hole." in said
    with lake() as plain:
        assert text.card_hash == textualizer(plain).card_hash


def test_the_map_by_id_by_name_and_by_hand() -> None:
    eight = "SFFFFFFF FFFFFFFF FFFHFFFF FFFFFHFF FFFHFFFF FHHFFFHF FHFFHFHF FFFHFFFG"
    made = {
        "SFFF FHFH FFFH HFFG": gym.make("FrozenLake-v1"),
        eight: gym.make("FrozenLake8x8-v1"),
        eight + " ": gym.make("FrozenLake-v1", map_name="8x8"),
        "SFHF FFFG": lake(),
        "SFFF HFFG": gym.make("FrozenLake-v1", desc=["SFFF", "HFFG"]),
    }
    texts = {rows: textualizer(env) for rows, env in made.items()}
    for rows, text in texts.items():
        last = int(text.observation_space.n) - 1  # type: ignore[attr-defined]
        width = len(rows.split()[0])
        said = text.describe(0, 1, last, terminated=True)
        assert f"The map by rows is {rows.strip()}. State: row: 0, column: 0, tile: start." in said
        assert f"Next state: row: {last // width}, column: {width - 1}, tile: goal." in said
    assert len({text.card_hash for text in texts.values()}) == len(texts)


def test_a_vector_environment_with_its_own_entry_point() -> None:
    made = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
    assert textualizer(made).card_hash == textualizer("CartPole-v1").card_hash
    made.close()


@pytest.mark.parametrize("env_id", ["Pendulumm-v1", "Nowhere/Env-v0", "no such module:Env-v0", "not an id"])
def test_an_unknown_id_is_refused(env_id: str) -> None:
    with pytest.raises(RunError, match="registered id") as caught:
        textualizer(env_id)
    assert caught.value.got == env_id
    assert caught.value.fix


def test_what_is_no_environment_is_refused() -> None:
    with pytest.raises(RunError, match="environment"):
        textualizer(42)


# Environments without a card.


class Toy(gym.Env[Any, Any]):
    """Spaces without an environment: text needs no more."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space


def test_a_text_from_the_spaces_alone() -> None:
    env = Toy(gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(3, start=2))
    assert textualizer(env).describe([0.5, -0.25], 3, [0.12346, 0.0], truncated=True) == (
        "Task: Act well in the environment unregistered. State: value obs0: 0.5000, value obs1: -0.2500. "
        "Action: choice: three. Next state: value obs0: 0.1235, value obs1: 0.0000. "
        "The time limit truncated the episode here."
    )
    assert textualizer(env, language="zh").describe([0.5, -0.25], 3, [0.12346, 0.0]) == (
        "任务: 在环境 unregistered 中表现良好。 状态: 观测 obs0: 0.5000， 观测 obs1: -0.2500。 行动: 选择: 三。 "
        "下一状态: 观测 obs0: 0.1235， 观测 obs1: 0.0000。 回合继续。"
    )


@pytest.mark.parametrize(
    ("action_space", "action", "said"),
    [
        (gym.spaces.Discrete(20), 19, "choice: nineteen"),
        (gym.spaces.Discrete(21), 20, "choice: 20"),
        (gym.spaces.Discrete(3, start=-1), -1, "choice: -1"),
        (gym.spaces.Box(-2, 2, (1, 2)), [[-0.5, 2.0]], "choice act0: -0.5000, choice act1: 2.0000"),
        (gym.spaces.Box(0, 9, (), np.int32), 7, "choice act0: 7"),
    ],
)
def test_actions_without_a_card(action_space: gym.Space[Any], action: Any, said: str) -> None:
    text = textualizer(Toy(gym.spaces.Discrete(5, start=3), action_space))
    assert f"State: value: 3. Action: {said}. Next state: value: 7." in text.describe(3, action, 7)


def test_a_registered_environment_without_a_card() -> None:
    assert find_env_card("InvertedPendulum-v5") is None
    text = textualizer("InvertedPendulum-v5")
    said = text.describe([-0.5, 0.01, 0.0, 2.0], [0.3], [-0.49, 0.02, 0.0, 2.0])
    assert said.startswith("Task: Act well in the environment InvertedPendulum-v5. State: value obs0: -0.5000")


@pytest.mark.parametrize("space", [gym.spaces.Box(-1, 1, (512,)), gym.spaces.Box(-1, 1, (16, 32))])
def test_up_to_512_numbers_of_an_array_are_said_and_others_beside_it(space: gym.spaces.Box) -> None:
    """The limit is that of one array: a text of many arrays is as long as they are."""
    text = textualizer(Toy(gym.spaces.Dict(a=space, b=space), gym.spaces.Discrete(2)))
    values = np.arange(1024) / 10_000
    obs = {"a": values[:512].reshape(space.shape), "b": values[512:].reshape(space.shape)}
    said = text.describe(obs, 1, {key: -part for key, part in obs.items()})
    _, before, after = re.split("(?:Next state|State): value ", said)
    for part, sign in ((before, 1), (after, -1)):
        numbers = re.findall(r"obs_[ab]_\d+: (-?[0-9.e-]+[0-9])", part)
        assert np.array(numbers, float) == pytest.approx(sign * values, abs=1e-9)
    assert text.number_keys[511:513] == ("state.obs_a_511", "state.obs_b_0")


class Odd(gym.Space[int]):
    """A space that is none of Gymnasium's."""


@pytest.mark.parametrize(
    ("space", "rule", "fix"),
    [
        (gym.spaces.Box(0, 255, (513,)), "up to 512 numbers", "card that names the few elements"),
        (gym.spaces.Dict(x=gym.spaces.Box(0, 255, (2, 257))), "up to 512 numbers", "wrap it"),
        (gym.spaces.Box(0, 255, (16, 16, 3), np.uint8), "picture", "CaptionWrapper"),
        (Odd((), np.int64), "Gymnasium's own spaces", "wrap the environment"),
        (
            gym.spaces.Dict({"a": gym.spaces.Tuple([gym.spaces.Discrete(2)]), "a.0": gym.spaces.Discrete(2)}),
            "path of its own",
            "rename",
        ),
    ],
)
def test_spaces_that_have_no_text_are_refused(space: gym.Space[Any], rule: str, fix: str) -> None:
    for env in (Toy(space, gym.spaces.Discrete(2)), Toy(gym.spaces.Discrete(2), space)):
        with pytest.raises(TextError, match=rule) as caught:
            textualizer(env)
        assert fix in caught.value.fix


# Cards given by hand.

CARD = """
id = "Toy-v*"
left_out = { observation = ["0"], action = [""] }
[task]
en = "Be good."
[[observation]]
key = "x"
path = "1"
name = { en = "place" }
"""


def test_an_environment_that_is_not_registered_takes_a_card_by_path_or_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(CARD)
    env = Toy(gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2))
    expected = "Task: Be good. State: place: 0.250. Action: . Next state: place: -0.500. The episode goes on."
    for card in (file, str(file), load_env_card(file)):
        assert textualizer(env, card=card).describe([1.0, 0.25], 0, [0.0, -0.5]) == expected


def test_a_card_for_other_environments_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(CARD)
    with pytest.raises(CardError, match="id pattern"):
        textualizer("Pendulum-v1", card=file)
    with pytest.raises(CardError, match="readable file"):
        textualizer("Pendulum-v1", card=tmp_path / "none.toml")


def test_a_card_for_another_space_is_refused() -> None:
    card = find_env_card("Pendulum-v1")
    with pytest.raises(CardError, match="path that the space does not have"):
        textualizer("MountainCar-v0", card=card)
    with pytest.raises(CardError, match="labels other values"):
        textualizer(Toy(gym.spaces.Box(-1, 1, (4,)), gym.spaces.Discrete(3)), card=find_env_card("CartPole-v1"))


@pytest.mark.parametrize("attribute", ["nowhere", "step"])
def test_a_fact_that_the_environment_does_not_have_is_refused(tmp_path: Path, attribute: str) -> None:
    file = tmp_path / "card.toml"
    file.write_text(f'id = "Pendulum-v1"\ntask = {{ en = "Swing." }}\nfacts = {{ x = "{attribute}" }}\n')
    with pytest.raises(CardError, match="has the card's fact"):
        textualizer("Pendulum-v1", card=file)
    with pytest.raises(CardError, match="has the card's fact"):
        textualizer(gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync"), card=file)


@pytest.mark.parametrize("attribute", ["__class__", "_np_random", "state.shape", "a b"])
def test_a_fact_is_a_public_attribute(tmp_path: Path, attribute: str) -> None:
    file = tmp_path / "card.toml"
    file.write_text(f'id = "Pendulum-v1"\ntask = {{ en = "Swing." }}\nfacts = {{ x = "{attribute}" }}\n')
    with pytest.raises(CardError, match="public attribute"):
        textualizer("Pendulum-v1", card=file)


def test_minigrids_environments_are_known_without_importing_it() -> None:
    code = (
        "import gymnasium, sys; from rmgym.environments.make import make_env, register; "
        "assert 'MiniGrid-Unlock-v0' not in gymnasium.registry and 'minigrid' not in sys.modules; "
        "assert register('CartPole-v1') and 'minigrid' not in sys.modules; "
        "assert register('BabyAI-GoTo-v0') and not register('MiniGrid-Nowhere-v0'); "
        "print(make_env('MiniGrid-Unlock-v0').spec.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("MiniGrid-Unlock-v0", "")
