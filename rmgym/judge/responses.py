"""What an OpenAI-compatible server sends, checked: nothing of it is trusted, and nothing is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from rmgym.judge.clients import Reply, normalised
from rmgym.storage.foreign import parse_json

_LEAST = 0.01
"""Share of the probability that has to be on the answer words; where it is less, the model was about to say more."""
_FLOOR = -20.0
"""Log probability of a word that is not among the likeliest tokens, where those say nothing of it."""
_SURE = 0.98
"""Probability of an answer that came without probabilities."""

_Count = Annotated[int, Field(ge=0, le=10**9)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Usage(_Shape):
    """Tokens of one request."""

    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0


class _Likely(_Shape):
    token: str
    logprob: FiniteFloat


class _Token(_Shape):
    top_logprobs: list[_Likely] = []


class _ChatLogs(_Shape):
    content: list[_Token] | None = None


class _Message(_Shape):
    content: str | None = None


class _ChatChoice(_Shape):
    message: _Message
    logprobs: _ChatLogs | None = None

    @property
    def text(self) -> str:
        return self.message.content or ""

    @property
    def likely(self) -> Sequence[tuple[str, float]]:
        """The likeliest first tokens with their log probabilities."""
        tokens = self.logprobs.content if self.logprobs is not None else None
        return [(each.token, float(each.logprob)) for each in tokens[0].top_logprobs] if tokens else []


class _TextLogs(_Shape):
    top_logprobs: list[dict[str, FiniteFloat]] | None = None


class _TextChoice(_Shape):
    text: str
    logprobs: _TextLogs | None = None

    @property
    def likely(self) -> Sequence[tuple[str, float]]:
        """As for chats."""
        tokens = self.logprobs.top_logprobs if self.logprobs is not None else None
        return [(token, float(log)) for token, log in tokens[0].items()] if tokens else []


class _Response(_Shape):
    """``/v1/chat/completions`` or ``/v1/completions``."""

    model: str
    choices: list[_ChatChoice] | list[_TextChoice] = Field(min_length=1)
    usage: Usage | None = None


class _Answer(_Shape):
    answer: str


class _Served(_Shape):
    id: str


class _Models(_Shape):
    data: list[_Served]


class Response:
    """One response.

    Args:
        body: as it was received.

    Attributes:
        model: who answered.
        usage: its tokens; None where the server does not count them.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, body: bytes) -> None:
        try:
            response = _Response.model_validate(parse_json(body))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise ValueError(f"no completion: {error.errors()[0]['msg']} at {where!r}") from error
        self.model, self.usage, self._choice = response.model, response.usage, response.choices[0]

    @property
    def text(self) -> str:
        """What was answered."""
        return self._choice.text

    @property
    def tells_probabilities(self) -> bool:
        """Whether those of the first token's alternatives are there."""
        return len(self._choice.likely) > 0

    def by_probability(self, words: Sequence[str]) -> tuple[float, ...] | None:
        """Log probability of each word, given that it is one of them; None where the server does not tell."""
        likely = self._choice.likely
        logs = [[log for token, log in likely if token.strip().lower() == word.lower()] for word in words]
        share = sum(math.exp(min(log, 0.0)) for own in logs for log in own)
        if share < _LEAST:
            return None
        floor = max(_FLOOR, min([0.0, *(log for _, log in likely)]))  # none that is not listed is likelier than these
        return normalised([_total(own) if own else floor for own in logs])

    def by_text(self, words: Sequence[str]) -> tuple[float, ...]:
        """The same of an answer without probabilities: JSON ``{"answer": word}``, or the word; empty where neither."""
        answer = self.text.strip()
        try:
            answer = _Answer.model_validate(parse_json(answer)).answer.strip()
        except ValueError:  # pydantic's is one too
            answer = answer.strip("\"'.() ")
        if answer.lower() not in (lowered := [word.lower() for word in words]):
            return ()
        rest = (1 - _SURE) / max(len(words) - 1, 1)
        return tuple(math.log(_SURE if word == answer.lower() else rest) for word in lowered)


def served_models(body: bytes) -> list[str]:
    """The models in an answer to ``/v1/models``.

    Raises:
        ValueError: it is none.
    """
    return [each.id for each in _Models.model_validate(parse_json(body)).data]


def reply(logs: tuple[float, ...], prompt: str, responses: Sequence[Response]) -> Reply:
    """A reply with what all requests for it cost; where a server does not count, a token is three characters."""
    read = sum(len(prompt) // 3 if r.usage is None else r.usage.prompt_tokens for r in responses)
    written = sum(len(r.text) // 3 + 1 if r.usage is None else r.usage.completion_tokens for r in responses)
    return Reply(logs=logs, read=read, written=written)


def _total(logs: Sequence[float]) -> float:
    """Log of the sum of probabilities."""
    return math.log(sum(math.exp(max(min(log, 0.0), -700.0)) for log in logs))


def answer_schema(words: Sequence[str]) -> Mapping[str, object]:
    """What constrains an answer to one of some words."""
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(words)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
