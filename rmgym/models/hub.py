"""Sharing a fitted model on the Hugging Face hub: its folder and a model card, nothing that could execute."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Protocol

from rmgym.errors import ModelError
from rmgym.models.base import RewardModel
from rmgym.models.model_card import model_card
from rmgym.storage.atomic import write_text


class HubApi(Protocol):
    """The part of :class:`huggingface_hub.HfApi` that is used here."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make the repository if it is missing."""
        ...

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, delete_patterns: str) -> Any:
        """Upload all files of a folder as one commit; what matches the patterns and is not among them goes."""
        ...


def push_to_hub(
    model: RewardModel, repo_id: str, *, token: str | None = None, private: bool = True, api: HubApi | None = None
) -> str:
    """Upload a model, so that ``rmgym.load_reward_model(repo_id)`` loads it anywhere.

    Args:
        model: any model that can be saved.
        repo_id: ``user/name``.
        token: access token; by default the one ``hf auth login`` stored.
        private: whether a new repository is private.
        api: the hub; by default the real one.

    Returns:
        The repository's id.

    Raises:
        ModelError: the hub refuses, cannot be reached, or the id is malformed.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub: Any = api or HfApi(token=token)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        write_text(Path(folder) / "README.md", model_card(model, repo_id), what="a model card")
        try:
            hub.create_repo(repo_id, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=f"rmgym {model.name} {model.digest}",
                delete_patterns="*-*.*",
            )
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise ModelError(
                "a model is uploaded to a hub repository you may write to",
                got=f"{repo_id}: {error}",
                fix="give user/name, and log in with 'hf auth login' or pass token=",
            ) from error
    return repo_id
