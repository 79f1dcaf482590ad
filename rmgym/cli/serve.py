"""``rmgym serve``: a reward model for many workers."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from rmgym.cli.extras import require
from rmgym.cli.output import AllowRemote, AsJson, out, print_json

if TYPE_CHECKING:
    from rmgym.serving.batching import BatchOptions


def serve(
    model: Annotated[str, typer.Argument(help="A reward model's folder or hub id, or a control: random, constant.")],
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback wants a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RMGYM_TOKEN", help="What clients must know. Better set as a variable: 'ps' shows options."
        ),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(help="Most texts that are scored together; 1 scores each request by itself.")
    ] = 1024,
    max_wait_ms: Annotated[float, typer.Option(help="Milliseconds that a request may wait for others.")] = 2.0,
    max_pending: Annotated[int, typer.Option(help="Most texts that wait; more are answered with 503.")] = 65536,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, or any torch device.")] = "cpu",
    allow_remote: AllowRemote = False,
    ray: Annotated[bool, typer.Option("--ray", help="Serve as a Ray Serve deployment.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a reward model over HTTP, so that many workers share it.

    Workers train with 'rmgym train ENV --reward http://HOST:PORT'. Requests of several workers are scored together;
    /health says whether the server answers, /metrics what it does, in Prometheus' format.
    """
    require("serve", "fastapi", "prometheus_client", "uvicorn")
    if ray:
        require("ray", "ray.serve")
    from rmgym.serving.batching import BatchOptions
    from rmgym.serving.listening import check_exposure

    token = token or None
    check_exposure(host, token)
    batching = BatchOptions(max_batch=max_batch, max_wait=max_wait_ms / 1000, max_pending=max_pending)
    asked = _Asked(model, host, port, token, batching, device, allow_remote, as_json)
    (_with_ray if ray else _here)(asked)


@dataclass(frozen=True)
class _Asked:
    """What is to be served, where, to whom, and how."""

    model: str
    host: str
    port: int
    token: str | None = field(repr=False)
    batching: BatchOptions
    device: str
    allow_remote: bool
    as_json: bool


def _here(asked: _Asked) -> None:
    """Serve in this process."""
    from rmgym.models.registry import load_reward_model
    from rmgym.serving.listening import listen, run
    from rmgym.serving.server import score_app

    loaded = load_reward_model(asked.model, device=asked.device, allow_remote=asked.allow_remote)
    app = score_app(loaded, token=asked.token, batching=asked.batching)
    listening, url = listen(asked.host, asked.port)
    facts = {"url": url, "model": asked.model, "name": loaded.name, "digest": loaded.digest}
    run(app, listening, on_ready=lambda server: _say(facts, asked.as_json))


def _with_ray(asked: _Asked) -> None:
    """Serve with Ray until Ctrl-C or SIGTERM."""
    from rmgym.serving import ray_serve
    from rmgym.serving.listening import listen, url_of

    free, _ = listen(asked.host, asked.port)  # Ray says less clearly that a port is taken, and takes no port 0
    port = free.getsockname()[1]
    free.close()
    try:
        deployment = ray_serve.deployment(
            asked.model,
            device=asked.device,
            token=asked.token,
            batching=asked.batching,
            allow_remote=asked.allow_remote,
        )
        ray_serve.start(deployment, asked.host, port)
        _say({"url": url_of(asked.host, port), "model": asked.model}, asked.as_json)
        stopped = Event()
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
        stopped.wait()
    finally:
        ray_serve.stop()


def _say(facts: dict[str, str], as_json: bool) -> None:
    """Say where the server is; those that read a pipe are waiting for it."""
    if as_json:
        print_json(facts)
    else:
        which = f" ({facts['name']} {facts['digest']})" if "digest" in facts else ""
        out.print(f"{facts['model']}{which} at {facts['url']}", markup=False, soft_wrap=True)
    sys.stdout.flush()
