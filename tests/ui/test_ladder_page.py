"""The ladder in a real browser: by keys, by buttons, by mouse and by finger, through a reload and a kill."""

from __future__ import annotations

from bisect import bisect
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from rmgym.feedback.store import LabelStore
from rmgym.ui.access import Access, secret_beside
from rmgym.ui.ladder_desk import LadderDesk
from rmgym.ui.pictures import draw
from tests.serving.serving import ServerProcess, free_port
from tests.ui.labelling import Room, asked, steps_of
from tests.ui.test_browser import HOSTILE, Person, browser, people, person

__all__ = ["browser"]
PHONE = {"width": 390, "height": 800}


def ladder_room(path: Path, steps: int = 10, **options: str) -> Room:
    return Room(asked(path / "labels.sqlite", ratings=steps, preferences=0), ["ann"], on_ladder=True, **options)


def rungs(page: Page) -> list[str]:
    """Codes of the steps on the ladder, the best first, with a blank where the step at hand is."""
    return page.locator(".rungs > li").evaluate_all("all => all.map(rung => rung.dataset.code ?? '')")


def above(page: Page) -> int:
    """How many rungs are below the step at hand."""
    shown = rungs(page)
    return len(shown) - 1 - shown.index("")


def place_by_keys(one: Person, room: Room) -> str:
    """Place a step by the pole's angle with arrows and Enter, as somebody who looks at the rungs; its code."""
    questions, shown = room.desk.questions, [code for code in rungs(one.page)[::-1] if code]
    angles = [float(questions[code].left.numbers[2]) for code in shown]
    code = one.question
    wanted = bisect(angles, float(questions[code].left.numbers[2]))
    while (now := above(one.page)) != wanted:
        one.page.keyboard.press("ArrowUp" if now < wanted else "ArrowDown")
    around = ("", *shown, "")
    one.press("Enter", f"{around[wanted]}:{around[wanted + 1]}")
    return code


def test_keys_find_the_place_by_halves(browser: Browser, tmp_path: Path) -> None:
    room = ladder_room(tmp_path)
    with person(browser, room) as ann:
        for _ in range(8):
            place_by_keys(ann, room)
        assert room.desk.words("ann") == ann.stored
        code = ann.question
        assert (len(rungs(ann.page)), above(ann.page)) == (10, 4)
        keys = ann.page.keyboard
        seen = list[int]()
        for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "End", "ArrowDown", "Home"):
            keys.press(key)
            seen.append(above(ann.page))
        assert seen == [6, 7, 8, 9, 9, 0, 0, 9]
        assert ann.page.locator("[role=slider]").get_attribute("aria-valuenow") == "9"
        assert "better than" in (ann.page.locator("[role=slider]").get_attribute("aria-valuetext") or "")
        keys.press("a")  # there is nothing above
        keys.press("?")
        keys.press("Enter")
        assert ann.page.locator("#help").is_hidden()  # Enter was the dialog's
        assert ann.question == code
        best = room.desk.turn("ann").rungs[-1]
        ann.press("b", f"{best}:{best}")
    assert room.desk.words("ann") == ann.stored


def test_what_stands_beside_the_step_is_what_it_is_placed_between(browser: Browser, tmp_path: Path) -> None:
    room = ladder_room(tmp_path, 6)
    steps, texts, _ = steps_of()
    room.pictures.take(draw(steps, texts, room.store.questions()))
    with person(browser, room) as ann:
        for _ in range(4):
            place_by_keys(ann, room)
        code, ladder = ann.question, room.desk.turn("ann").rungs
        for key, low, high in (("", 1, 2), ("ArrowUp", 2, 3), ("Home", 4, None), ("End", None, 0)):
            if key:
                ann.page.keyboard.press(key)
            shown = [ladder[i] if isinstance(i, int) else i for i in (low, code, high) if i is not None]
            angles = [f"{room.desk.questions[each].left.numbers[2]:.4f} →" for each in shown]
            ann.page.wait_for_function(
                "angles => JSON.stringify([...document.querySelectorAll('#shown tr:nth-child(3) .now')]"
                ".map(({textContent: t}) => t.slice(0, t.indexOf('→') + 1))) === JSON.stringify(angles)",
                arg=angles,
            )
            ann.page.wait_for_function(
                "n => document.querySelectorAll('#shown .screen.drawn').length === n", arg=len(shown)
            )
        assert ann.page.locator(".rung .drawn").count() == 5


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_a_step_is_dragged_to_its_place(browser: Browser, tmp_path: Path, touch: bool) -> None:
    room = ladder_room(tmp_path, 8)
    options = {"viewport": PHONE, "has_touch": True} if touch else {}
    with person(browser, room, **options) as ann:
        for _ in range(4):
            place_by_keys(ann, room)
        ladder, code = room.desk.turn("ann").rungs, ann.question
        ann.page.locator(".rungs").scroll_into_view_if_needed()
        start, end = ann.page.locator(".here").bounding_box(), ann.page.locator(".rung").nth(1).bounding_box()
        assert start is not None
        assert end is not None
        x, y, to = start["x"] + 20, start["y"] + 10, end["y"] + 2  # above the second from the top
        if touch:
            finger = ann.page.context.new_cdp_session(ann.page)
            for kind, at in (("touchStart", y), ("touchMove", (y + to) / 2), ("touchMove", to), ("touchEnd", None)):
                points = [] if at is None else [{"x": x, "y": at}]
                finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        else:
            ann.page.mouse.move(x, y)
            ann.page.mouse.down()
            ann.page.mouse.move(x, (y + to) / 2)
            ann.page.mouse.move(x, to)
            ann.page.mouse.up()
        ann.await_other(code)
    assert room.desk.words("ann")[code] == f"{ladder[-2]}:{ladder[-1]}"


