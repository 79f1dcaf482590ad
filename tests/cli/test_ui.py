"""``rmgym ui``: what it serves and prints, and what it refuses before it listens."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import httpx2
import numpy as np
import pytest
from typer.testing import CliRunner

from rmgym.cli.main import app
from rmgym.environments.collect import collect
from rmgym.feedback.store import LabelStore
from rmgym.transitions import Transitions
from rmgym.ui.access import Access, secret_beside
from tests.serving.serving import ServerProcess, wait_until
from tests.ui.labelling import asked


def refused(*arguments: object) -> dict[str, str]:
    result = CliRunner().invoke(app, ["ui", *map(str, arguments), "--json", "--port", "0"])
    assert result.exit_code == 2, result.output
    error: dict[str, str] = json.loads(result.stdout)["error"]
    return error


def test_the_links_are_the_annotators_own_and_stay(tmp_path: Path) -> None:
    database = tmp_path / "labels.sqlite"
    arguments = ("ui", "CartPole-v1", "--db", str(database), "--ratings", "5", "--steps", "100", "--port", "0")
    printed = list[list[str]]()
    for _ in range(2):
        with ServerProcess(*arguments, "--annotator", "ann", "--annotator", "bob", "--no-pictures") as server:
            token = Access(secret_beside(database), ["ann", "bob"]).token("ann")
            login = httpx2.post(f"{server.url}/login", json={"token": token})
            page = httpx2.get(server.url, headers={"Cookie": login.headers["set-cookie"].partition(";")[0]})
            assert '<span class="who">ann</span>' in page.text
            printed.append([server.line().rpartition("#")[2], server.line()])
    assert printed[0] == printed[1]
    assert printed[0][0].startswith("token=")
    assert printed[0][1].startswith(f"5 questions about CartPole-v1 in {database}.")


def test_pictures_come_while_the_page_is_there(tmp_path: Path) -> None:
    database = asked(tmp_path / "labels.sqlite", ratings=3, preferences=0).path
    data = collect("CartPole-v1", 300, reset_every=25, progress=False).save(tmp_path / "steps.parquet")
    options = ("--ratings", "3", "--annotator", "ann", "--low", "7", "--port", "0")
    arguments = ("ui", str(data), "--db", str(database), *options)
    with ServerProcess(*arguments) as server:
        token = Access(secret_beside(database), ["ann"]).token("ann")
        login = httpx2.post(f"{server.url}/login", json={"token": token})
        cookie = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
        page = httpx2.get(server.url, headers=cookie)
        assert "an example of low" in page.text
        clip, example = re.findall(r'data-src="(/clips/\w+\.webp)"', page.text)

        def picture(path: str) -> httpx2.Response:
            return httpx2.get(server.url + path, headers=cookie)

        wait_until(lambda: picture(clip).status_code == picture(example).status_code == 200)
        assert picture(clip).content[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["CartPole-v1", "--annotator", "a\x1b[31m"], "an annotator's name is printable"),
        (["CartPole-v1", "--annotator", "ann", "--annotator", "ann"], "each annotator is named once"),
        (["CartPole-v1", "--ratings", "3", "--overlap", "2"], "the overlap is a share"),
        (["CartPole-v1", "--ratings", "3", "--levels", "11"], "the page has keys for 2 to 10 levels"),
        (["CartPole-v1", "--ratings", "3", "--levels", "1"], "a person rates on at least 2 levels"),
        (["CartPole-v1", "--ratings", "0"], "something is asked"),
        (["CartPole-v1", "--ask", "ladder", "--ratings", "3", "--preferences", "2"], "a ladder is of steps alone"),
        (["CartPole-v1", "--ask", "ladder", "--ratings", "1"], "a ladder has at least two steps"),
        (["CartPole-v1", "--ratings", "3", "--refit", "constant"], "a model that is fitted has weights"),
        (["CartPole-v1", "--ratings", "3", "--refit", "minlm"], "a reward model is built in"),
        (["Nothing-v0"], "an environment has a registered id"),
        (["nothing.parquet"], ""),
        (["CartPole-v1", "--ratings", "3", "--low", "100"], "an example is one of the steps"),
    ],
)
def test_what_cannot_be_is_refused_before_it_listens(tmp_path: Path, arguments: list[str], rule: str) -> None:
    error = refused(*arguments, "--db", tmp_path / "labels.sqlite", "--steps", 100)
    assert error["rule"].startswith(rule)


def test_names_act_upon_no_terminal(tmp_path: Path) -> None:
    hostile = ("--annotator", "a\x1b[31m", "--ratings", "3", "--steps", "100", "--db", str(tmp_path / "labels.sqlite"))
    result = CliRunner().invoke(app, ["ui", "CartPole-v1", *hostile])
    assert result.exit_code == 2
    assert "a\\x1b[31m" in result.stderr
    assert "\x1b" not in result.output


def test_another_cards_database_and_a_taken_port_are_refused(tmp_path: Path) -> None:
    store = asked(tmp_path / "labels.sqlite")
    assert "one environment" in refused("Pendulum-v1", "--db", store.path)["rule"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = ["ui", "CartPole-v1", "--db", str(store.path), "--ratings", "6", "--no-pictures", "--port", port]
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "free port" in result.stderr


def test_steps_of_an_origin_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros((3, 4), np.float32)
    file = Transitions.from_arrays(zeros, np.zeros(3, np.int64), zeros).save(tmp_path / "steps.parquet")
    assert "where they were collected" in refused(file, "--db", tmp_path / "labels.sqlite")["rule"]


def test_it_says_which_extra_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert refused("CartPole-v1", "--db", tmp_path / "labels.sqlite")["fix"] == "pip install 'rmgym[ui]'"
    assert not LabelStore(tmp_path / "labels.sqlite").path.exists()
