"""The page over HTTP: who is let in, what is stored before it is shown, and what is refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from rmgym.feedback.ask import ask
from rmgym.feedback.plan import QuestionPlan
from rmgym.feedback.questions import Question
from rmgym.feedback.store import LabelStore
from rmgym.feedback.teachers.program import ProgramTeacher
from rmgym.text import TextBatch
from tests.ui.labelling import ENV, Room, asked, steps_of

HOSTILE = "</script><script>document.title='gone'</script><img src=x onerror=alert(1)>'\""


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return asked(tmp_path / "labels.sqlite")


@pytest.fixture
def room(store: LabelStore) -> Room:
    return Room(store)


def test_an_answer_is_on_the_disk_before_the_next_question_comes(room: Room) -> None:
    ann = room.labeller("ann")
    first = ann.question
    assert ann.answer("8") == 200
    assert ann.question not in ("", first)
    with LabelStore(room.store.path)._database.transaction() as session:
        assert session.connection().exec_driver_sql("SELECT annotator, value, levels, source FROM answer").all() == [
            ("ann", 8.0, 10, "human")
        ]


def test_without_a_token_or_with_another_one_there_is_only_a_login(room: Room) -> None:
    gone = room.sessions.begin("cid")  # who may not label here any more
    for session in (None, "", "wrong", room.access.token("ann"), room.access.post_token("ann"), gone):
        client = room.client(session=session)
        page = client.get("/")
        assert page.status_code == 401
        assert 'id="login"' in page.text
        assert "Keep the pole" not in page.text
        for path, content in (("/answer", {"question": "r1", "answer": "3"}), ("/undo", {"question": "r1"})):
            answer = client.post(path, json=content)
            assert answer.status_code == 401
            assert answer.json()["error"]["fix"]
        assert client.get("/clips/0.webp").status_code == 401
    assert room.answers() == []


def test_a_token_logs_in_and_the_cookie_is_no_scripts(room: Room) -> None:
    client = room.client()
    assert client.post("/login", json={"token": "wrong"}).status_code == 401
    answer = client.post("/login", json={"token": room.access.token("bob")})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=86400" in cookie
    assert room.access.token("bob") not in cookie
    assert "secure" not in cookie
    assert '<span class="who">bob</span>' in client.get("/").text
    encrypted = TestClient(room.app, base_url="https://127.0.0.1")
    assert "secure" in encrypted.post("/login", json={"token": room.access.token("bob")}).headers["set-cookie"].lower()


def test_who_logs_out_is_out_also_where_the_cookie_was_copied_and_the_page_begins_anew(room: Room) -> None:
    ann, other = room.labeller("ann"), room.labeller("ann")
    copied = ann.client.cookies[room.access.cookie]
    assert ann.client.post("/logout", json={}, headers={"X-Post-Token": "wrong"}).status_code == 403
    assert ann.client.post("/logout", json={}).status_code == 204
    assert room.access.cookie not in ann.client.cookies
    for again in (room, Room(room.store)):
        assert again.client(session=copied).get("/").status_code == 401
        assert again.client(session=other.client.cookies[room.access.cookie]).get("/").status_code == 200
    assert ann.client.post("/logout", json={}).status_code == 401
    assert ann.answer() == 401  # from a page that was open still
    assert room.answers() == []


def test_posts_of_other_sites_are_refused(room: Room) -> None:
    """They bring the cookie along; what they cannot bring is each of the rest."""
    ann = room.labeller("ann")
    content = {"question": ann.question, "answer": "3"}
    right = ann.client.headers["X-Post-Token"]
    others = room.labeller("ann").client.headers["X-Post-Token"], room.labeller("bob").client.headers["X-Post-Token"]
    for token in ("", "wrong", *others, room.access.token("ann")):
        assert ann.client.post("/answer", json=content, headers={"X-Post-Token": token}).status_code == 403
        assert ann.client.post("/undo", json=content, headers={"X-Post-Token": token}).status_code == 403
    assert ann.client.post("/answer", json=content, headers={"Origin": "http://evil.example"}).status_code == 403
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ann.client.post("/answer", content="question=r1&answer=3", headers=form).status_code == 415
    plain = {"Content-Type": "text/plain"}
    assert ann.client.post("/answer", content='{"question": "r1"}', headers=plain).status_code == 415
    assert ann.client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert ann.client.get("/answer").status_code == 405
    assert room.answers() == []
    assert ann.client.post("/answer", json=content, headers={"X-Post-Token": right}).status_code == 200


@pytest.mark.parametrize(
    "content",
    [{}, [], "3", {"question": 1, "answer": 3}, {"question": "r1"}, {"question": "r" * 300, "answer": "3"}],
)
def test_what_is_no_answer_is_refused(room: Room, content: object) -> None:
    ann = room.labeller("ann")
    answer = ann.client.post("/answer", json=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["fix"]


@pytest.mark.parametrize("word", ["11", "0", "left", "", "<script>", "7.5", "NaN"])
def test_words_that_do_not_fit_are_refused_and_the_question_stays(room: Room, word: str) -> None:
    ann = room.labeller("ann")
    before = ann.question
    assert ann.client.post("/answer", json={"question": before, "answer": word}).status_code == 400
    assert ann.client.post("/answer", json={"question": "r000", "answer": "3"}).status_code == 400
    assert ann.read().question == before
    assert room.answers() == []


def test_long_posts_are_not_read(room: Room) -> None:
    ann = room.labeller("ann")
    read = list[int]()

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1000)
            yield b" " * 1000

    answer = ann.client.post("/answer", json={"question": "r" * 20_000, "answer": "3"})
    assert answer.status_code == 413
    assert answer.json()["error"]["rule"] == "an answer has at most 10000 bytes"
    parts = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    assert ann.client.post("/answer", content=islice(endless(), 10_000), headers=parts).status_code in (400, 413)
    assert room.answers() == []


def test_two_browsers_on_one_question(room: Room) -> None:
    """What the first one says counts; the second one is told, and goes on with the next question."""
    first, second = room.labeller("ann"), room.labeller("ann")
    question = first.question
    assert second.question == question
    assert first.answer("3") == 200
    assert second.answer("9") == 409
    assert "Not stored" in second.html
    assert "3 before" in second.html
    assert second.question == first.question != question
    assert [row.value for row in room.store.answers("ann")] == [3.0]


def test_the_same_answer_twice_is_one(room: Room) -> None:
    ann = room.labeller("ann")
    question = ann.question
    assert ann.answer("3", question) == 200
    shown = ann.question
    assert ann.answer("3", question) == 200
    assert ann.question == shown
    assert len(room.answers()) == 1


def test_a_reload_shows_the_same_question(room: Room) -> None:
    ann = room.labeller("ann")
    for _ in range(3):
        shown = ann.question
        assert ann.read().question == shown
        ann.answer()
    assert len(room.answers()) == 3


def test_a_page_that_was_open_while_the_server_was_killed_goes_on(room: Room) -> None:
    ann, bob = room.labeller("ann"), room.labeller("bob")
    ann.answer()
    bob.answer()
    after = Room(room.store)  # nothing but the database and the secret is left
    for labeller in (ann, bob):
        headers = dict(labeller.client.headers)
        labeller.client = after.client(session=labeller.client.cookies[room.access.cookie])
        labeller.client.headers["X-Post-Token"] = headers["x-post-token"]
    assert ann.answer() == 200
    while ann.question:
        assert ann.answer() == 200
    while bob.read().question:
        assert bob.answer() == 200
    assert sorted(query for _, query in after.answers()) == list(range(1, 13))


def test_undo(room: Room) -> None:
    ann = room.labeller("ann")
    first = ann.question
    ann.answer("3")
    assert ann.undo() == 200
    assert ann.question == first
    assert room.answers() == []
    ann.answer("4")
    assert [row.value for row in room.store.answers("ann")] == [4.0]


def test_answers_by_a_measure_are_the_labels_of_a_script_with_it(room: Room, tmp_path: Path) -> None:
    """So a model that is fitted on them is the same one."""
    steps, texts, _ = steps_of()
    script = LabelStore(tmp_path / "script.sqlite")
    # CartPole's own reward is the same everywhere; here the pole's angle after each step is what counts.
    teacher = ProgramTeacher(lambda steps: -np.abs(steps.next_obs[:, 2]))
    ask(script, teacher, steps, texts, QuestionPlan(ratings=0, preferences=6, length=5))
    wanted = script.labels().preferences
    worth = dict(zip(texts.strings(), (-np.abs(steps.next_obs[:, 2])).tolist(), strict=True))
    ann = Room(room.store, ["ann"]).labeller("ann")
    while ann.question:
        question = room.desk.questions[ann.question]
        if question.right is None:
            assert ann.answer("skip") == 200
            continue
        left, right = (sum(worth[text] for text in side.strings()) for side in (question.left, question.right))
        assert ann.answer("left" if left > right else "right") == 200
    given = room.store.labels().preferences
    assert given is not None
    assert wanted is not None
    assert given.steps.strings() == wanted.steps.strings()
    for name in ("left", "right", "choice", "margin"):
        np.testing.assert_array_equal(getattr(given, name), getattr(wanted, name))
    np.testing.assert_array_equal(*(labels.groups[:, None] == labels.groups for labels in (given, wanted)))


def test_at_the_end_it_says_so(room: Room) -> None:
    ann = room.labeller("ann")
    while ann.question:
        assert ann.answer() == 200
    assert "All questions for you are answered" in ann.html
    assert ann.undo() == 200
    assert ann.question != ""


def test_progress_and_anchors(room: Room) -> None:
    ann = room.labeller("ann")
    assert "0 answered, 12 left" in ann.html
    assert "Once you have given two different ratings" in ann.html
    ann.answer("2")
    ann.answer("9")
    assert "2 answered, 10 left" in ann.html
    assert re.findall(r"<h2>(you gave \d+)</h2>", ann.html) == ["you gave 2", "you gave 9"]


def test_examples_show_what_low_and_high_mean_from_the_first_question_on(store: LabelStore) -> None:
    _, texts, _ = steps_of()
    rows = {"low": texts[[3]], "high": texts[[5]]}
    examples = {word: Question(id=0, kind="rating", left=text, right=None) for word, text in rows.items()}
    ann = Room(store, ["ann"], examples=examples).labeller("ann")
    assert re.findall(r"<h2>(.*)</h2>", ann.html) == ["an example of low", "an example of high"]
    for text in rows.values():
        first, after = text.numbers[0], text.numbers[4]
        assert f"{first:.3f} → {after:.3f}" in ann.html
    ann.answer("2")
    ann.answer("9")
    assert re.findall(r"<h2>(.*)</h2>", ann.html)[-2:] == ["you gave 2", "you gave 9"]
    while ann.field("kind") == "rating":
        ann.answer()
    assert "an example of" not in ann.html


def test_names_and_texts_are_text(store: LabelStore) -> None:
    name = HOSTILE[:60]
    room = Room(store, [name], env=HOSTILE)
    html = room.labeller(name).html
    assert html.count("<script") == 2  # our own files
    assert "<img" not in html
    assert "&lt;script&gt;document.title" in html
    ann = room.labeller(name)
    assert ann.answer("9", HOSTILE) == 400
    assert ann.answer(HOSTILE) == 400


def test_texts_of_steps_are_text(tmp_path: Path) -> None:
    """An environment may say anything, here beside a card's words and in place of them."""
    store, (steps, texts, _) = LabelStore(tmp_path / "labels.sqlite"), steps_of()
    strings = [texts.strings()[0].replace("to the", HOSTILE), HOSTILE + "\x1b[31m"]
    hostile = TextBatch.from_strings(strings)
    store.add_rating_queries(steps[:2], hostile, np.arange(2))
    store.add_preference_queries(steps[:2], hostile, np.array([[0, 1]]), 1)
    ann = Room(store, ["ann"]).labeller("ann")
    for word in ("1", "2", "left"):
        assert ann.html.count("<script") <= 2  # our own files, at first
        assert "<img" not in ann.html
        assert "&lt;script&gt;document" in ann.html
        assert "\x1b" not in ann.html
        assert ann.answer(word) == 200


