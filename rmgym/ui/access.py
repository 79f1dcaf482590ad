"""Who may label: a login link for each annotator, and what every post of a page must bring along.

Both are made of one secret, so that nothing is kept for anybody: whoever has the secret's file can start the page again
and all links and open pages stay good. What is not covered: encryption, as for ``rmgym serve``.
"""

from __future__ import annotations

import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from rmgym.errors import FeedbackError, StorageError

_LONGEST = 60
"""Characters of an annotator's name."""
_BYTES = 32


class Access:
    """Tokens of some annotators.

    Args:
        secret: that the tokens are made of.
        annotators: who may label.

    Raises:
        FeedbackError: there is nobody, a name stands there twice, or one cannot be shown.
    """

    def __init__(self, secret: bytes, annotators: Sequence[str]) -> None:
        self._secret, self.annotators = secret, tuple(annotators)
        if not annotators or len({*annotators}) < len(annotators):
            raise FeedbackError("each annotator is named once", got=list(annotators), fix="--annotator NAME for each")
        for name in annotators:
            if not name.strip() or not name.isprintable() or len(name) > _LONGEST:
                raise FeedbackError(
                    f"an annotator's name is printable and has 1 to {_LONGEST} characters", got=name, fix="shorten it"
                )
        self.cookie = f"rmgym-{self._made_of('cookie')[:8]}"  # cookies know no ports: two pages must not share one

    def token(self, annotator: str) -> str:
        """What lets an annotator in."""
        return self._made_of(f"token {annotator}")

    def post_token(self, session: str) -> str:
        """What every post of a session's pages brings along, which pages of other sites cannot read."""
        return self._made_of(f"post {session}")

    def annotator(self, token: str | None) -> str | None:
        """Whose token it is; None where it is nobody's. The time it takes tells nothing about it."""
        given, owner = (token or "").encode(errors="replace"), None
        for name in self.annotators:
            if hmac.compare_digest(given, self.token(name).encode()):
                owner = name
        return owner

    def is_post_of(self, session: str, post_token: str | None) -> bool:
        """Whether a post comes from a session's own page."""
        return hmac.compare_digest((post_token or "").encode(errors="replace"), self.post_token(session).encode())

    def _made_of(self, purpose: str) -> str:
        return hmac.new(self._secret, purpose.encode(), sha256).hexdigest()[:40]


def secret_beside(database: Path) -> bytes:
    """The secret of a database's page, which lies beside it for its owner alone; made if missing.

    Raises:
        StorageError: it cannot be written or read, or is none.
    """
    file = database.with_name(database.name + ".secret")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            number, partial = tempfile.mkstemp(prefix=file.name, dir=file.parent)  # readable by its owner alone
            try:
                with os.fdopen(number, "w") as opened:
                    opened.write(secrets.token_hex(_BYTES))
                    opened.flush()
                    os.fsync(number)
                os.link(partial, file)
            except FileExistsError:
                pass  # another process was quicker: its secret counts
            finally:
                Path(partial).unlink(missing_ok=True)
        secret = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        fix = "see who may write there; removed, it is made anew, with other login links"
        raise StorageError("the page's secret lies beside the labels", got=f"{file}: {error}", fix=fix) from error
    if len(secret) < _BYTES:
        raise StorageError("the page's secret is long", got=f"{file} of {len(secret)} bytes", fix="remove the file")
    return secret
