"""A language model on this machine: its probabilities are those of the whole vocabulary, taken by hand here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rmgym.errors import JudgeError
from rmgym.judge.local_client import LocalClient
from tests.models.tiny import save_causal, save_encoder

WORDS = ("A", "B")
PROMPTS = ["Angle in rad: 0.52.", "cart position in m: 0.25, pole angle in rad: -0.04. A or B?", "状态"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_causal(tmp_path_factory.mktemp("judge"))


def asked(client: LocalClient, prompts: list[str], words: tuple[str, ...] = WORDS) -> list[tuple[float, ...]]:
    replies = dict(client.ask(prompts, words))
    return [replies[place].logs for place in range(len(prompts))]


def test_probabilities_are_those_of_the_next_token(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    lm: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer.encode(f"{PROMPTS[0]}\nAnswer:")
    with torch.no_grad():
        chances = lm(input_ids=torch.tensor([ids])).logits[0, -1].double().softmax(-1)
    both = [float(chances[tokenizer.encode(word, add_special_tokens=False)[0]]) for word in WORDS]
    ((a, b),) = asked(LocalClient(str(folder)), PROMPTS[:1])
    assert (math.exp(a), math.exp(b)) == pytest.approx((both[0] / sum(both), both[1] / sum(both)), rel=1e-5)


def test_an_answer_does_not_depend_on_the_others(folder: Path) -> None:
    client = LocalClient(str(folder))
    together = asked(client, [*PROMPTS, PROMPTS[0]])
    assert [asked(client, [prompt])[0] for prompt in PROMPTS] == together[:3]
    assert together[3] == together[0]


def test_nothing_is_drawn(folder: Path) -> None:
    before = torch.get_rng_state()
    asked(LocalClient(str(folder)), PROMPTS)
    assert torch.equal(torch.get_rng_state(), before)


def test_identity_is_that_of_weights_and_template(folder: Path, tmp_path: Path) -> None:
    other = save_causal(tmp_path / "other", seed=1)
    chatty = save_causal(tmp_path / "chatty")
    config = json.loads((chatty / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["chat_template"] = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}>"
    (chatty / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    clients = [LocalClient(str(each)) for each in (folder, other, chatty)]
    assert len({client.identity for client in clients}) == 3
    assert not np.allclose(asked(clients[0], PROMPTS[:1]), asked(clients[2], PROMPTS[:1]))


def test_what_cannot_answer_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="one token"):
        asked(LocalClient(str(folder)), PROMPTS[:1], ("perhaps not", "A"))
    with pytest.raises(JudgeError, match="at most 512 tokens"):
        asked(LocalClient(str(folder)), ["0 " * 600])
    with pytest.raises(JudgeError, match="nowhere"):
        LocalClient(str(tmp_path / "nowhere"))
    with pytest.raises(JudgeError, match="a judge is"):
        LocalClient(str(folder), "no-such-device")
    with pytest.raises(JudgeError):
        LocalClient(str(save_encoder(tmp_path / "encoder")))


def test_real_weights_prefer_what_is_plainly_right(smollm2: Path) -> None:
    """SmolLM2-135M knows that much, in both orders; of control tasks it is measured in benchmarks/judges.py."""
    client = LocalClient("smollm2")
    question = "Which word is English? A: {} B: {} Answer with A or B."
    first, second = asked(client, [question.format("house", "xqzvk"), question.format("xqzvk", "house")])
    assert first[0] - first[1] > second[0] - second[1]
    (digits,) = asked(client, ["Write the digit 7 and nothing else."], tuple("0123456789"))
    assert int(np.argmax(digits)) == 7
