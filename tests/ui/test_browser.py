"""The page in a real browser: people at it lose nothing and double nothing, whatever happens to page and server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from rmgym.feedback.store import LabelStore
from rmgym.serving.listening import listen, run
from rmgym.ui.access import Access, secret_beside
from rmgym.ui.pictures import draw
from rmgym.ui.replies import word_of
from tests.browsers import PATIENCE, launched
from tests.serving.serving import ServerProcess, free_port
from tests.ui.labelling import Room, asked, steps_of

HOSTILE = "</script><script>document.title='gone'</script><img src=x onerror=alert(1)>"
EXPECTED = re.compile("status of (401|409|503)")
"""What a browser says of answers that the page reckons with."""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with launched(chromium) as started:
        yield started


@contextmanager
def served(room: Room) -> Iterator[str]:
    """The page's server in a thread; its URL."""
    listening, url = listen("127.0.0.1", 0)
    ready, servers = Event(), list[Any]()
    ends = {"on_ready": lambda server: (servers.append(server), ready.set())}
    thread = Thread(target=run, args=(room.app, listening), kwargs=ends)
    thread.start()
    assert ready.wait(60)
    try:
        yield url
    finally:
        servers[0].should_exit = True
        thread.join()


@dataclass
class Person:
    """Somebody at a browser of their own: what they answered and were told that it is stored."""

    page: Page
    stored: dict[str, str] = field(default_factory=dict[str, str])

    def open(self, link: str) -> Person:
        self.page.goto(link, timeout=PATIENCE)
        self.page.wait_for_selector("article", timeout=PATIENCE)
        self.page.wait_for_load_state(timeout=PATIENCE)  # keys pressed before the script is there are nobody's
        return self

    @property
    def question(self) -> str:
        return self.page.get_attribute("article", "data-question") or ""

    def press(self, key: str, word: str) -> None:
        """Answer by a key; returns once the page shows the next question."""
        question = self.question
        self.page.keyboard.press(key)
        self.await_other(question)
        self.stored[question] = word

    def await_other(self, question: str) -> None:
        self.page.wait_for_function("q => document.querySelector('article').dataset.question !== q", arg=question)


@contextmanager
def people(browser: Browser, count: int = 1, **options: Any) -> Iterator[list[Person]]:
    contexts = [browser.new_context(**options) for _ in range(count)]
    yield [Person(context.new_page()) for context in contexts]
    for context in contexts:
        context.close()


@contextmanager
def person(browser: Browser, room: Room, annotator: str = "ann", **options: Any) -> Iterator[Person]:
    """Somebody before the first question, whose browser has nothing to complain about."""
    with served(room) as url, people(browser, **options) as (one,):
        complaints = list[str]()
        one.page.on("console", lambda message: complaints.append(message.text))
        one.page.on("pageerror", lambda error: complaints.append(str(error)))
        yield one.open(f"{url}/#token={room.access.token(annotator)}")
        assert [each for each in complaints if not EXPECTED.search(each)] == []


def test_two_people_twenty_pairs_each_a_reload_and_a_kill_nothing_lost_nothing_doubled(
    browser: Browser, tmp_path: Path
) -> None:
    database, port = asked(tmp_path / "labels.sqlite", ratings=0, preferences=40).path, free_port()
    names = ("ann", "bob")
    counts = ("--ratings", "0", "--preferences", "40", "--length", "5", "--no-pictures", "--port", str(port))
    arguments = ("ui", "CartPole-v1", "--db", str(database), *counts, *(f"--annotator={name}" for name in names))
    access = Access(secret_beside(database), names)
    server = ServerProcess(*arguments)
    with people(browser, 2) as pair:
        for name, one in zip(names, pair, strict=True):
            one.open(f"{server.url}/#token={access.token(name)}")
            assert one.page.url == f"{server.url}/"
        for turn in range(20):
            for i, one in enumerate(pair):
                key, word = [("l", "left"), ("r", "right"), ("t", "tie"), ("ArrowLeft", "left")][(turn + i) % 4]
                if (turn, i) == (8, 0):
                    shown = one.question
                    one.page.reload()
                    assert one.question == shown
                if (turn, i) == (12, 1):
                    shown = one.question
                    server.end()
                    one.page.keyboard.press(key)
                    one.page.wait_for_function(
                        "() => document.getElementById('status').textContent.startsWith('Not saved')"
                    )
                    assert one.question == shown
                    server = ServerProcess(*arguments)
                    one.await_other(shown)
                    one.stored[shown] = word
                else:
                    one.press(key, word)
    server.end()
    store = LabelStore(database)
    codes = {question: code for code, question in _codes(store).items()}
    rows = {name: {codes[row.query]: word_of(row) for row in store.answers(name)} for name in names}
    assert rows == {name: one.stored for name, one in zip(names, pair, strict=True)}
    assert [len(store.answers(name)) for name in names] == [20, 20]
    assert sorted(row.query for name in names for row in store.answers(name)) == list(range(1, 41))


