"""The reward model ``remote``: scores from a server (``rmgym serve``), so that many workers share one model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from rmgym.errors import ModelError
from rmgym.models.base import Prediction, as_texts
from rmgym.models.files import digest_of, write_model
from rmgym.models.remote.wire import pack_texts, unpack_prediction
from rmgym.options import read_options
from rmgym.text.batch import TextBatch

if TYPE_CHECKING:
    from rmgym.models.remote.connection import Connection


@dataclass(frozen=True, kw_only=True)
class RemoteOptions:
    """Saved with the model, but for the token.

    Attributes:
        url: where ``rmgym serve`` listens, such as ``http://127.0.0.1:8765``.
        token: what the server knows its clients by; by default that of the environment, as
            :func:`~rmgym.models.remote.connection.token_of_environment` gives it, where the URL is the user's own and
            not that of a saved folder. It is neither saved, shown nor pickled: another process reads the environment.
        wait: seconds to wait for a server that is away or busy, from the first request that failed.
        timeout: seconds that the server may take for one request; after them it counts as away.
        batch: most texts in one request.
        digest: the model that must be served; by default the one that is served at the first request.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    wait: float = 60.0
    timeout: float = 120.0
    batch: int = 4096
    digest: str | None = None

    def __post_init__(self) -> None:
        from rmgym.models.remote.connection import check_url

        check_url(self.url)
        if not (self.wait >= 0 and self.timeout > 0 and self.batch >= 1):
            raise ModelError(
                "a remote model waits 0 s or longer, has a timeout above 0 and batches of 1 or more",
                got=f"wait={self.wait}, timeout={self.timeout}, batch={self.batch}",
                fix="leave them out for the defaults",
            )


class RemoteRewardModel:
    """Scores from a server, bit for bit those that its model gives; every answer must come from the same model.

    What it knows of the model (digest, card) is read at first use. From then on, an answer of any other model is an
    error, so that a server restarted with another one scores nothing wrongly.
    """

    name: ClassVar[str] = "remote"
    contacts: ClassVar[str] = "url"
    """See :func:`rmgym.models.registry.restore_model`."""

    def __init__(self, options: RemoteOptions) -> None:
        self.options = options
        self._typed = True  # whether the user named the URL, who then means the token of the environment for it
        self._served: dict[str, Any] | None = None
        self._connection: Connection | None = None

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """Make the model; nothing is asked of the server yet, and nothing is drawn.

        Raises:
            ModelError: an option is unknown, or the URL is none.
        """
        del seed
        return cls(read_options(RemoteOptions, options, f"options of {cls.name!r}"))

    @classmethod
    def restore(cls, manifest: Mapping[str, Any], tensors: Mapping[str, Any], texts: Mapping[str, str]) -> Self:
        """Rebuild what :meth:`save` wrote: it insists on the model that was served then, and sends no token."""
        del tensors, texts
        options: dict[str, Any] = {**manifest["config"], "token": None}
        model = cls.create(**options)
        model._typed = False
        model._served = {"digest": model.options.digest, "card_hash": manifest["card_hash"]}
        return model

    @property
    def digest(self) -> str:
        """Digest of the served model."""
        return str(self._facts()["digest"])

    @property
    def card_hash(self) -> str | None:
        """Card of the served model."""
        card_hash: str | None = self._facts()["card_hash"]
        return card_hash

    def predict(self, texts: TextBatch | Sequence[str]) -> Prediction:
        """See :class:`rmgym.models.base.RewardModel`.

        Raises:
            ModelError: the server is away for longer than ``wait``, serves another model than before, does not know
                the token, or its model refuses the texts.
        """
        batch, size = as_texts(texts), self.options.batch
        if not len(batch):
            return Prediction(np.zeros(0, np.float32), np.zeros(0, np.float32))
        parts = [
            self._score(batch if len(batch) <= size else batch[start : start + size])
            for start in range(0, len(batch), size)
        ]
        return Prediction(np.concatenate([p.mean for p in parts]), np.concatenate([p.std for p in parts]))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """See :class:`rmgym.models.base.RewardModel`: URL and digest, not the served weights nor the token."""
        config = {key: value for key, value in asdict(self.options).items() if key != "token"}
        config["digest"] = self.digest
        manifest = {"model": self.name, "config": config, "card_hash": self.card_hash}
        return write_model(path, {**manifest, "digest": digest_of({"model": self.name, **config})})

    def describe(self) -> dict[str, Any]:
        """See :class:`rmgym.models.base.RewardModel`; ``served`` is what the served model says about itself."""
        facts = self._facts(whole=True)
        return {
            "model": self.name,
            "url": self.options.url,
            "digest": self.digest,
            "card_hash": self.card_hash,
            "served": facts["describe"],
        }

    def __repr__(self) -> str:
        return f"RemoteRewardModel({self.options!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Shared, as every model is."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Connections do not cross processes, and a token has no place in a pickle."""
        return {**vars(self), "options": replace(self.options, token=None), "_connection": None}

    def _score(self, texts: TextBatch) -> Prediction:
        """Score one request's texts."""
        expected = self.digest
        prediction, digest = unpack_prediction(self._connect().ask("/score", pack_texts(texts)))
        self._check(digest, expected)
        if len(prediction.mean) != len(texts) or len(prediction.std) != len(texts):
            raise ModelError(
                "a reward server answers one number per text",
                got=f"{len(prediction.mean)} means and {len(prediction.std)} stds for {len(texts)} texts",
                fix="check what stands between this process and the server",
            )
        return prediction

    def _facts(self, *, whole: bool = False) -> dict[str, Any]:
        """What the server manifest about its model at first use; ``whole`` asks where only a folder has told so far."""
        served = self._served
        if served is None or (whole and "describe" not in served):
            facts = self._connect().ask_json("/model")
            expected = self.options.digest if served is None else served["digest"]
            self._check(facts["digest"], expected or facts["digest"])
            self._served = served = facts
        return served

    def _check(self, digest: str, expected: str) -> None:
        """Refuse another model.

        Raises:
            ModelError: the digests differ.
        """
        if digest != expected:
            raise ModelError(
                f"the reward server serves the model that was asked first, {expected}",
                got=f"a model with digest {digest} at {self.options.url}",
                fix=f"serve {expected} again; to score with {digest}, begin a new run in a new process",
            )

    def _connect(self) -> Connection:
        """The connection of this process; a forked one must not talk on its parent's sockets."""
        from rmgym.models.remote.connection import Connection, token_of_environment

        if self._connection is None or self._connection.pid != os.getpid():
            o = self.options
            token = o.token if o.token is not None or not self._typed else token_of_environment(o.url)
            self._connection = Connection(o.url, token=token, wait=o.wait, timeout=o.timeout)
        return self._connection