def test_what_the_page_may_load_is_its_own(room: Room) -> None:
    page = room.client().get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page.text)) == {"data:,", "/static/ui.css", "/static/ui.js"}
    client = room.client()
    assert client.get("/static/ui.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/static/../access.py").status_code == 404
    assert client.get("/static/..%2faccess.py").status_code == 404


def test_progress_shows_everybody_and_whether_they_agree(store: LabelStore) -> None:
    room = Room(store, ["ann", HOSTILE[:60]], overlap=1.0)
    ann, eve = room.labeller("ann"), room.labeller(HOSTILE[:60])
    page = ann.client.get("/progress").text
    assert "nobody shares a question" in page
    for word, other in (("1", "3"), ("9", "8"), ("5", "5"), ("skip", "2")):
        ann.answer(word)
        eve.answer(other)
    page = ann.client.get("/progress").text
    rows = [re.findall(r">([^<>\n]*)</t[dh]>", row) for row in page.split("<tr>")[2:]]
    assert rows[0] == ["ann", "3", "0", "1", "8", "0.91 of 3"]
    assert rows[1][1:] == ["4", "0", "0", "8", "0.91 of 3"]
    assert "Ratings that several have answered: 3; Krippendorff's alpha over all of them is <b>0.91</b>" in page
    assert "nobody shares a question" not in page
    assert page.count("<script") == 2
    assert "<img" not in page
    assert room.client().get("/progress").status_code == 401