def test_fingers_place_by_buttons_and_rungs(browser: Browser, tmp_path: Path) -> None:
    room = ladder_room(tmp_path, 8)
    with person(browser, room, viewport=PHONE, has_touch=True) as ann:
        for _ in range(3):
            place_by_keys(ann, room)
        ladder, code = room.desk.turn("ann").rungs, ann.question
        ann.page.locator(".rung").first.tap(position={"x": 30, "y": 4})
        assert above(ann.page) == 4
        ann.page.tap("[data-move=down]")
        assert above(ann.page) == 3
        ann.page.tap("[data-move=here]")
        ann.await_other(code)
        assert room.desk.words("ann")[code] == f"{ladder[-2]}:{ladder[-1]}"
        ann.page.tap("#undo")
        ann.page.wait_for_function("q => document.querySelector('article').dataset.question === q", arg=code)
        assert room.desk.turn("ann").rungs == ladder
        middle = above(ann.page)
        ann.page.tap("[data-move=above]")
        ann.await_other(code)
    assert room.desk.words("ann")[code] == f"{ladder[middle]}:{ladder[middle]}"


@pytest.mark.parametrize("width", [1200, 390])
def test_everything_fits_and_has_a_name(browser: Browser, tmp_path: Path, width: int) -> None:
    room = ladder_room(tmp_path, 5)
    steps, texts, _ = steps_of()
    room.pictures.take(draw(steps, texts, room.store.questions()))
    with person(browser, room, viewport={"width": width, "height": 800}) as ann:
        while ann.question:
            assert ann.page.evaluate("document.documentElement.scrollWidth") <= width
            nameless = "all => all.filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
            assert ann.page.locator("button, input, progress, [role=img], [role=slider]").evaluate_all(nameless) == 0
            place_by_keys(ann, room)


def test_two_browsers_of_one_person_on_one_step(browser: Browser, tmp_path: Path) -> None:
    room = ladder_room(tmp_path, 6)
    with person(browser, room) as first, people(browser) as (second,):
        second.open(f"{first.page.url}#token={room.access.token('ann')}")
        code = place_by_keys(first, room)
        second.page.keyboard.press("Home" if first.stored[code].startswith(":") else "End")
        second.page.keyboard.press("Enter")
        second.await_other(code)
        assert "another place before" in second.page.inner_text(".notice")
        assert first.question == second.question
    assert room.desk.words("ann") == first.stored


def test_hostile_texts_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    room = ladder_room(tmp_path, 4, env=HOSTILE)
    with person(browser, room) as ann:
        place_by_keys(ann, room)
        assert ann.page.locator("img").count() == 0
        assert ann.page.title() == f"{HOSTILE} · labels"


def test_two_people_place_through_a_reload_and_a_kill_and_nothing_is_lost_or_doubled(
    browser: Browser, tmp_path: Path
) -> None:
    room, port, names = ladder_room(tmp_path, 41), free_port(), ("ann", "bob")
    counts = ("--ask", "ladder", "--ratings", "41", "--no-pictures", "--port", str(port))
    arguments = ("ui", "CartPole-v1", "--db", str(room.store.path), *counts, *(f"--annotator={name}" for name in names))
    access = Access(secret_beside(room.store.path), names)
    server = ServerProcess(*arguments)
    with people(browser, 2) as pair:
        for name, one in zip(names, pair, strict=True):
            one.open(f"{server.url}/#token={access.token(name)}")
        for turn in range(20):
            for i, one in enumerate(pair):
                if (turn, i) == (8, 0):
                    shown = one.question
                    one.page.reload()
                    assert one.question == shown
                if (turn, i) == (12, 1):
                    shown, low = one.question, rungs(one.page)[-1]
                    one.page.keyboard.press("End")
                    server.end()
                    one.page.keyboard.press("Enter")
                    one.page.wait_for_function(
                        "() => document.getElementById('status').textContent.startsWith('Not saved')"
                    )
                    server = ServerProcess(*arguments)
                    one.await_other(shown)
                    one.stored[shown] = f":{low}"
                else:
                    place_by_keys(one, room)
    server.end()
    after = LadderDesk(LabelStore(room.store.path), names)
    assert [after.words(name) for name in names] == [one.stored for one in pair]
    assert [len(one.stored) for one in pair] == [20, 20]
    assert len({*pair[0].stored, *pair[1].stored}) == 40
