"""Work in a process of its own: it takes no time from who answers the page, may crash alone, and ends with the page."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Thread

from rmgym.errors import RunError

Message = tuple[str, bytes]
_NICE = 10
_DRAWN = "pictures are drawn to the last one"


def aside(work: Callable[[], Iterator[Message]], rule: str = _DRAWN) -> Iterator[Message]:
    """What some work gives, done in another process, which ends when this one does, however that ends.

    Args:
        work: can be pickled, such as a ``functools.partial`` of a module's function.
        rule: what an error says that the work does.

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
                raise RunError(rule, got=got, fix="see what it printed") from None
            if message is None:
                return
            if isinstance(message, str):
                raise RunError(rule, got=message, fix="label by the words alone")
            yield message


def _end_with_parent() -> None:
    """Wait for the end of the page's process, also by a kill, and end at once."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _send(work: Callable[[], Iterator[Message]], sender: Connection) -> None:
    """Do the work; nobody listens any more once the page is gone, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the page
    os.nice(_NICE)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        for message in work():
            sender.send(message)
        sender.send(None)
    except BrokenPipeError:
        pass
    except Exception as error:  # whatever an environment of somebody's own does when it draws
        sender.send(f"{type(error).__name__}: {error}")
