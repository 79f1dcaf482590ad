"""The reward model ``judge``: what a language model says of a step's text, without any labels to learn from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from rmgym.errors import ModelError
from rmgym.judge.judge_options import AskingOptions, JudgeOptions, inquiry
from rmgym.judge.opinions import Judge
from rmgym.judge.prompt_files import Prompts
from rmgym.judge.skill import Reliability
from rmgym.models.base import Prediction, as_texts
from rmgym.models.files import digest_of, write_model
from rmgym.options import read_options
from rmgym.text.batch import TextBatch


@dataclass(frozen=True, kw_only=True)
class _Saved:
    """What a saved judge's manifest holds."""

    options: JudgeOptions
    server: str | None
    prompts: Prompts
    identity: str
    reliability: Reliability | None


class JudgeRewardModel:
    """Rates each step; ratings are standardised by those of the steps that the judge was measured on.

    Nothing is fitted, but a judge is measured before it rewards anything (``rmgym judge``, :meth:`measured`). A rating
    is asked for once and kept on disk, so that it stays as it is.

    Attributes:
        options: who judges, and how.
        asking: where it runs, and what may be spent.
        reliability: what was measured; None before that.
    """

    name: ClassVar[str] = "judge"
    card_hash: ClassVar[None] = None
    contacts: ClassVar[str] = "server"
    """See :func:`rmgym.models.registry.restore_model`; a judge on this machine has None there."""

    def __init__(
        self,
        options: JudgeOptions,
        asking: AskingOptions | None = None,
        *,
        prompts: Prompts | None = None,
        reliability: Reliability | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.options, self.asking, self.reliability = options, asking or AskingOptions(), reliability
        self._prompts = prompts or Prompts.read(options.prompts, options.paraphrases)
        self._judge, self._pid = judge, os.getpid()
        self._identity = None if judge is None else judge.identity
        self._trusted = True  # whether the user named the server

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """Make the model; nothing is asked yet, and nothing is drawn.

        Raises:
            ModelError: an option is unknown.
            JudgeError: an option or a prompt is impossible.
        """
        del seed
        who = {key: value for key, value in options.items() if key in JudgeOptions.__dataclass_fields__}
        how = {key: value for key, value in options.items() if key in AskingOptions.__dataclass_fields__}
        if len(who) + len(how) < len(options):
            who = options  # refused with the nearest key
        owner = f"options of {cls.name!r}"
        return cls(read_options(JudgeOptions, who, owner), read_options(AskingOptions, how, owner))

    @classmethod
    def restore(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild what :meth:`save` wrote: the same judge or none, and no token for its server."""
        del tensors, texts
        owner = "a saved judge"
        saved = read_options(_Saved, manifest["config"], owner)
        options = saved.options
        if (options.judge if options.is_remote else None) != saved.server or options.prompts is not None:
            raise ModelError("a saved judge names its server once", got=saved.server, fix="save it again")
        model = cls(options, prompts=saved.prompts, reliability=saved.reliability)
        model._identity, model._trusted = saved.identity, False
        return model

    def measured(self, reliability: Reliability) -> Self:
        """The same judge with what was measured of its ratings."""
        return type(self)(self.options, self.asking, prompts=self._prompts, reliability=reliability, judge=self.judge)

    @property
    def judge(self) -> Judge:
        """Who is asked; of this process, since connections do not cross a fork.

        Raises:
            JudgeError: there is no such judge.
            ModelError: it is another one than the one that was saved.
        """
        if self._judge is None or self._pid != os.getpid():
            asks = inquiry(self.options, self.asking, trusted=self._trusted, progress=False)
            self._judge, self._pid = Judge(asks, self.options, self._prompts), os.getpid()
        if self._identity not in (None, self._judge.identity):
            raise ModelError(
                "a saved judge is asked with the same weights and prompts",
                got=f"{self.options.judge} with identity {self._judge.identity}, saved with {self._identity}",
                fix="install those weights again, or measure this judge: rmgym judge ENV",
            )
        self._identity = self._judge.identity
        return self._judge

    @property
    def is_fitted(self) -> bool:
        """Whether it was measured: see :func:`rmgym.models.base.check_fitted`."""
        return self.reliability is not None

    @property
    def digest(self) -> str:
        """Of model, prompts, way of asking, and what was measured."""
        return digest_of({"model": self.name, **self._config()})

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """Standardised ratings, and the spread of the judge's answers in the same units.

        Raises:
            ModelError: the judge gave a step no rating.
            JudgeError: it cannot be asked, or the budget is spent.
        """
        strings = as_texts(texts).strings()
        distinct = list(dict.fromkeys(strings))
        mean, spread = self.judge.rate([[text] for text in distinct])
        if (silent := np.isnan(mean)).any():
            got = f"no rating of {silent.sum()} of {len(distinct)} steps: {distinct[int(silent.argmax())][:80]!r}..."
            raise ModelError("a judge rates every step", got=got, fix="take other prompts, or another judge")
        of = self.reliability
        centre, scale = (of.centre, of.scale) if of is not None else (0.0, 1.0)
        place = {text: i for i, text in enumerate(distinct)}
        rows = np.array([place[text] for text in strings], np.int64)
        return Prediction(((mean - centre) / scale).astype(np.float32)[rows], (spread / scale).astype(np.float32)[rows])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """See :class:`rmgym.models.base.RewardModel`: prompts and measures, not the judge's weights."""
        manifest = {"model": self.name, "config": self._config(), "card_hash": None, "digest": self.digest}
        return write_model(path, manifest)

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`."""
        shown = None if self.reliability is None else str(self.reliability)
        return {"model": self.name, "digest": self.digest, "card_hash": None, "measured": shown, **self._config()}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Shared, as every model is."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Neither connections nor a language model cross processes."""
        return {**vars(self), "_judge": None}

    def _config(self) -> dict[str, Any]:
        if self._identity is None:
            self.judge  # noqa: B018  # which finds out
        assert self._identity is not None
        saved = _Saved(
            options=replace(self.options, prompts=None),  # whose texts are there
            server=self.options.judge if self.options.is_remote else None,
            prompts=self._prompts,
            identity=self._identity,
            reliability=self.reliability,
        )
        content: dict[str, Any] = json.loads(json.dumps(asdict(saved)))  # lists for tuples, as they are read back
        return content
