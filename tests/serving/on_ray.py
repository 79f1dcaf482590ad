"""``rmgym serve --ray`` in a Ray of two processors; prints what a client saw as JSON. Run by ``test_ray_serve.py``."""

from __future__ import annotations

import json
import os
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rmgym.cli.serve import serve as command
from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from tests.serving.serving import TEXTS, free_port, metric, post
from tests.test_serving import blocks


def seen(url: str) -> dict[str, Any]:
    """What a client sees: the model, refusals, another model in its place, and the example of docs/serving.md."""
    import ray
    from ray import serve

    from rmgym.serving import ray_serve

    local = create_reward_model("random")
    clients = [create_reward_model("remote", url=url, token="s3cret") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: clients[i % 4].predict(TEXTS[: i + 1]).mean, range(40)))
    said: dict[str, Any] = {
        "equal": all(np.array_equal(mean, local.predict(TEXTS[: i + 1]).mean) for i, mean in enumerate(got)),
        "digest": clients[0].digest == local.digest,
        "rows": metric(url, "rmgym_rows_total", token="s3cret"),
        "malformed": post(url, b"", Authorization="Bearer s3cret").status_code,
        "without a token": post(url, b"").status_code,
    }
    (replica,) = (a for a in ray.util.list_named_actors(all_namespaces=True) if a["name"].startswith("SERVE_REPLICA"))
    ray.kill(ray.get_actor(replica["name"], replica["namespace"]))
    after = [clients[0].predict(TEXTS).mean for _ in range(20)]
    said["after a replica died"] = all(np.array_equal(mean, local.predict(TEXTS).mean) for mean in after)
    serve.run(ray_serve.deployment("constant", token="s3cret"), name=ray_serve.NAME, route_prefix="/")
    try:
        clients[0].predict(TEXTS)
    except ModelError as error:
        said["another model"] = error.rule
    serve.delete(ray_serve.NAME)
    exec(blocks("python")[-1])
    example = create_reward_model("remote", url=url).predict(TEXTS).mean
    return {**said, "example": bool(np.array_equal(example, local.predict(TEXTS).mean))}


def main() -> dict[str, Any]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False)
    port = free_port()

    def client() -> dict[str, Any]:
        try:
            return seen(f"http://127.0.0.1:{port}")
        except BaseException:
            traceback.print_exc()  # Ray may end the process before anyone else can say so
            raise
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client)
        command("random", port=port, token="s3cret", ray=True)
        said = answer.result()
    ray.shutdown()
    return said


if __name__ == "__main__":
    print(json.dumps(main()))
