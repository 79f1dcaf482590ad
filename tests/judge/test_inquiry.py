"""Questions are asked once, whatever happens; what they cost is counted, and an end is an end."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rmgym.errors import JudgeError
from rmgym.judge.answer_file import AnswerFile, key_of
from rmgym.judge.clients import Reply
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.skill import Reliability
from rmgym.judge.spending import Prices, Spending
from tests.hostile import put_in_the_way
from tests.judge.fakes import FakeClient, by_height, serving

WORDS = ("A", "B")
PROMPTS = [f"- height: 0 before, 0.{i} after\n- height: 0 before, 0.5 after" for i in range(100, 130)]


def inquiry(path: Path, client: FakeClient | None = None, **prices: float) -> Inquiry:
    return Inquiry(client or FakeClient(by_height(1.0)), AnswerFile(path), Spending(Prices(**prices)), progress=False)  # type: ignore[arg-type]


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    client = FakeClient(by_height(1.0))
    asks = inquiry(tmp_path / "a.sqlite", client)
    first = asks.answers([*PROMPTS, PROMPTS[0]], WORDS)
    assert len(client.asked) == len(PROMPTS)
    again = inquiry(tmp_path / "a.sqlite", client)
    np.testing.assert_array_equal(again.answers([*PROMPTS, PROMPTS[0]], WORDS), first)
    assert len(client.asked) == len(PROMPTS)
    assert (again.spending.answers, again.spending.new) == (len(PROMPTS), 0)


def test_another_model_or_other_words_are_other_questions(tmp_path: Path) -> None:
    client, other = FakeClient(by_height(1.0)), FakeClient(by_height(1.0), "other")
    inquiry(tmp_path / "a.sqlite", client).answers(PROMPTS[:1], WORDS)
    inquiry(tmp_path / "a.sqlite", client).answers(PROMPTS[:1], ("B", "A"))
    inquiry(tmp_path / "a.sqlite", other).answers(PROMPTS[:1], WORDS)
    assert (len(client.asked), len(other.asked)) == (2, 1)


def test_a_budget_stops_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    client = FakeClient(by_height(1.0))  # 101 tokens an answer
    with pytest.raises(JudgeError, match="max_tokens=1000"):
        inquiry(tmp_path / "a.sqlite", client, max_tokens=1000).answers(PROMPTS, WORDS)
    assert len(client.asked) == 16  # eight at a time: 808 tokens, then 1616
    with pytest.raises(JudgeError, match="16 answers, 0 of them new"):  # what an earlier process spent counts too
        inquiry(tmp_path / "a.sqlite", client, max_tokens=1000).answers(PROMPTS, WORDS)
    assert len(client.asked) == 16
    inquiry(tmp_path / "a.sqlite", client, max_tokens=1_000_000).answers(PROMPTS, WORDS)
    assert len(client.asked) == len(PROMPTS)
    inquiry(tmp_path / "a.sqlite", client, max_tokens=1000).answers(PROMPTS, WORDS)  # nothing new is asked


def test_money_is_counted(tmp_path: Path) -> None:
    asks = inquiry(tmp_path / "a.sqlite", price_read=10.0, price_written=1000.0)
    asks.answers(PROMPTS[:10], WORDS)
    assert asks.spending.cost == pytest.approx(10 * (100 * 10 + 1 * 1000) / 1e6)
    with pytest.raises(JudgeError, match=r"max_cost=0\.01"):
        inquiry(tmp_path / "b.sqlite", price_read=10.0, price_written=1000.0, max_cost=0.01).answers(PROMPTS, WORDS)
    with pytest.raises(JudgeError, match="prices"):
        Prices(max_cost=1.0)
    with pytest.raises(JudgeError, match="at least 0"):
        Prices(price_read=-1.0)


def test_no_answer_is_kept_too(tmp_path: Path) -> None:
    def silent(prompt: str) -> Mapping[str, float]:
        return {}

    client = FakeClient(silent)
    for _ in range(2):
        assert np.isnan(inquiry(tmp_path / "a.sqlite", client).answers(PROMPTS[:2], WORDS)).all()
    assert len(client.asked) == 2


def test_a_damaged_answer_is_asked_again(tmp_path: Path) -> None:
    client = FakeClient(by_height(1.0))
    inquiry(tmp_path / "a.sqlite", client).answers(PROMPTS, WORDS)
    with sqlite3.connect(tmp_path / "a.sqlite") as file:
        (key,) = file.execute("SELECT min(key) FROM judge_answers").fetchone()
        file.execute("UPDATE judge_answers SET content = replace(content, '-', '') WHERE key = ?", (key,))
    file.close()
    inquiry(tmp_path / "a.sqlite", client).answers(PROMPTS, WORDS)
    assert len(client.asked) == len(PROMPTS) + 1


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "loop"])
def test_what_is_in_the_way_is_refused(tmp_path: Path, kind: str) -> None:
    put_in_the_way(tmp_path / "a.sqlite", kind)
    with pytest.raises(JudgeError, match="SQLite file of their own"):
        AnswerFile(tmp_path / "a.sqlite")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.sqlite") as file:
        file.execute("CREATE TABLE pictures (id INTEGER)")
    file.close()
    before = (tmp_path / "a.sqlite").read_bytes()
    with pytest.raises(JudgeError, match="pictures"):
        AnswerFile(tmp_path / "a.sqlite")
    assert (tmp_path / "a.sqlite").read_bytes() == before


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.sqlite")
    with file.writing() as keep:
        keep(b"1", Reply(logs=(-0.5, -1.0), read=3, written=1))
    assert file.get([b"1", b"2"], Reply) == {b"1": Reply(logs=(-0.5, -1.0), read=3, written=1)}
    assert file.get([b"1"], Reliability) == {}


_ASK = """
import sys
from pathlib import Path
from rmgym.judge.answer_file import AnswerFile, key_of
from rmgym.judge.inquiry import Inquiry
from rmgym.judge.remote_client import RemoteClient, Server
from rmgym.judge.spending import Prices, Spending
from tests.judge.test_inquiry import PROMPTS, WORDS

client = RemoteClient(Server(url=sys.argv[1], served="toy"))
Inquiry(client, AnswerFile(Path(sys.argv[2])), Spending(Prices()), progress=False).answers(PROMPTS, WORDS)
"""


def test_a_killed_process_asks_nothing_twice(tmp_path: Path) -> None:
    """Killed once some answers are on the disk; what was on its way then is asked again, eight questions at most."""
    path = tmp_path / "a.sqlite"
    with serving(by_height(1.0)) as fake:

        def slow(prompt: str) -> Mapping[str, float]:
            time.sleep(0.1)
            return by_height(1.0)(prompt)

        fake.opinion = slow
        with subprocess.Popen([sys.executable, "-c", _ASK, fake.url, str(path)]) as process:
            while _count(path) < 8:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        keys = {key_of(f"{fake.url}/v1 toy chat", prompt, list(WORDS)): prompt for prompt in PROMPTS}
        kept = {keys[key] for key in AnswerFile(path).get([*keys], Reply)}
        assert 8 <= len(kept) < len(PROMPTS)
        before = len(fake.bodies)
        subprocess.run([sys.executable, "-c", _ASK, fake.url, str(path)], check=True)
        after = {body["messages"][0]["content"] for body, _ in fake.bodies[before:]}
    assert after == {*PROMPTS} - kept
    assert _count(path) == len(PROMPTS)


def _count(path: Path) -> int:
    if not path.exists():
        return 0
    file = sqlite3.connect(path, timeout=10)
    try:
        return int(file.execute("SELECT count(*) FROM judge_answers").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        file.close()
