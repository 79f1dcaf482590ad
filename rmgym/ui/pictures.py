"""Pictures of clips: the collected steps are taken again, from their seed, in an environment that draws.

Steps hold no pictures, and observations alone do not say what an environment looks like. But the same seed and the same
actions give the same steps; that they do is checked at each one. Where they do not, there are no more pictures: a wrong
one would be worse than none, and the words are always there.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from rmgym.environments.build import build_env
from rmgym.environments.collect import collected_in
from rmgym.environments.kinds import Env
from rmgym.environments.replay import can_replay, replay
from rmgym.feedback.questions import Question, segment_digest
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

_WIDEST = 280
"""Pixels of a frame's longer side."""
_QUALITY = 80
_POLITE = 0.002
"""Seconds after each picture in which others get their answers."""
Frame = npt.NDArray[np.uint8]
Place = tuple[int, int]
"""First row and length of a clip."""


class Pictures:
    """Sheets by the digest of their clips, as they get ready; drawn by one thread, read by others.

    A sheet is a WebP file with the frames of a clip in ``ceil(sqrt(n))`` columns: that before each of its steps, and
    that after the last one.

    Args:
        are_coming: whether somebody will draw any.

    Attributes:
        are_coming: whether there may be more.
        trouble: why there will be no more, where that is not because they are all there.
    """

    def __init__(self, *, are_coming: bool = True) -> None:
        self.are_coming, self.trouble = are_coming, ""
        self._sheets = dict[str, bytes]()

    def sheet(self, digest: str) -> bytes | None:
        """The sheet of a clip, if it is ready."""
        return self._sheets.get(digest)

    def draw(self, steps: Transitions, texts: TextBatch, questions: Sequence[Question]) -> None:
        """Draw all clips of some questions, in the order in which the steps were taken.

        Args:
            steps: as they were collected.
            texts: one text per step, by which clips are looked up.
            questions: that the clips are of.
        """
        try:
            digests = _places(questions, texts)
            with closing(_drawing(steps)) as env:
                for place, frames in _clips(env, steps, sorted(digests, key=sum)):
                    self._sheets[digests[place]] = _sheet(frames)
        except Exception as error:  # an environment of somebody's own may do anything when it draws: words are enough
            self.trouble = f"{type(error).__name__}: {error}"
        self.are_coming = False


def _drawing(steps: Transitions) -> Env:
    """The environment of some steps, made so that it draws.

    Raises:
        ValueError: it does not draw, or its steps cannot be taken again.
    """
    spec = collected_in(steps)
    if spec is None:
        raise ValueError("nobody knows where the steps were collected")
    with closing(build_env(spec)) as plain:
        if "rgb_array" not in plain.metadata.get("render_modes", ()):
            raise ValueError(f"{spec.id} draws no pictures")
        if not can_replay(plain, steps):
            raise ValueError("the steps do not hold what it takes to take them again")
    return build_env(replace(spec, kwargs={**spec.kwargs, "render_mode": "rgb_array"}))


def _places(questions: Sequence[Question], texts: TextBatch) -> dict[Place, str]:
    """Where the clips of questions are among the steps, and their digests; a clip is where its texts come first."""
    strings, rows = texts.strings(), dict[str, list[int]]()
    for row, string in enumerate(strings):
        rows.setdefault(string, []).append(row)
    places = dict[Place, str]()
    for clip in (side for question in questions for side in (question.left, question.right) if side is not None):
        shown = clip.strings()
        starts = (row for row in rows.get(shown[0], ()) if strings[row : row + len(shown)] == shown)
        if (start := next(starts, None)) is not None:
            places[start, len(shown)] = segment_digest(clip)
    return places


def _clips(env: Env, steps: Transitions, places: Sequence[Place]) -> Iterator[tuple[Place, list[Frame]]]:
    """Clips with their frames, once their last step was taken; ``places`` are in the order of their ends."""
    shown = {(start + i, False) for start, length in places for i in range(length)}
    shown |= {(start + length - 1, True) for start, length in places}
    frames, waiting = dict[tuple[int, bool], Frame](), list(places)
    for moment in replay(env, steps):
        if moment in shown:
            frames[moment] = _frame(env)
            time.sleep(_POLITE)
        while waiting and moment == (sum(waiting[0]) - 1, True):
            start, length = place = waiting.pop(0)
            yield place, [*(frames[start + i, False] for i in range(length)), frames[moment]]
            oldest = min((first for first, _ in waiting), default=0)
            frames = {key: frame for key, frame in frames.items() if key[0] >= oldest}
        if not waiting:
            return


def _frame(env: Env) -> Frame:
    """What an environment draws, no larger than it is shown."""
    picture = Image.fromarray(np.asarray(env.render(), np.uint8)).convert("RGB")
    picture.thumbnail((_WIDEST, _WIDEST), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)


def _sheet(frames: Sequence[Frame]) -> bytes:
    """Frames in a grid that is about square, as a file."""
    columns = math.ceil(math.sqrt(len(frames)))
    height, width = frames[0].shape[:2]
    grid = np.zeros((math.ceil(len(frames) / columns) * height, columns * width, 3), np.uint8)
    for i, frame in enumerate(frames):
        top, left = i // columns * height, i % columns * width
        grid[top : top + height, left : left + width] = frame
    file = io.BytesIO()
    Image.fromarray(grid).save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()
