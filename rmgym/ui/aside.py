"""Drawing in a process of its own: it takes no time from who answers the page, and may crash alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

from rmgym.errors import RunError

Message = tuple[str, bytes]
_NICE = 10


def aside(work: Callable[[], Iterator[Message]]) -> Iterator[Message]:
    """What some work gives, done in another process, which ends when this one does.

    Args:
        work: can be pickled, such as a ``functools.partial`` of a module's function.

    Raises:
        RunError: the work fails, or its process dies.
    """
    context = get_context("spawn")  # a fork would copy threads' locks
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    process.start()
    sender.close()  # so that the end of the process is the end of the pipe
    with receiver:
        while True:
            try:
                message: Message | str | None = receiver.recv()
            except EOFError:
                process.join()
                got = f"its process ended with {process.exitcode}"
                raise RunError("pictures are drawn to the last one", got=got, fix="see what it printed") from None
            if message is None:
                return
            if isinstance(message, str):
                raise RunError("pictures are drawn to the last one", got=message, fix="label by the words alone")
            yield message


def _send(work: Callable[[], Iterator[Message]], sender: Connection) -> None:
    """Do the work; nobody listens any more once the page is gone, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page
    os.nice(_NICE)
    try:
        for message in work():
            sender.send(message)
        sender.send(None)
    except BrokenPipeError:
        pass
    except Exception as error:  # whatever an environment of somebody's own does when it draws
        sender.send(f"{type(error).__name__}: {error}")
