"""The score server as a Ray Serve deployment: the same application in each replica, behind Ray's proxy.

Replicas load the same model and so have the same digest; whichever answers, the client checks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmgym.models.registry import load_reward_model
from rmgym.serving.batching import BatchOptions
from rmgym.serving.server import score_app

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

NAME = "rmgym"
"""Of the application and its deployment."""


def deployment(
    model: str,
    *,
    device: str = "cpu",
    token: str | None = None,
    batching: BatchOptions | None = None,
    allow_remote: bool = False,
    **options: Any,
) -> Application:
    """A Ray Serve application that serves a model; for ``serve.run``, with what else Ray offers.

    Args:
        model: a folder that every node sees, a hub id, or a control's name.
        device: torch device of each replica.
        token: see :func:`score_app`.
        batching: of each replica.
        allow_remote: see :func:`rmgym.load_reward_model`.
        options: of Ray's ``@serve.deployment``, such as ``num_replicas=2`` or ``ray_actor_options={"num_gpus": 1}``.
    """
    from ray import serve

    def app() -> FastAPI:  # called in the replica, so that weights never travel
        loaded = load_reward_model(model, device=device, allow_remote=allow_remote)
        return score_app(loaded, token=token, batching=batching)

    options = {"name": NAME, "max_ongoing_requests": 1024, **options}
    ingress: Any = serve.deployment(serve.ingress(app)(), **options)
    return ingress.bind()  # type: ignore[no-any-return]


def start(application: Application, host: str, port: int) -> None:
    """Run the application in this process's Ray (begun if need be), at this address; return when it answers."""
    from ray import serve

    serve.start(http_options={"host": host, "port": port})
    serve.run(application, name=NAME, route_prefix="/")


def stop() -> None:
    """Take the application and Ray Serve down."""
    from ray import serve

    serve.shutdown()  # type: ignore[no-untyped-call]
