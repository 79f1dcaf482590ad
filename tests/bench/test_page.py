"""The report in a real browser: it draws, says what it should, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import Page, Route

from rmgym.bench.report import write_report
from rmgym.runs.record import read_runs
from tests.bench.conftest import Demo
from tests.bench.folders import write_run
from tests.browsers import PATIENCE, launched

TRACES = "id => document.getElementById(id).data.map(trace => [trace.name, trace.x.length])"


@dataclass
class Browser:
    """A page, what it complained about, and what it asked the network for."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    def open(self, file: Path) -> Page:
        self.page.goto(file.as_uri(), timeout=PATIENCE)
        self.page.wait_for_function("document.body.dataset.drawn === 'yes'", timeout=PATIENCE)
        return self.page


@pytest.fixture(scope="module")
def started(chromium: str) -> Iterator[PlaywrightBrowser]:
    with launched(chromium) as browser:
        yield browser


@pytest.fixture
def browser(started: PlaywrightBrowser) -> Iterator[Browser]:
    context = started.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    made = Browser(context.new_page())

    def route(call: Route) -> None:
        if call.request.url.startswith("file:"):
            call.continue_()
        else:
            made.requests.append(call.request.url)
            call.abort()

    context.route("**/*", route)
    made.page.on("console", lambda message: made.complaints.append(message.text))
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    yield made
    context.close()


def test_the_demos_report_is_drawn_offline(browser: Browser, demo: Demo) -> None:
    page = browser.open(demo.folder / "report.html")
    plots = ["true-0", "learned-0", "arms-0", "scatter-0-0", "scatter-1-0", "scatter-3-0", "scatter-4-0"]
    assert page.locator(".plot").evaluate_all("all => all.map(plot => plot.id)") == plots
    for plot in plots:
        assert page.locator(f"#{plot} svg.main-svg").count() >= 1
    assert page.evaluate(TRACES, "true-0") == [
        ["learned", 2],
        ["no-lm", 2],
        ["true", 2],
        ["shuffled", 2],
        ["random", 2],
    ]
    assert page.evaluate(TRACES, "learned-0") == [["learned", 2], ["no-lm", 2]]
    assert page.evaluate(TRACES, "arms-0") == [
        ["random", 1],
        ["shuffled", 1],
        ["true", 1],
        ["no-lm", 1],
        ["learned", 1],
    ]
    assert page.evaluate(TRACES, "scatter-0-0") == [["learned", 800]]
    assert page.locator("#scatter-0-0 .scatterlayer .points path").count() == 800
    rows = [row.split("\t") for row in page.locator("table").inner_text().splitlines()]
    assert [row[0] for row in rows] == ["reward", "learned", "no-lm", "true", "shuffled", "random", "random policy"]
    assert rows[0][1:4] == ["seeds", "labels", "true return"]
    assert rows[1][1:3] == ["1", "100"]
    assert (
        "Trained on learned (100 labels) alone, PPO reached a true return of" in page.locator(".verdict").inner_text()
    )
    assert browser.requests == []
    assert browser.complaints == []


@pytest.mark.parametrize("width", [1400, 800, 420])
def test_nothing_is_wider_than_the_window(browser: Browser, tmp_path: Path, width: int) -> None:
    write_run(tmp_path / "a", reward="a-reward-with-a-name-of-some-length")
    write_run(tmp_path / "b", reward="true", model="true", labels=0)
    browser.page.set_viewport_size({"width": width, "height": 900})
    page = browser.open(write_report(read_runs([tmp_path]), tmp_path / "report.html"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_and_light_follow_the_reader(browser: Browser, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    page = browser.open(write_report(read_runs([tmp_path]), tmp_path / "report.html"))
    colours = set[str]()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_timeout(500)
        colours.add(page.evaluate("document.getElementById('true-0').layout.font.color"))
    assert len(colours) == 2


def test_hostile_names_are_shown_as_they_are(browser: Browser, tmp_path: Path) -> None:
    hostile = "</script><script>document.title='gone'</script><img src=http://example.com/x onerror=alert(1)>"
    write_run(tmp_path / "a", env=hostile, reward=f"{hostile}&amp;", env_kwargs={"map": hostile})
    file = write_report(read_runs([tmp_path]), tmp_path / "report.html", title=hostile, about=hostile)
    page = browser.open(file)
    assert page.title() == hostile
    assert page.locator("h1").inner_text() == hostile
    assert page.locator("td").first.inner_text() == f"{hostile}&amp;"
    assert page.locator("img").count() == 0
    assert browser.requests == []
    assert browser.complaints == []
