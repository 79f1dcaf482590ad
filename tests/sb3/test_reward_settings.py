"""What an agent's reward is made of: said once, kept, or refused before anything is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor, VecNormalize

from rmgym.composition import Composition
from rmgym.errors import RmgymError, RunError
from rmgym.sb3 import LearnedRewardVecEnv, make_agent, score_rollouts
from rmgym.sb3.spec import spec_of
from tests.doubles import COUNTER, ToyReward
from tests.sb3.small import DQN_SMALL, PPO_SMALL, counters, parameters, ppo

HALVED = Composition(learned_weight=0.5)
CARD = f'''
id = "{COUNTER}"
[task]
en = "Count."
[left_out]
observation = ["0..1"]
[[action]]
key = "go"
name.en = "go"
[action.labels]
0.en = "left"
1.en = "stay"
2.en = "right"
'''


class OwnBuffer(RolloutBuffer):
    """Somebody's own."""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "counter.toml"
    file.write_text(CARD)
    return file


class TestSaidTwice:
    @pytest.fixture
    def agent(self, card: Path) -> Any:
        agent = ppo()
        score_rollouts(agent, ToyReward(), composition=HALVED, card=card, language="en", student={"tolerance": 0.0})
        return agent

    @pytest.mark.parametrize(
        ("other", "said"),
        [
            ({"composition": {"learned_weight": 0.25}}, "composition"),
            ({"composition": {}}, "composition"),
            ({"language": "zh"}, "language"),
            ({"student": {"tolerance": 0.5}}, "student"),
        ],
    )
    def test_other_settings_are_refused(self, agent: Any, other: dict[str, Any], said: str) -> None:
        with pytest.raises(RunError, match=f"keeps the {said}"):
            score_rollouts(agent, ToyReward(), **other)

    def test_another_card_is_refused(self, agent: Any, tmp_path: Path) -> None:
        (tmp_path / "other.toml").write_text(CARD.replace("stay", "wait"))
        with pytest.raises(RunError, match="keeps the card"):
            score_rollouts(agent, ToyReward(), card=tmp_path / "other.toml")

    @pytest.mark.parametrize("all_of_them", [True, False])
    def test_the_same_settings_or_none_are_taken(self, agent: Any, card: Path, all_of_them: bool) -> None:
        before = spec_of(agent)
        same: dict[str, Any] = {"composition": HALVED, "card": card, "student": {"tolerance": 0.0}, "language": "en"}
        score_rollouts(agent, ToyReward(), **(same if all_of_them else {}))
        assert spec_of(agent) == before
        agent.learn(96)
        buffer = agent.rollout_buffer
        ends = agent.get_env().num_envs  # a time limit's bootstrap is in the reward too
        assert np.isclose(buffer.rewards, 0.5 * buffer.learned_rewards).sum() >= buffer.rewards.size // 2 > ends

    def test_a_loaded_agent_goes_on_with_them_in_a_new_environment(self, agent: Any, tmp_path: Path) -> None:
        agent.learn(96).save(tmp_path / "agent.zip")
        loaded: Any = PPO.load(tmp_path / "agent.zip", env=counters(), device="cpu")
        score_rollouts(loaded, ToyReward())
        learned = loaded.get_env()
        assert isinstance(learned, LearnedRewardVecEnv)
        assert (learned.composition, learned.textualizer.card_hash, learned.student.options.tolerance) == (  # type: ignore[union-attr]
            HALVED,
            agent.get_env().textualizer.card_hash,
            0.0,
        )
        fresh = PPO.load(tmp_path / "agent.zip", env=counters(), device="cpu")
        with pytest.raises(RunError, match="keeps the composition"):
            score_rollouts(fresh, ToyReward(), composition={"learned_weight": 0.25})


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "call"),
        [
            (lambda: ppo(VecNormalize(counters())), {}),
            (lambda: ppo(VecNormalize(VecCheckNan(VecMonitor(counters())), norm_reward=False)), {}),
            (lambda: ppo(rollout_buffer_class=OwnBuffer), {}),
            (lambda: ppo(VecNormalize(counters(), norm_reward=False)), {"student": {"tolerence": 0.1}}),
            (lambda: ppo(VecNormalize(counters(), norm_reward=False)), {"composition": {"clip": (1, 0)}}),
            (lambda: ppo(VecNormalize(counters(), norm_reward=False)), {"card": "no/such/card.toml"}),
            (lambda: ppo(VecNormalize(counters(), norm_reward=False)), {"model": ToyReward(card_hash="another")}),
            (lambda: ppo(VecNormalize(counters(), norm_reward=False)), {"model": "true", "student": True}),
            (lambda: DQN("MlpPolicy", counters(), device="cpu", **DQN_SMALL), {}),  # has experience, see below
        ],
    )
    def test_an_agent_is_as_it_was(self, make: Any, call: dict[str, Any]) -> None:
        agent = make().learn(48)
        chain, layer = list[Any](), agent.env
        while layer is not None:
            chain.append(layer)
            layer = getattr(layer, "venv", None)
        before = dict(vars(agent))
        with pytest.raises(RmgymError):
            score_rollouts(agent, **{"model": ToyReward(), **call})
        assert all(vars(agent)[name] is value for name, value in before.items())
        assert before.keys() == vars(agent).keys()
        assert [layer.venv for layer in chain[:-1]] == chain[1:]
        agent.learn(48)  # on the true reward, as before

    def test_settings_that_contradict_leave_the_model_attached(self) -> None:
        agent = make_agent("ppo", COUNTER, reward_model=ToyReward(), n_envs=2, **PPO_SMALL)
        before, buffer = agent.env, agent.rollout_buffer  # type: ignore[attr-defined]
        with pytest.raises(RunError, match="keeps the composition"):
            score_rollouts(agent, ToyReward(), composition=HALVED)
        assert agent.env is before
        assert agent.rollout_buffer is buffer  # type: ignore[attr-defined]
        agent.learn(96)
        other = make_agent("ppo", COUNTER, reward_model=ToyReward(), n_envs=2, **PPO_SMALL).learn(96)
        assert np.array_equal(parameters(agent), parameters(other))
