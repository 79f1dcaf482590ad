"""A checkpoint says how far a run was, or is refused by its file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmgym.errors import RunError
from rmgym.sb3 import make_agent
from rmgym.sb3.checkpoints import Progress, latest_checkpoint, load_checkpoint, restore_checkpoint, save_checkpoint
from rmgym.sb3.saving import read_saved, save_agent
from rmgym.storage.checksum import signed_json
from rmgym.storage.sums import write_sums
from tests.hostile import DEEP_JSON, IN_THE_WAY, damaged, harmless, put_in_the_way
from tests.sb3.small import PPO_SMALL


def test_how_far_a_run_was_comes_back_and_what_is_damaged_is_refused(tmp_path: Path) -> None:
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0, **PPO_SMALL)
    far = Progress(steps=0, wall_seconds=1.5, survival_bonus="it pays for steps")
    folder = save_checkpoint(agent, tmp_path, far)
    assert load_checkpoint(folder, "constant")[1] == far
    other = signed_json({**far.to_json(), "wall_seconds": "x"}).decode()
    for text in ("{}", "5", "\0", DEEP_JSON, other, json.dumps(far.to_json())):
        (folder / "state.json").write_text(text)
        write_sums(folder)
        with pytest.raises(RunError, match=r"a checkpoint is whole(?s:.)*state\.json"):
            load_checkpoint(folder, "constant")
    for what, content in damaged(far.to_json(), (None, "x", [], 10**400)):
        (folder / "state.json").write_bytes(signed_json(content))
        write_sums(folder)
        with harmless(what):
            load_checkpoint(folder, "constant")


def test_a_checkpoint_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0, **PPO_SMALL)
    far = Progress(steps=0, wall_seconds=1.5, survival_bonus=None)
    folder = save_checkpoint(agent, tmp_path, far)
    aside = folder.rename(tmp_path / f".{folder.name}.old")  # as where the process is killed now
    assert latest_checkpoint(tmp_path) is None
    restore_checkpoint(tmp_path)
    assert latest_checkpoint(tmp_path) == folder
    assert load_checkpoint(folder, "constant")[1] == far
    aside.mkdir()
    save_checkpoint(agent, tmp_path, far)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_file_is_no_saved_agent(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "agent.zip", kind)
    with pytest.raises(RunError, match="a saved agent is a zip"):
        read_saved(tmp_path / "agent.zip")


def test_a_flipped_bit_of_a_saved_agent_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0, **PPO_SMALL)
    file, refused = save_agent(agent, tmp_path / "agent.zip"), 0
    content, spec = file.read_bytes(), read_saved(file).spec
    for place in range(0, len(content), len(content) // 150):
        file.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        with harmless(str(place)):
            refused += 1
            assert read_saved(file).spec == spec
            refused -= 1
    assert refused > 100


def test_a_flipped_bit_of_any_file_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    small = {"learning_starts": 8, "buffer_size": 64, "policy_kwargs": {"net_arch": [4]}}
    agent = make_agent("dqn", "CartPole-v1", reward_model="constant", seed=0, **small)
    folder = save_checkpoint(agent, tmp_path, Progress(steps=0, wall_seconds=1.5, survival_bonus=None))
    load_checkpoint(folder, "constant")
    for name in ("agent.zip", "replay_buffer.pkl", "state.json"):
        content = (folder / name).read_bytes()
        for place in range(0, len(content), len(content) // 7):
            (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            with pytest.raises(RunError, match=rf"a checkpoint is whole(?s:.)*{name}"):
                load_checkpoint(folder, "constant")
        (folder / name).write_bytes(content)
    load_checkpoint(folder, "constant")
