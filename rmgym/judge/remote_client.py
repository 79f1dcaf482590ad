"""A language model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, a company's; over ``httpx2``."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import httpx2

from rmgym.errors import JudgeError
from rmgym.judge.clients import Api, Reply
from rmgym.judge.responses import Response, answer_schema, reply, served_models
from rmgym.models.remote.connection import TOKEN, TOKEN_HOST, check_token, is_loopback, token_of_environment
from rmgym.models.remote.patience import Patience
from rmgym.progress import visible

_BUSY = (408, 409, 425, 429)
_CONNECT, _LONGEST_PAUSE, _LONGEST_ASKED = 10.0, 20.0, 120.0  # seconds
_FORMS = ("probabilities", "schema", "json")
"""How an answer is asked for: by the probabilities of its first token, else as JSON that the server constrains, else as
JSON that the prompt asks for."""
_IN_JSON = '\nAnswer with JSON alone, such as {"answer": "%s"}, where the answer is one of: %s.'


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a judge is, and how it is spoken to.

    Attributes:
        url: of the server, with or without ``/v1``.
        served: the model's name there; None for the only one that it serves.
        api: ``chat``, or ``completions`` for a model without a chat template.
        timeout: seconds for one answer.
        wait: seconds to wait for a server that is away, busy or confused, from the first request that failed.
        trusted: whether the user named the URL, so that the token of the environment may go there.
    """

    url: str
    served: str | None = None
    api: Api = "chat"
    timeout: float = 60.0
    wait: float = 120.0
    trusted: bool = True

    def __post_init__(self) -> None:
        try:
            parsed = httpx2.URL(self.url)
        except httpx2.InvalidURL:
            parsed = httpx2.URL("")
        if parsed.userinfo:
            raise JudgeError("a server's URL holds no password", got="a URL with '@'", fix=f"set {TOKEN}")
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
            raise JudgeError("a judge has a URL of the form http://host:port/v1", got=self.url, fix="correct it")
        if not (self.timeout > 0 and self.wait >= 0):
            got = f"timeout={self.timeout}, wait={self.wait}"
            raise JudgeError("a judge has a timeout above 0 and waits 0 s or longer", got=got, fix="leave them out")

    @property
    def base(self) -> str:
        """The URL with ``/v1``."""
        plain = self.url.rstrip("/")
        return plain if plain.endswith("/v1") else f"{plain}/v1"


