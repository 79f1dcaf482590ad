"""A model is fitted beside the page as answers grow, and what it is least sure of is asked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from rmgym.errors import FitError, ModelError
from rmgym.feedback.store import LabelStore
from rmgym.models import load_reward_model
from rmgym.ui.aside import Message
from rmgym.ui.desk import Desk
from rmgym.ui.refits import Fitted, Refits, check_fittable, refit
from tests.serving.serving import wait_until
from tests.ui.labelling import Room, asked


def fits(log: Path, fails: bool = False) -> Iterator[Message]:
    """Fits that take no time, and write down that they were begun."""
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if fails:
        raise ValueError("nothing to learn")
    count = len(log.read_text().split())
    about = {"model": "no-lm", "labels": count, "held_out": 6, "r2": 0.5, "accuracy": None}
    yield "fitted", json.dumps(about).encode()
    yield "order", json.dumps([3, 1, count]).encode()


def endless(log: Path) -> Iterator[Message]:
    log.write_text(f"{os.getpid()}")
    while True:
        time.sleep(0.05)
        yield from ()


def test_fits_begin_at_growing_numbers_of_answers_one_at_a_time(tmp_path: Path) -> None:
    orders, log = list[list[int]](), tmp_path / "log"
    refits = Refits(partial(fits, log), orders.append)
    for answers in range(1, 45):
        refits.consider(answers)
        wait_until(lambda: not refits._running)
    assert orders == [[3, 1, 1], [3, 1, 2]]  # at 20 and at 30 answers
    assert refits.last == Fitted(model="no-lm", labels=2, held_out=6, r2=0.5, accuracy=None)
    assert str(os.getpid()) not in log.read_text()
    assert refits.trouble == ""


def test_a_fit_that_fails_says_so_and_the_next_one_is_tried(tmp_path: Path) -> None:
    refits = Refits(partial(fits, tmp_path / "log", fails=True), lambda order: None)
    refits.consider(20)
    wait_until(lambda: bool(refits.trouble))
    assert "nothing to learn" in refits.trouble
    wait_until(lambda: not refits._running)
    refits._work = partial(fits, tmp_path / "log")
    refits.consider(30)
    wait_until(lambda: refits.last is not None)
    assert refits.trouble == ""


def test_a_fit_ends_with_the_page_however_that_ends(tmp_path: Path) -> None:
    """The page is a process here that is killed."""
    from multiprocessing import get_context

    log, page = tmp_path / "log", get_context("spawn").Process(target=_page, args=(tmp_path / "log",))
    page.start()
    wait_until(lambda: log.exists() and bool(log.read_text()))
    fit = int(log.read_text())
    os.kill(fit, 0)
    page.kill()
    page.join()
    wait_until(lambda: not _is_there(fit))


def _page(log: Path) -> None:
    Refits(partial(endless, log), lambda order: None).consider(20)
    Event().wait()


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> LabelStore:
    """Forty of sixty steps of CartPole rated by the pole's angle."""
    store = asked(tmp_path_factory.mktemp("refit") / "labels.sqlite", ratings=60, preferences=4)
    desk = Desk(store, ["ann"], levels=10)
    for _ in range(40):
        turn = desk.turn("ann")
        assert turn.question is not None
        angle = abs(float(turn.question.left.numbers[6]))
        desk.answer("ann", turn.code, str(round(10 - 9 * min(angle / 0.25, 1))))
    return store


def test_a_refit_says_how_good_it_is_and_orders_what_is_open(labelled: LabelStore) -> None:
    fitted, order = refit(labelled.path, "no-lm", steps=300)
    about = Fitted(**json.loads(fitted[1]))
    assert (about.model, about.labels) == ("no-lm", 40)
    assert 5 <= about.held_out <= 12
    assert f"R² {about.r2:.2f} on {about.held_out} held-out ones" in str(about)
    model = load_reward_model(labelled.path.with_name("labels.sqlite.model"))
    questions = {question.id: question for question in labelled.questions()}
    ids = json.loads(order[1])
    answered = {row.query for row in labelled.answers("ann")}
    assert sorted(ids) == sorted(questions.keys() - answered)
    kinds = [questions[each].kind for each in ids]
    assert kinds == ["rating"] * 20 + ["preference"] * 4
    seen = np.concatenate([model.predict(questions[each].left).mean for each in sorted(answered)])
    wanted = np.array([row.value for row in labelled.answers("ann")])
    assert np.corrcoef(seen, wanted)[0, 1] > 0.8


def test_the_desk_asks_in_that_order(labelled: LabelStore, tmp_path: Path) -> None:
    room = Room(LabelStore(labelled.copy(tmp_path / "labels.sqlite")), ["ann"])
    shown = room.desk.turn("ann").code
    waiting = [room.desk.questions[code].id for code in room.desk._waiting("ann")]
    order = [waiting[5], waiting[0], waiting[7]]
    room.desk.reorder([*order, 999])
    assert room.desk.turn("ann").code == shown  # what somebody sees stays
    assert [room.desk.questions[code].id for code in room.desk._waiting("ann")] == [
        order[0], *waiting[1:5], order[1], waiting[6], order[2], *waiting[8:],
    ]  # fmt: skip
    ann = room.labeller("ann")
    ann.answer()
    assert room.desk.questions[ann.question].id == order[0]


def test_the_page_shows_the_last_model(labelled: LabelStore, tmp_path: Path) -> None:
    refits = Refits(partial(fits, tmp_path / "log"), lambda order: None)
    room = Room(LabelStore(labelled.copy(tmp_path / "labels.sqlite")), ["ann"], refits=refits)
    ann = room.labeller("ann")
    assert "held-out" not in ann.html
    assert "There is no model yet" in ann.client.get("/progress").text
    ann.answer()  # there are more than enough
    wait_until(lambda: not refits._running)
    assert "no-lm on 1 labels: R² 0.50 on 6 held-out ones" in ann.read().html
    refits.trouble = "<b>"
    page = ann.client.get("/progress").text
    assert "no-lm on 1 labels" in page
    assert "The last fit failed: &lt;b&gt;." in page


def test_models_that_cannot_be_fitted_are_refused() -> None:
    check_fittable("no-lm")
    check_fittable("hf:some/model")
    with pytest.raises(FitError, match="has weights"):
        check_fittable("constant")
    for name in ("true", "minlm"):
        with pytest.raises(ModelError):
            check_fittable(name)
