"""Links are of one secret and a name; nobody else's token lets anybody in."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rmgym.errors import FeedbackError, StorageError
from rmgym.ui.access import Access, secret_beside


def test_a_token_is_one_annotators() -> None:
    access = Access(b"a" * 32, ["ann", "bob"])
    assert access.annotator(access.token("ann")) == "ann"
    assert access.annotator(access.token("bob")) == "bob"
    for wrong in (None, "", "ann", access.token("eve"), access.token("ann")[:-1], "ä\ud800"):
        assert access.annotator(wrong) is None


def test_posts_bring_a_token_of_their_own_page() -> None:
    access = Access(b"a" * 32, ["ann", "bob"])
    assert access.is_post_of("session", access.post_token("session"))
    for wrong in (None, "", access.post_token("another"), access.token("ann"), "session"):
        assert not access.is_post_of("session", wrong)


def test_another_secret_makes_other_tokens_and_another_cookie() -> None:
    first, second = Access(b"a" * 32, ["ann"]), Access(b"b" * 32, ["ann"])
    assert second.annotator(first.token("ann")) is None
    assert first.cookie != second.cookie


@pytest.mark.parametrize("names", [[], ["ann", "ann"], [""], [" "], ["a\x1b[31m"], ["x" * 61]])
def test_names_that_cannot_be_shown_are_refused(names: list[str]) -> None:
    with pytest.raises(FeedbackError):
        Access(b"a" * 32, names)


def test_the_secret_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    database = tmp_path / "new" / "labels.sqlite"
    secret = secret_beside(database)
    assert len(secret) == 32
    assert secret_beside(database) == secret
    (file,) = database.parent.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_beside(tmp_path / "other.sqlite") != secret


@pytest.mark.parametrize("content", ["", "abcd", "not hex at all"])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.sqlite.secret").write_text(content)
    with pytest.raises(StorageError, match="secret"):
        secret_beside(tmp_path / "labels.sqlite")
