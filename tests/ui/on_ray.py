"""A reward model on Ray Serve; prints what a client saw as JSON. Run as a program by ``test_ray_serve.py``."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import ray

from rmgym.errors import ModelError
from rmgym.models import create_reward_model
from rmgym.models.wire import pack_texts
from rmgym.ui import ray_serve
from tests.ui.serving import TEXTS, free_port, metric


def main() -> dict[str, Any]:
    ray.init(num_cpus=2, include_dashboard=False)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    ray_serve.start(ray_serve.deployment("random", token="s3cret"), "127.0.0.1", port)
    local = create_reward_model("random")
    with ThreadPoolExecutor(4) as pool:
        clients = [create_reward_model("remote", url=url, token="s3cret") for _ in range(4)]
        got = list(pool.map(lambda i: clients[i % 4].predict(TEXTS[: i + 1]).mean, range(40)))
    try:
        create_reward_model("remote", url=url).predict(TEXTS)
        refused = ""
    except ModelError as error:
        refused = error.rule
    said = {
        "equal": all(np.array_equal(mean, local.predict(TEXTS[: i + 1]).mean) for i, mean in enumerate(got)),
        "digest": clients[0].digest == local.digest,
        "rows": metric(url, "rmgym_rows_total", token="s3cret"),
        "without a token": refused,
        "malformed": httpx2.post(url + "/score", content=b"", headers={"Authorization": "Bearer s3cret"}).status_code,
        "unknown token": httpx2.post(url + "/score", content=pack_texts(TEXTS)).status_code,
    }
    # Another model at the same place, as a redeployment would bring it.
    ray_serve.start(ray_serve.deployment("constant", token="s3cret"), "127.0.0.1", port)
    try:
        clients[0].predict(TEXTS)
    except ModelError as error:
        said["another model"] = error.rule
    ray_serve.stop()
    ray.shutdown()
    return said


if __name__ == "__main__":
    print(json.dumps(main()))