def _codes(store: LabelStore) -> dict[str, int]:
    return {code: question.id for code, question in Room(store).desk.questions.items()}


def test_keys_do_what_help_says(browser: Browser, tmp_path: Path) -> None:
    room = Room(asked(tmp_path / "labels.sqlite", ratings=4, preferences=4), ["ann"])
    with person(browser, room) as ann:
        keyboard, first = ann.page.keyboard, ann.question
        keyboard.press("?")
        assert ann.page.locator("#help").is_visible()
        keyboard.press("3")
        keyboard.press("Escape")
        assert not ann.page.locator("#help").is_visible()
        assert ann.question == first
        assert room.answers() == []
        ann.page.click("#open-help")
        ann.page.click("#help button")
        assert not ann.page.locator("#help").is_visible()
        keyboard.press("l")  # no answer to a step that is rated
        ann.press("0", "10")
        keyboard.press("u")
        ann.page.wait_for_function("q => document.querySelector('article').dataset.question === q", arg=first)
        assert room.answers() == []
        for key, word in (("0", "10"), ("1", "1"), ("c", "unsure"), ("s", "skip")):
            ann.press(key, word)
        slider = ann.page.locator("#moment")
        slider.focus()
        pair = ann.question
        keyboard.press("ArrowRight")  # the slider's, while it has the focus
        assert ann.page.locator("output").inner_text() == "1 of 5"
        assert ann.question == pair
        keyboard.press(".")
        assert ann.page.locator("output").inner_text() == "2 of 5"
        keyboard.press(",")
        keyboard.press(",")
        assert ann.page.locator("output").inner_text() == "0 of 5"
        for key, word in (("ArrowRight", "right"), ("t", "tie"), ("l", "left"), ("r", "right")):
            ann.page.evaluate("document.activeElement.blur()")
            ann.press(key, word)
            assert ann.page.evaluate("document.activeElement.className") == "asked"
        assert "All questions for you are answered" in ann.page.inner_text("h1")
    rows = room.store.answers("ann")
    assert [word_of(row) for row in rows] == [*ann.stored.values()]


