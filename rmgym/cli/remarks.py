"""What Python itself writes to stderr, warnings and log lines, with control characters written out."""

from __future__ import annotations

import logging
import warnings

from rmgym.progress import visible

_formatted = warnings.formatwarning


def visible_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """In the place of :func:`warnings.formatwarning`."""
    return visible(_formatted(message, category, filename, lineno, line))


class VisibleFormatter(logging.Formatter):
    """Formats a log line as ever."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        return visible(super().format(record))
