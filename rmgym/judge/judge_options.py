"""Which language model judges, how it is asked, and what may be spent on it: options, once for teachers and models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rmgym.errors import JudgeError
from rmgym.judge.answer_file import AnswerFile
from rmgym.judge.clients import Api, Client
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.spending import Prices, Spending

MOST_LEVELS = 10
"""Answers are single digits: 0 to 9."""


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Who judges, and how it is asked: what decides the answers.

    Attributes:
        judge: ``smollm2``, a folder of a causal language model, ``hf:`` and a hub id, or the URL of an
            OpenAI-compatible server.
        served: the model's name at a server; by default the only one that it serves.
        api: of a server: ``chat``, or ``completions`` for a model without a chat template.
        prompts: folder of prompts of your own (:class:`rmgym.judge.prompt_files.Prompts`); by default rmgym's.
        paraphrases: wordings of each question that are asked and averaged; rmgym's own are three.
        levels: of ratings: 1 to ``levels``, at most 10, asked for as the digits from 0.
        content_free: whether ratings are corrected by what the judge answers about nothing (Zhao et al. 2021,
            "Calibrate before use", https://arxiv.org/abs/2102.09690).
        both_orders: whether each comparison is asked in both orders, which cancels a taste for A or B exactly; where
            not, it is corrected by a comparison of nothing with nothing.

    Raises:
        JudgeError: a count is impossible.
    """

    judge: str = "smollm2"
    served: str | None = None
    api: Api = "chat"
    prompts: str | None = None
    paraphrases: int = 1
    levels: int = 10
    content_free: bool = True
    both_orders: bool = True

    def __post_init__(self) -> None:
        if self.paraphrases < 1 or not 2 <= self.levels <= MOST_LEVELS:
            got = f"paraphrases={self.paraphrases}, levels={self.levels}"
            raise JudgeError(
                f"a judge has 1 paraphrase or more and 2 to {MOST_LEVELS} levels", got=got, fix="take the defaults"
            )
        if self.served is not None and not self.is_remote:
            raise JudgeError("a served model has a URL", got=f"judge={self.judge}", fix="pass judge=http://host:port")

    @property
    def is_remote(self) -> bool:
        """Whether a server answers."""
        return self.judge.startswith(("http://", "https://"))


@dataclass(frozen=True, kw_only=True)
class AskingOptions(Prices):
    """What changes no answer: where it runs, how long it is waited for, what it may cost, where answers are kept.

    Attributes:
        device: of a local judge: cpu, cuda, mps, or any torch device.
        timeout: seconds that a server may take for one answer.
        wait: seconds to wait for a server that is away or busy.
        answers: the file in which answers are kept; by default one for all judges, in the user's cache.
    """

    device: str = "cpu"
    timeout: float = 60.0
    wait: float = 120.0
    answers: str | None = None


def inquiry(who: JudgeOptions, how: AskingOptions, *, trusted: bool = True, progress: bool = True) -> Inquiry:
    """What asks a judge.

    Args:
        who: answers.
        how: it is asked.
        trusted: whether the user named a server, so that it may get the token of the environment.
        progress: show a bar on a terminal.

    Raises:
        JudgeError: there is no such judge.
    """
    from rmgym.models.backbones.conversion import cache_folder

    file = Path(how.answers).expanduser() if how.answers is not None else cache_folder() / "judge-answers.sqlite"
    prices = Prices(**only(how, Prices))
    return Inquiry(client_of(who, how, trusted=trusted), AnswerFile(file), Spending(prices), progress=progress)


def client_of(who: JudgeOptions, how: AskingOptions, *, trusted: bool) -> Client:
    """The client of a judge.

    Raises:
        JudgeError: there is no such judge.
    """
    if who.is_remote:
        from rmgym.judge.remote_client import RemoteClient, Server

        times = {"timeout": how.timeout, "wait": how.wait}
        return RemoteClient(Server(url=who.judge, served=who.served, api=who.api, trusted=trusted, **times))
    from rmgym.judge.local_client import LocalClient

    return LocalClient(who.judge, how.device)


def only(options: object, kind: type) -> dict[str, Any]:
    """The values of those fields that another dataclass has."""
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in asdict(options).items() if name in names}  # type: ignore[call-overload]
