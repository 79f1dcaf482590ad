"""A checkpoint says how far a run was, or is refused by its file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmgym.errors import RunError
from rmgym.sb3 import make_agent
from rmgym.sb3.checkpoints import Progress, load_checkpoint, save_checkpoint
from tests.hostile import DEEP_JSON, damaged, harmless
from tests.sb3.small import PPO_SMALL


def test_how_far_a_run_was_comes_back_and_what_is_damaged_is_refused(tmp_path: Path) -> None:
    agent = make_agent("ppo", "CartPole-v1", reward_model="constant", seed=0, **PPO_SMALL)
    far = Progress(steps=0, wall_seconds=1.5, survival_bonus="it pays for steps")
    folder = save_checkpoint(agent, tmp_path, far)
    assert load_checkpoint(folder, "constant")[1] == far
    for text in ("{}", "5", "\0", DEEP_JSON, json.dumps({**far.to_json(), "wall_seconds": "x"})):
        (folder / "state.json").write_text(text)
        with pytest.raises(RunError, match=r"a checkpoint is whole(?s:.)*state\.json"):
            load_checkpoint(folder, "constant")
    for what, content in damaged(far.to_json(), (None, "x", [], 10**400)):
        (folder / "state.json").write_text(json.dumps(content))
        with harmless(what):
            load_checkpoint(folder, "constant")
