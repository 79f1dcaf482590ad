"""Pictures are those of the steps that are asked about, or there are none."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

from rmgym.feedback.questions import segment_digest
from rmgym.transitions import Transitions
from rmgym.ui.pictures import Pictures, draw
from tests.ui.labelling import asked, steps_of


def opened(sheet: bytes | None) -> Image.Image:
    assert sheet is not None
    return Image.open(io.BytesIO(sheet))


def test_every_clip_has_its_frames(tmp_path: Path) -> None:
    (steps, texts, _), questions = steps_of(), asked(tmp_path / "labels.sqlite").questions()
    pictures = Pictures()
    assert pictures.are_coming
    pictures.take(draw(steps, texts, questions))
    assert not pictures.are_coming
    assert pictures.trouble == ""
    sizes = {"rating": (2 * 280, 187), "preference": (3 * 280, 2 * 187)}  # two frames abreast; six in three columns
    for question in questions:
        for side in (question.left, question.right):
            if side is not None:
                sheet = opened(pictures.sheet(segment_digest(side)))
                assert (sheet.format, sheet.size) == ("WEBP", sizes[question.kind])


def test_a_frame_is_what_the_environment_draws_there(tmp_path: Path) -> None:
    (steps, texts, _), questions = steps_of(), asked(tmp_path / "labels.sqlite", preferences=0).questions()
    pictures = Pictures()
    pictures.take(draw(steps, texts, questions))
    strings = texts.strings()
    with gym.make("CartPole-v1", render_mode="rgb_array") as env:
        env.reset()
        for question in questions:
            row = strings.index(question.left.strings()[0])
            sheet = np.asarray(opened(pictures.sheet(segment_digest(question.left))).convert("RGB"), np.int16)
            for frame, state in ((sheet[:, :280], steps.obs[row]), (sheet[:, 280:], steps.next_obs[row])):
                env.unwrapped.state = tuple(map(float, state))  # type: ignore[attr-defined]
                drawn = Image.fromarray(np.asarray(env.render())).resize((280, 187), Image.Resampling.BILINEAR)
                assert np.abs(np.asarray(drawn, np.int16) - frame).mean() < 4


def test_where_steps_cannot_be_taken_again_there_are_words_alone(tmp_path: Path) -> None:
    (steps, texts, _), questions = steps_of(), asked(tmp_path / "labels.sqlite").questions()
    unknown = Transitions.from_arrays(steps.obs, steps.action, steps.next_obs, episode=steps.episode, step=steps.step)
    other = replace(steps, metadata={**steps.metadata, "seeds": {"0": 5}})
    for wrong, why in ((unknown, "nobody knows"), (other, "another observation at row 0")):
        pictures = Pictures()
        pictures.take(draw(wrong, texts, questions))
        assert why in pictures.trouble
        assert not pictures.are_coming
        assert pictures.sheet(segment_digest(questions[0].left)) is None


def test_questions_about_other_steps_are_left_out(tmp_path: Path) -> None:
    (steps, texts, _), questions = steps_of(), asked(tmp_path / "labels.sqlite").questions()
    pictures = Pictures()
    pictures.take(draw(steps[:1], texts[0:1], questions))
    assert pictures.trouble == ""
    assert not any(pictures.sheet(segment_digest(question.left)) for question in questions[1:])
