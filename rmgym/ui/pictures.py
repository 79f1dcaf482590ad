"""Pictures of clips: the collected steps are taken again, from their seed, in an environment that draws.

Steps hold no pictures, and observations alone do not say what an environment looks like. But the same seed and the same
actions give the same steps; that they do is checked at each one. Where they do not, there are no more pictures: a wrong
one would be worse than none, and the words are always there.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from rmgym.environments.build import build_env
from rmgym.environments.collect import collected_in
from rmgym.environments.kinds import Env
from rmgym.environments.replay import can_replay, replay
from rmgym.errors import RmgymError, RunError
from rmgym.feedback.questions import Question, segment_digest
from rmgym.text.batch import TextBatch
from rmgym.transitions import Transitions

_WIDEST = 280
"""Pixels of a frame's longer side."""
_QUALITY = 80
Frame = npt.NDArray[np.uint8]
Place = tuple[int, int]
"""First row and length of a clip."""


class Pictures:
    """Sheets by the digest of their clips, as they get ready; taken by one thread, read by others.

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

    def take(self, drawn: Iterable[tuple[str, bytes]]) -> None:
        """Take sheets as they come, until there are no more; where drawing fails, words are enough."""
        try:
            for digest, sheet in drawn:
                self._sheets[digest] = sheet
        except Exception as error:  # an environment of somebody's own may do anything when it draws
            self.trouble = f"{error.rule}: {error.got}" if isinstance(error, RmgymError) else repr(error)
        self.are_coming = False


def draw(steps: Transitions, texts: TextBatch, questions: Sequence[Question]) -> Iterator[tuple[str, bytes]]:
    """Draw all clips of some questions, in the order in which the steps were taken.

    Args:
        steps: as they were collected.
        texts: one text per step, by which clips are looked up.
        questions: that the clips are of.

    Yields:
        Digests of clips, and their sheets.

    Raises:
        RunError: the environment does not draw, or its steps cannot be taken again.
    """
    digests = _places(questions, texts)
    with closing(_drawing(steps)) as env:
        for place, frames in _clips(env, steps, sorted(digests, key=sum)):
            yield digests[place], _sheet(frames)


def _drawing(steps: Transitions) -> Env:
    """The environment of some steps, made so that it draws.

    Raises:
        RunError: it does not draw, or its steps cannot be taken again.
    """
    spec = collected_in(steps)
    if spec is None:
        raise _undrawable("steps of an origin that nobody knows")
    with closing(build_env(spec)) as plain:
        if "rgb_array" not in plain.metadata.get("render_modes", ()):
            raise _undrawable(f"{spec.id}, which draws no pictures")
        if not can_replay(plain, steps):
            raise _undrawable("steps without their seed, or below wrappers of the action")
    return build_env(replace(spec, kwargs={**spec.kwargs, "render_mode": "rgb_array"}))


def _undrawable(got: str) -> RunError:
    fix = "label by the words alone"
    return RunError("pictures are of steps that can be taken again where they are drawn", got=got, fix=fix)


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
