"""Every error rmgym raises on purpose.

Each one says three things: the rule that was broken, what was received, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RmgymError(Exception):
    """Base of all rmgym errors.

    Args:
        rule: the rule that was broken, as a sentence.
        got: the value received (shown with ``repr``, shortened).
        fix: what the user can do, as an imperative sentence.
    """

    def __init__(self, rule: str, *, got: object = None, fix: str = "") -> None:
        self.rule, self.got, self.fix = rule, got, fix
        lines = [rule]
        if got is not None:
            shown = got if isinstance(got, str) else repr(got)
            lines.append(f"  received: {shown[:300]}")
        if fix:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(lines))


class CardError(RmgymError, ValueError):
    """A card is missing, malformed, or does not fit the environment it is used for."""


class TextError(RmgymError, ValueError):
    """A transition cannot be put into words, for example because it holds NaN."""


class ModelError(RmgymError, ValueError):
    """A reward model cannot be created, loaded, saved, or used on this text."""


class FeedbackError(RmgymError, ValueError):
    """Labels are missing, contradictory, or cannot teach anything."""


class JudgeError(RmgymError, ValueError):
    """A language model cannot be asked, or its answers are no better than chance."""


class AnsweredError(FeedbackError):
    """A question has an answer already, which stays as it is."""


class FitError(RmgymError, ValueError):
    """A reward model cannot be fitted as asked."""


class RunError(RmgymError, ValueError):
    """An environment, agent or run cannot be built, resumed or evaluated as asked."""


class StorageError(RmgymError, OSError, ValueError):
    """A file or folder cannot be written; what was there before is intact."""


class BusyError(StorageError):
    """Another process works on the same folder."""


class JobError(RmgymError, ValueError):
    """A folder holds other work than what is asked for, or no record that can be read."""


class PlaceholderRewardError(RunError, RuntimeError):
    """Rewards that are not there yet were about to be learnt from or reported."""


class ServeError(RmgymError, ValueError):
    """A reward server cannot be started as asked, or refuses a request."""


class ConstantUncertaintyWarning(UserWarning):
    """An uncertainty penalty takes the same from every reward, because the model is equally unsure of all steps."""


class UnseenStepsWarning(UserWarning):
    """A reward model scores a kind of step that none of its labels was about."""


class TrueRewardWarning(UserWarning):
    """What somebody sums up are true rewards, since learned ones are not there yet."""


class PerformanceHint(UserWarning):
    """Something works as it stands, and a faster way exists; silence it by category."""


class OversubscriptionWarning(UserWarning):
    """More threads want to run than there are cores, which makes small networks several times slower."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest valid word, or the list of valid words."""
    valid = sorted(valid)
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(valid)}" if valid else "there are none"
