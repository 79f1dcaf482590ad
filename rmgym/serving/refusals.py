"""Answers other than 200: the error's rule, value and fix as JSON."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from rmgym.errors import RmgymError


class Refusal(Exception):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        error: why.
        headers: of the answer, with ``_`` for ``-``.
    """

    def __init__(self, status: int, error: RmgymError, **headers: str) -> None:
        super().__init__(str(error))
        self.status, self.error, self.headers = status, error, headers

    def response(self) -> Response:
        """The answer."""
        got = self.error.got if isinstance(self.error.got, str) else repr(self.error.got)
        refusal = {"type": type(self.error).__name__, "rule": self.error.rule, "received": got, "fix": self.error.fix}
        headers = {key.replace("_", "-"): value for key, value in self.headers.items()}
        return JSONResponse({"error": refusal}, self.status, headers)


async def refuse(request: Request, refusal: Exception) -> Response:
    """The handler of a :class:`Refusal` in an application."""
    del request
    assert isinstance(refusal, Refusal)
    return refusal.response()
