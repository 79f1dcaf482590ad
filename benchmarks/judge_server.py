"""SmolLM2-135M behind the part of OpenAI's interface that judges use, on loopback, in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import Any

import torch
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from rmgym.judge.local_client import load_judge
from rmgym.serving.listening import listen, run

MODEL = "smollm2"
_LIKELY = 20


@contextmanager
def served() -> Iterator[str]:
    """The URL of a server that answers while this lasts."""
    lm, tokenizer, _ = load_judge(MODEL, "cpu")
    app, one_at_a_time = FastAPI(), Lock()

    @torch.no_grad()
    def answer(messages: list[dict[str, str]]) -> dict[str, Any]:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False)
        with one_at_a_time:
            logits = lm(input_ids=torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
        top = logits.double().log_softmax(-1).topk(_LIKELY)
        likely = [
            {"token": tokenizer.decode([token]), "logprob": log}
            for token, log in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]
        content = [{"token": likely[0]["token"], "logprob": likely[0]["logprob"], "top_logprobs": likely}]
        choice = {"message": {"role": "assistant", "content": likely[0]["token"]}, "logprobs": {"content": content}}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1}
        return {"model": MODEL, "choices": [choice], "usage": usage}

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        return Response(json.dumps(await run_in_threadpool(answer, body["messages"])))

    listening, url = listen("127.0.0.1", 0)
    ready, servers = Event(), list[Any]()
    thread = Thread(target=run, args=(app, listening), kwargs={"on_ready": lambda s: (servers.append(s), ready.set())})
    thread.start()
    ready.wait()
    try:
        yield url
    finally:
        servers[0].should_exit = True
        thread.join()