def test_all_answers_come_as_a_table_that_computes_nothing(store: LabelStore) -> None:
    name = "=1+2"
    room = Room(store, [name, "ann"])
    eve = room.labeller(name)
    assert eve.client.get("/answers.csv").status_code == 404  # there are none
    eve.answer("3")
    room.labeller("ann").answer("8")
    file = eve.client.get("/answers.csv")
    assert file.headers["content-type"].startswith("text/csv")
    assert file.headers["content-disposition"] == 'attachment; filename="answers.csv"'
    rows = [*csv.DictReader(io.StringIO(file.text))]
    assert [(row["annotator"], row["kind"], row["value"]) for row in rows] == [
        ("'=1+2", "rating", "3.0"),
        ("ann", "rating", "8.0"),
    ]
    assert rows[0]["left"].startswith("Task: Keep the pole")
    assert room.client().get("/answers.csv").status_code == 401


def test_pictures_come_when_they_are_ready(room: Room) -> None:
    ann = room.labeller("ann")
    assert "data-src" not in ann.html
    assert ann.client.get("/clips/abc.webp").status_code == 404
    room.pictures.are_coming = True
    digest = re.search(r'data-src="/clips/(\w+)\.webp" data-frames="2"', ann.read().html)
    assert digest
    assert ann.client.get(f"/clips/{digest[1]}.webp").status_code == 503
    room.pictures._sheets[digest[1]] = b"picture"
    assert ann.client.get(f"/clips/{digest[1]}.webp").content == b"picture"