def test_both_sides_play_in_sync_beside_their_words(browser: Browser, tmp_path: Path) -> None:
    store = asked(tmp_path / "labels.sqlite", ratings=0, preferences=2)
    room = Room(store, ["ann"])
    steps, texts, _ = steps_of()
    room.pictures.take(draw(steps, texts, store.questions()))
    with person(browser, room) as ann:
        ann.page.wait_for_function("() => document.querySelectorAll('.screen.drawn').length === 2")
        question = room.desk.questions[ann.question]
        ann.page.keyboard.press(".")  # stops the clips
        for moment in range(6):
            ann.page.locator("#moment").evaluate(
                "(s, i) => { s.value = i; s.dispatchEvent(new Event('input', {bubbles: true})) }", moment
            )
            places = ann.page.locator("#shown > .clips .screen").evaluate_all(
                "all => all.map(s => s.style.backgroundPosition)"
            )
            assert places == [f"{50 * (moment % 3)}% {100 * (moment // 3)}%"] * 2
            shown = ann.page.locator("#shown > table tbody tr:first-child .now").all_inner_texts()
            for value, side in zip(shown, (question.left, question.right), strict=True):
                assert side is not None
                table = side.numbers.reshape(5, 8)
                assert float(value) == [*table[:, 0], table[-1, 4]][moment]
        left, right = (box.bounding_box() for box in ann.page.locator("figure").all())
        assert left is not None
        assert right is not None
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_is_wider_than_the_window_and_everything_has_a_name(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    store = asked(tmp_path / "labels.sqlite", ratings=3, preferences=1)
    room = Room(store, ["ann"])
    steps, texts, _ = steps_of()
    room.pictures.take(draw(steps, texts, store.questions()))
    with person(browser, room, viewport={"width": width, "height": 800}) as ann:
        for key, word in (("2", "2"), ("9", "9"), ("4", "4"), ("l", "left")):
            assert ann.page.evaluate("document.documentElement.scrollWidth") <= width
            assert ann.page.locator("h1").is_visible()
            nameless = "all => all.filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
            assert ann.page.locator("button, input, progress, [role=img]").evaluate_all(nameless) == 0
            ann.page.evaluate("window.scrollTo(0, 500)")
            assert ann.page.locator("h1").bounding_box()["y"] >= 0  # type: ignore[index]  # the task stays on top
            ann.press(key, word)
        ann.page.click("text=Progress")
        assert ann.page.locator("td").all_inner_texts()[:4] == ["4", "0", "0", "0"]
        assert ann.page.evaluate("document.documentElement.scrollWidth") <= width
        with ann.page.expect_download() as download:
            ann.page.click("text=All answers as CSV")
        assert download.value.suggested_filename == "answers.csv"
        ann.page.click("text=Label")
        ann.page.wait_for_selector("article")


def test_dark_and_light_follow_the_reader(browser: Browser, tmp_path: Path) -> None:
    room = Room(asked(tmp_path / "labels.sqlite", ratings=3, preferences=1), ["ann"])
    with person(browser, room) as ann:
        colours = set[str]()
        for scheme in ("light", "dark"):
            ann.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            colours.add(ann.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(colours) == 2


def test_hostile_names_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    name = HOSTILE[:60]
    room = Room(asked(tmp_path / "labels.sqlite", ratings=3, preferences=1), [name], env=HOSTILE)
    with person(browser, room, name) as eve:
        assert eve.page.locator(".env").inner_text() == HOSTILE
        assert eve.page.locator(".who").inner_text() == name
        assert eve.page.title() == f"{HOSTILE} · labels"
        assert eve.page.locator("img").count() == 0
        eve.press("3", "3")


def test_a_wrong_token_is_nobodys_and_a_right_one_can_be_typed(browser: Browser, tmp_path: Path) -> None:
    room = Room(asked(tmp_path / "labels.sqlite", ratings=3, preferences=1), ["ann"])
    with served(room) as url, people(browser) as (one,):
        one.page.goto(f"{url}/#token=wrong")
        one.page.wait_for_function("() => document.getElementById('status').textContent.includes('nobody')")
        assert one.page.url == f"{url}/"
        one.page.fill("input[name=token]", room.access.token("ann"))
        one.page.keyboard.press("Enter")
        one.page.wait_for_selector("article")
        assert one.page.inner_text(".who") == "ann"
        one.page.click("#logout")
        one.page.wait_for_selector("#login")
        one.page.reload()
        assert one.page.locator("article").count() == 0


def test_two_browsers_of_one_person(browser: Browser, tmp_path: Path) -> None:
    room = Room(asked(tmp_path / "labels.sqlite", ratings=3, preferences=1), ["ann"])
    with served(room) as url, people(browser, 2) as (first, second):
        for one in (first, second):
            one.open(f"{url}/#token={room.access.token('ann')}")
        assert first.question == second.question
        first.press("3", "3")
        second.press("8", "8")
        assert "Not stored" in second.page.inner_text(".notice")
        assert first.question == second.question
    assert [row.value for row in room.store.answers("ann")] == [3.0]
