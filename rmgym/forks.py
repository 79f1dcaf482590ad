"""What forked children need: they compute with one thread of torch, or would wait for ever."""

from __future__ import annotations

import os
import sys
from functools import cache


@cache
def survive_forks() -> None:
    """From now on, let forked children of this process compute with one thread.

    A fork copies one thread alone. Where torch has used several before (OpenMP's), the child's first computation that
    wants them waits for ever, as in a worker of ``SubprocVecEnv(start_method="fork")`` that scores, with a model of its
    parent's or one that it loads itself. torch is not loaded for that.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
