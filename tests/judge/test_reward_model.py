"""The reward model ``judge``: a pure function of the text, whoever answers."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import rmgym
from rmgym.errors import JudgeError, ModelError
from rmgym.judge.reward_model import JudgeRewardModel
from rmgym.judge.skill import Reliability
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.base import check_fitted
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import MANIFEST, digest_of
from rmgym.storage.checksum import signed
from tests.hostile import damaged, harmless
from tests.judge.fakes import FakeServer, by_height, serving, step
from tests.models.tiny import save_causal

SKILL = Reliability(kind="rating", by="truth", pairs=40, unanswered=0, right=35.0, slope=0.5, centre=4.0, scale=2.0)


def judge(place: str, **options: object) -> JudgeRewardModel:
    model = create_reward_model("judge", judge=place, **options)
    assert isinstance(model, JudgeRewardModel)
    return model.measured(SKILL)


def write(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write a manifest, with the checksum that fits, as who does harm can."""
    content = signed({key: value for key, value in manifest.items() if key != "checksum"})
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")


class TestLocalJudge(RewardModelContract):
    folder: ClassVar[str] = ""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def weights(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.folder = str(save_causal(tmp_path_factory.mktemp("judge")))

    def make_model(self) -> JudgeRewardModel:
        return judge(self.folder)

    def make_other(self) -> JudgeRewardModel:
        return judge(self.folder, levels=5)


class TestRemoteJudge(RewardModelContract):
    fake: ClassVar[FakeServer]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls) -> Iterator[None]:
        with serving(by_height(1.0)) as cls.fake:
            yield

    def make_model(self) -> JudgeRewardModel:
        return judge(self.fake.url)

    def make_other(self) -> JudgeRewardModel:
        return judge(self.fake.url, content_free=False)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with serving(by_height(1.0)) as server:
        yield server


def test_rewards_are_ratings_in_units_of_the_measure(fake: FakeServer) -> None:
    texts = [step(height) for height in (0.1, 0.5, 1.0)]
    raw, spread = create_reward_model("judge", judge=fake.url).judge.rate([[text] for text in texts])  # type: ignore[attr-defined]
    prediction = judge(fake.url).predict(texts)
    np.testing.assert_allclose(prediction.mean, (raw - 4.0) / 2.0, rtol=1e-5)
    np.testing.assert_allclose(prediction.std, spread / 2.0, rtol=1e-5)
    assert (np.diff(prediction.mean) > 0.5).all()


def test_it_is_measured_before_it_rewards(fake: FakeServer) -> None:
    with pytest.raises(ModelError, match="fitted before"):
        check_fitted(create_reward_model("judge", judge=fake.url))
    check_fitted(judge(fake.url))
    with pytest.raises(ModelError, match="rmgym judge ENV"):
        load_reward_model("judge")


def test_a_folder_does_not_choose_who_gets_the_texts(fake: FakeServer, tmp_path: Path) -> None:
    folder = judge(fake.url).save(tmp_path / "model")
    with pytest.raises(ModelError, match="does not choose by itself"):
        load_reward_model(folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["config"]["server"] = None  # as if it were on this machine
    manifest["digest"] = digest_of({"model": "judge", **manifest["config"]})
    write(folder, manifest)
    asked = len(fake.bodies)
    with pytest.raises(ModelError, match="names its server once"):
        load_reward_model(folder)
    assert len(fake.bodies) == asked


def test_other_weights_than_those_saved_are_refused(tmp_path: Path) -> None:
    weights = save_causal(tmp_path / "weights")
    folder = judge(str(weights)).save(tmp_path / "model")
    expected = load_reward_model(folder).predict([step(0.5)])
    save_causal(tmp_path / "others", seed=1)
    weights.rename(tmp_path / "before")
    (tmp_path / "others").rename(weights)
    from rmgym.judge import local_client

    local_client.load_judge.cache_clear()
    rmgym.models.registry._load.cache_clear()
    with pytest.raises(ModelError, match="same weights and prompts"):
        load_reward_model(folder).predict([step(0.5)])
    assert np.isfinite(expected.mean).all()


def test_damaged_folders_harm_nobody(fake: FakeServer, tmp_path: Path) -> None:
    folder = judge(fake.url).save(tmp_path / "model")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for what, config in damaged(manifest["config"], (None, -1, "", [], "\x1b[2J", float("nan"))):
        changed = {**manifest, "config": config, "digest": digest_of({"model": "judge", **config})}
        write(folder, changed)
        with harmless(what):
            load_reward_model(folder, allow_remote=True)


def test_no_rating_is_an_error(fake: FakeServer) -> None:
    fake.opinion = lambda prompt: {"perhaps": 1.0}
    with pytest.raises(ModelError, match="no rating of 1 of 1 steps"):
        judge(fake.url).predict([step(0.123456)])


def test_options_are_checked() -> None:
    with pytest.raises(ModelError, match=r"did you mean 'paraphrases'"):
        create_reward_model("judge", paraphrase=2)
    for wrong in ({"levels": 11}, {"paraphrases": 0}, {"served": "toy"}, {"max_tokens": -1}):
        with pytest.raises((JudgeError, ModelError)):
            create_reward_model("judge", **wrong)


def test_it_is_shared_and_crosses_processes_without_its_connection(fake: FakeServer) -> None:
    model = judge(fake.url)
    expected = model.predict([step(0.25)]).mean
    assert copy.deepcopy(model) is model
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict([step(0.25)]).mean, expected)


def test_a_segment_of_an_environment_is_rewarded_by_a_wrapper(fake: FakeServer, tmp_path: Path) -> None:
    import gymnasium as gym

    env = rmgym.LearnedRewardWrapper(gym.make("Pendulum-v1"), judge(fake.url))
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert reward == info["learned_reward"]
    assert np.isfinite(float(reward))
