"""An error says the rule, what was received, and the fix; and it survives the way between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from rmgym import errors
from rmgym.errors import PlaceholderRewardError, RmgymError, RunError, nearest

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, RmgymError)]


@pytest.mark.parametrize(
    ("got", "fix", "message"),
    [
        (None, "", "a rule"),
        ("text as it is", "", "a rule\n  received: text as it is"),
        ([1, 2], "", "a rule\n  received: [1, 2]"),
        (0, "", "a rule\n  received: 0"),
        (None, "do this", "a rule\n  fix: do this"),
        ("x" * 301, "do this", "a rule\n  received: " + "x" * 300 + "\n  fix: do this"),
    ],
)
def test_message(got: object, fix: str, message: str) -> None:
    error = RmgymError("a rule", got=got, fix=fix)
    assert str(error) == message
    assert (error.rule, error.got, error.fix) == ("a rule", got, fix)


@pytest.mark.parametrize("kind", ALL)
def test_errors_cross_process_boundaries(kind: type[RmgymError]) -> None:
    error = kind("a rule", got=3, fix="do this")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error) == "a rule\n  received: 3\n  fix: do this"
    assert (back.rule, back.got, back.fix) == ("a rule", 3, "do this")


@pytest.mark.parametrize("kind", [c for c in ALL if c is not RmgymError])
def test_errors_are_also_the_builtin_that_callers_expect(kind: type[RmgymError]) -> None:
    with pytest.raises(ValueError, match="a rule"):
        raise kind("a rule")


def test_a_placeholder_reward_is_a_runtime_error_of_a_run() -> None:
    assert issubclass(PlaceholderRewardError, RunError)
    assert issubclass(PlaceholderRewardError, RuntimeError)


@pytest.mark.parametrize(
    ("word", "valid", "said"),
    [
        ("minilmm", ["minilm", "seq2seq"], "did you mean 'minilm'?"),
        ("seq2sec", {"minilm": 1, "seq2seq": 2}, "did you mean 'seq2seq'?"),
        ("zzz", ["b", "a"], "use one of a, b"),
        ("zzz", [], "there are none"),
    ],
)
def test_nearest(word: str, valid: list[str], said: str) -> None:
    assert nearest(word, valid) == said