class RemoteClient:
    """Asks eight questions at a time. Answers of another model than the one that was asked are refused.

    Args:
        server: which.

    Raises:
        JudgeError: the server cannot be asked for its models, where none is named.
    """

    at_once = 8

    def __init__(self, server: Server) -> None:
        self._server = server
        host = httpx2.URL(server.url).host
        token = token_of_environment(server.url) if server.trusted else None
        self._http = httpx2.Client(
            headers={} if token is None else {"Authorization": f"Bearer {check_token(token)}"},
            timeout=httpx2.Timeout(server.timeout, connect=min(server.timeout, _CONNECT)),
            # As for reward servers: no proxy for loopback, nor one that would read a token in http.
            trust_env=not is_loopback(host) and (token is None or server.url.startswith("https:")),
        )
        weakref.finalize(self, self._http.close)
        self._form = 0
        self.model = server.served or self._only_model()

    @property
    def identity(self) -> str:
        """Server, model and interface."""
        return f"{self._server.base} {self.model} {self._server.api}"

    def ask(self, prompts: Sequence[str], words: tuple[str, ...]) -> Iterator[tuple[int, Reply]]:
        """See :class:`rmgym.judge.clients.Client`."""
        first: Exception | None = None
        with ThreadPoolExecutor(max_workers=self.at_once) as pool:
            places = {pool.submit(self._one, prompt, words): place for place, prompt in enumerate(prompts)}
            for future in as_completed(places):
                if (error := future.exception()) is None:
                    yield places[future], future.result()
                elif first is None and isinstance(error, Exception):
                    first = error
        if first is not None:  # after the others, which were paid for
            raise first

    def _one(self, prompt: str, words: tuple[str, ...]) -> Reply:
        """One reply, by the best form that the server has; several requests where it is not known yet."""
        responses = list[Response]()
        for form in range(self._form, len(_FORMS)):
            response = self._request(self._body(prompt, words, form), form)
            if response is None:  # the server does not have this form
                self._form = max(self._form, form + 1)
                continue
            responses.append(response)
            logs = response.by_probability(words) if form == 0 else response.by_text(words)
            if logs:
                return reply(logs, prompt, responses)
            if form == 0 and not response.tells_probabilities:
                self._form = max(self._form, 1)
        return reply((), prompt, responses)

    def _body(self, prompt: str, words: Sequence[str], form: int) -> Mapping[str, object]:
        """A request, as JSON."""
        asked = prompt + (_IN_JSON % (words[0], ", ".join(words)) if form == 2 else "")
        common = {"model": self.model, "temperature": 0, "max_tokens": 1 if form == 0 else 32}
        constrained = {"response_format": answer_schema(words)} if form == 1 else {}
        if self._server.api == "completions":
            logs = {"logprobs": 20} if form == 0 else {}
            return {**common, **logs, **constrained, "prompt": f"{asked}\nAnswer:"}
        logs = {"logprobs": True, "top_logprobs": 20} if form == 0 else {}
        return {**common, **logs, **constrained, "messages": [{"role": "user", "content": asked}]}

    def _request(self, body: Mapping[str, object], form: int) -> Response | None:
        """Post a request until it is answered; None where the server says that it does not have this form.

        Raises:
            JudgeError: there is no answer in time, it is refused, or another model answers.
        """
        path = "/chat/completions" if self._server.api == "chat" else "/completions"
        patience = self._patience()
        while True:
            received = self._attempt("POST", path, patience, json.dumps(body).encode())
            if received.status_code in (400, 404, 422) and form < len(_FORMS) - 1:
                return None
            self._refuse(received)
            try:
                response = Response(received.content)
            except ValueError as error:
                patience.pause(f"{visible(str(error))[:150]}: {visible(received.text[:60])}", error)
                continue
            if response.model != self.model and not response.model.startswith(f"{self.model}-"):
                raise JudgeError(
                    f"the judge that was asked answers, {self.model}",
                    got=f"an answer of {visible(response.model[:100])!r} at {self._server.url}",
                    fix="name that model (served=NAME) to be judged by it, or serve the other one again",
                )
            return response

    def _attempt(self, method: str, path: str, patience: Patience, content: bytes | None = None) -> httpx2.Response:
        """Whatever the server sends that is not a reason to try again."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        while True:
            try:
                received = self._http.request(method, self._server.base + path, content=content, headers=headers)
            except httpx2.RequestError as error:
                patience.pause(f"{type(error).__name__}: {visible(str(error))}", error)
                continue
            if received.status_code not in _BUSY and received.status_code < 500:
                return received
            busy = received.status_code == 429
            reason = f"HTTP {received.status_code}: {visible(received.text[:100])}"
            patience.pause(reason, busy=busy, at_least=_seconds(received.headers.get("retry-after")))

    def _refuse(self, received: httpx2.Response) -> None:
        """Refuse what is no success.

        Raises:
            JudgeError: it is none.
        """
        if received.is_success:
            return
        got = f"{self._server.base}: HTTP {received.status_code}: {visible(received.text[:100])}"
        fix = "check the URL and the model's name (served=NAME)"
        if received.status_code in (401, 403) and "Authorization" not in self._http.headers:
            fix = f"set {TOKEN} to the server's key, and {TOKEN_HOST} to its host where that is not this machine"
        raise JudgeError("a judge's server answers questions", got=got, fix=fix)

    def _only_model(self) -> str:
        """The one model that the server has.

        Raises:
            JudgeError: it has several, or does not tell.
        """
        received = self._attempt("GET", "/models", self._patience())
        self._refuse(received)
        try:
            names = served_models(received.content)
        except ValueError:
            names = []
        if len(names) != 1:
            shown = visible(", ".join(names)[:200]) or "a server that does not say which"
            raise JudgeError("a judge is one model of a server", got=shown, fix="name it: served=NAME")
        return names[0]

    def _patience(self) -> Patience:
        fix = "start it again and run this again, which asks nothing twice; or wait longer: wait=SECONDS"
        url, wait = self._server.url, self._server.wait
        return Patience(url, wait, who="the judge's server", fix=fix, error=JudgeError, longest=_LONGEST_PAUSE)


def _seconds(retry_after: str | None) -> float:
    """What a server asks to wait, as far as it is a number of seconds, and not too many."""
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        return 0.0
    return min(seconds, _LONGEST_ASKED) if seconds > 0 else 0.0
