"""Any Hugging Face encoder or causal language model as a reward model: ``hf:`` and a local folder or a hub id."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from rmgym.errors import ModelError
from rmgym.models.language_model import LanguageModelReward
from rmgym.models.weights import HUB


class HuggingFaceRewardModel(LanguageModelReward):
    """One reward head on a language model that is named by option ``backbone``, late fusion by default."""

    name: ClassVar[str] = "hf"

    @classmethod
    def create(cls, *, seed: int = 0, **options: Any) -> Self:
        """See :class:`rmgym.models.language_model.LanguageModelReward`.

        Raises:
            ModelError: no backbone is named.
        """
        if not options.get("backbone"):
            raise ModelError(
                "the model 'hf' is named with its language model",
                got="hf",
                fix="write hf:/path/to/folder or hf:user/name",
            )
        return super().create(seed=seed, **options)


def backbone_option(said: str) -> str:
    """What follows ``hf:`` as option ``backbone``: the absolute path of a local folder, else ``hf:`` and a hub id.

    Raises:
        ModelError: it looks like a path, and there is no such folder.
    """
    folder = Path(said).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if said.startswith((".", "/", "~")) or said.count("/") > 1:
        raise ModelError("hf: is followed by a local folder or a hub id (user/name)", got=said, fix="check the path")
    return HUB + said
