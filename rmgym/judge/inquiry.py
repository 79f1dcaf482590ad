"""Questions to a language model: asked once, kept on disk, counted, and refused where the budget is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rmgym.judge.answer_file import AnswerFile, key_of
from rmgym.judge.clients import Client, Reply
from rmgym.judge.spending import Spending
from rmgym.progress import progress_bar

Floats = npt.NDArray[np.float64]


class Inquiry:
    """Asks a client what is not known yet.

    Args:
        client: who answers.
        file: where answers are kept.
        spending: counts them.
        progress: show a bar on a terminal.
    """

    def __init__(self, client: Client, file: AnswerFile, spending: Spending, *, progress: bool = True) -> None:
        self.client, self.file, self.spending = client, file, spending
        self._progress = progress
        self._counted = set[bytes]()

    def answers(self, prompts: Sequence[str], words: tuple[str, ...]) -> Floats:
        """Log probabilities of words after prompts, ``float64 [N, W]``; NaN where the answer was none of them.

        Raises:
            JudgeError: the client cannot answer, or the budget is spent; whatever was answered is kept.
        """
        keys = [key_of(self.client.identity, prompt, list(words)) for prompt in prompts]
        kept = self.file.get(list(dict.fromkeys(keys)), Reply)
        replies = {key: reply for key, reply in kept.items() if len(reply.logs) in (0, len(words))}
        for key, reply in replies.items():
            self._count(key, reply, new=False)
        missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in replies}
        if not missing:
            return self._logs(keys, replies, words)
        shown = self._progress and len(missing) > self.client.at_once
        with progress_bar(shown=shown) as bar, self.file.writing() as keep:
            task = bar.add_task("asking the judge", total=len(missing))
            for start in range(0, len(missing), self.client.at_once):
                self.spending.check()
                some = [*missing][start : start + self.client.at_once]
                for place, reply in self.client.ask([missing[key] for key in some], words):
                    keep(some[place], reply)
                    self._count(some[place], reply, new=True)
                    replies[some[place]] = reply
                    bar.advance(task)
        return self._logs(keys, replies, words)

    @staticmethod
    def _logs(keys: Sequence[bytes], replies: Mapping[bytes, Reply], words: tuple[str, ...]) -> Floats:
        nothing = (np.nan,) * len(words)
        return np.array([replies[key].logs or nothing for key in keys], np.float64).reshape(-1, len(words))

    def _count(self, key: bytes, reply: Reply, *, new: bool) -> None:
        if key not in self._counted:
            self._counted.add(key)
            self.spending.add(reply, new=new)