def test_a_step_to_place_is_shown_beside_its_neighbours(store: LabelStore) -> None:
    room = Room(store, ["ann"], on_ladder=True)
    ann = room.labeller("ann")
    (rung,) = room.desk.turn("ann").rungs
    assert ann.field("kind") == "placement"
    shown = ann.client.get(f"/beside/{ann.question}", params={"low": rung}).text
    assert re.findall(r'<th scope="col">([^<]*)</th>', shown) == ["what", "below", "this step"]
    shown = ann.client.get(f"/beside/{ann.question}", params={"low": rung, "high": rung}).text
    assert re.findall(r'<th scope="col">([^<]*)</th>', shown) == ["what", "below", "this step", "above"]
    assert ann.answer(f":{rung}") == 200
    assert ann.answer(f":{rung}") == 409
    assert "another ladder" in ann.html
    for path in ("/beside/r000", f"/beside/{HOSTILE}", f"/beside/{rung}?low=r000"):
        refused = ann.client.get(path)
        assert refused.status_code in (400, 404)
        assert "<script" not in refused.text or refused.headers["content-type"] == "application/json"
    assert room.client().get(f"/beside/{rung}").status_code == 401


def test_texts_on_a_ladder_are_text(tmp_path: Path) -> None:
    store, (steps, texts, _) = LabelStore(tmp_path / "labels.sqlite"), steps_of()
    strings = [texts.strings()[0].replace("to the", HOSTILE), HOSTILE + "\x1b[31m", texts.strings()[2]]
    store.add_rating_queries(steps[:3], TextBatch.from_strings(strings), np.arange(3))
    ann = Room(store, ["ann"], on_ladder=True).labeller("ann")
    for _ in range(2):
        html = ann.html + ann.client.get(f"/beside/{ann.question}", params={"low": ann.question}).text
        assert html.count("<script") <= 2  # our own files
        assert "<img" not in html
        assert "&lt;script&gt;document" in html
        assert "\x1b" not in html
        rung = re.findall(r'class="rung" data-code="(\w+)"', ann.html)[0]
        assert ann.answer(f"{rung}:") == 200


def test_the_environment_is_named(room: Room) -> None:
    assert f"<title>{ENV} · labels</title>" in room.labeller("ann").html
