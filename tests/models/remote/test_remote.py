"""The model ``remote`` is the served one, whatever happens to its server; or it says clearly why not."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback

import rmgym
from rmgym.errors import ModelError, RunError
from rmgym.models import create_reward_model, load_reward_model
from rmgym.models.contract import RewardModelContract
from rmgym.models.files import MANIFEST, digest_of, read_manifest
from rmgym.models.registry import restore_model
from rmgym.models.remote.connection import token_of_environment
from rmgym.models.remote.model import RemoteRewardModel
from rmgym.runs.train import train
from rmgym.sb3.agents import make_agent
from rmgym.sb3.saving import load_agent, save_agent
from rmgym.serving.listening import listen
from rmgym.storage.atomic import write_json
from tests.doubles import ToyReward
from tests.sb3.small import PPO_SMALL, parameters
from tests.serving.serving import TEXTS, ServerProcess, free_port, hang_up, served


def remote(url: str, **options: Any) -> RemoteRewardModel:
    return RemoteRewardModel.create(url=url, **{"wait": 60, **options})


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


class Contract(RewardModelContract):
    """The contract, with a server for each of two models."""

    served_model: ClassVar[Any]
    other_model: ClassVar[Any]
    urls: ClassVar[list[str]] = []

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def servers(cls) -> Iterator[None]:
        with served(cls.served_model) as one, served(cls.other_model) as other:
            cls.urls = [one, other]
            yield

    def make_model(self) -> RemoteRewardModel:
        return remote(self.urls[0], batch=2)

    def make_other(self) -> RemoteRewardModel:
        return remote(self.urls[1])


class TestRemote(Contract):
    served_model = create_reward_model("random", seed=3)
    other_model = create_reward_model("random", seed=4)


class TestRemoteOfACard(Contract):
    served_model = create_reward_model(
        "seq2seq", vocab_size=512, embedding_dim=16, hidden_dim=16, num_layers=1, num_heads=2
    ).accept_random_weights()
    other_model = create_reward_model("constant")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def card(cls) -> None:
        cls.served_model.card_hash = "ours"


del Contract, RewardModelContract  # else pytest would run them here as well


def test_a_url_is_a_model_and_a_process_keeps_to_the_one_it_found() -> None:
    with served(create_reward_model("random")) as url:
        model = load_reward_model(url)
        assert isinstance(model, RemoteRewardModel)
        assert load_reward_model(url) is model
        assert model.digest == create_reward_model("random").digest
    assert load_reward_model("https://rm.example.org:1234").options.url == "https://rm.example.org:1234"  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="by its URL"):
        load_reward_model("remote")


def test_describe_says_what_is_served() -> None:
    served_model = create_reward_model("random", seed=5)
    with served(served_model) as url:
        said = remote(url).describe()
    assert said["served"] == served_model.describe()
    assert (said["url"], said["model"]) == (url, "remote")


def test_the_token_is_neither_saved_nor_shown_nor_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(create_reward_model("random"), token="s3cret") as url:
        model = remote(url, token="s3cret")
        folder = model.save(tmp_path / "model")
        shown = [repr(model), json.dumps(model.describe()), str(vars(pickle.loads(pickle.dumps(model))))]
        assert not any("s3cret" in text for text in (*shown, *(file.read_text() for file in folder.iterdir())))
        assert b"s3cret" not in pickle.dumps(model)
        assert copy.deepcopy(model) is model
        monkeypatch.setenv("RMGYM_TOKEN", "s3cret")
        for other in (load_reward_model(url), pickle.loads(pickle.dumps(model))):
            assert np.array_equal(other.predict(TEXTS).mean, model.predict(TEXTS).mean)
        loaded = load_reward_model(folder, allow_remote=True)
        for other in (loaded, pickle.loads(pickle.dumps(loaded))):
            with pytest.raises(ModelError, match=r"by a token[\s\S]*a saved folder sends no token"):
                other.predict(TEXTS)


def folder_of(url: str, folder: Path) -> Path:
    """A saved model of a server that nobody has asked."""
    model = remote(url)
    model._served = {"digest": "0123456789abcdef", "card_hash": None}
    return model.save(folder)


@contextmanager
def stranger(leads_to: str = "", *, refuses: bool = False) -> Iterator[tuple[str, list[str | None]]]:
    """A server that notes the tokens which it is sent, and its URL; it may send clients on, or refuse them (401)."""
    tokens = list[str | None]()

    class Greedy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            tokens.append(self.headers["Authorization"])
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(307 if leads_to else 401 if refuses else 404)
            self.send_header("Location", leads_to + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Greedy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", tokens
        finally:
            server.shutdown()
            thread.join()


def test_a_strangers_folder_is_refused_and_asks_nobody(tmp_path: Path) -> None:
    with stranger() as (url, tokens):
        folder = folder_of(url, tmp_path / "model")
        env = gymnasium.make("Pendulum-v1")
        uses = [
            lambda: load_reward_model(folder),
            lambda: rmgym.LearnedRewardWrapper(env, folder),
            lambda: make_agent("ppo", "Pendulum-v1", reward_model=folder, seed=0, **PPO_SMALL),
            lambda: restore_model(folder),
        ]
        assert load_reward_model(folder, allow_remote=True).digest == "0123456789abcdef"
        for use in uses:  # also after it was loaded on purpose
            with pytest.raises(ModelError, match="does not choose by itself who gets the texts") as raised:
                use()
            assert url in str(raised.value.got)
            assert "allow_remote=True" in raised.value.fix
    assert tokens == []


def test_a_token_of_the_environment_goes_to_a_url_that_was_given_and_to_no_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMGYM_TOKEN", "s3cret")
    with stranger() as (url, tokens):
        folder = folder_of(url, tmp_path / "model")
        for model in (
            load_reward_model(folder, allow_remote=True),
            remote(url, digest="0123456789abcdef"),
            remote(url, digest="0123456789abcdef", token="another"),
        ):
            model._served = {"digest": "0123456789abcdef", "card_hash": None}  # type: ignore[attr-defined]
            with pytest.raises(ModelError, match="a reward server answers at this URL"):
                model.predict(TEXTS)
    assert tokens == [None, "Bearer s3cret", "Bearer another"]


@pytest.mark.parametrize(
    ("url", "host", "sent"),
    [
        ("http://127.0.0.1:8765", None, True),
        ("http://localhost:8765", "", True),
        ("http://[::1]:8765", None, True),
        ("http://rm.example.org:8765", None, False),
        ("http://127.0.0.1.example.org:8765", None, False),
        ("http://rm.example.org:8765", "rm.example.org", True),
        ("http://RM.example.org:8765", "rm.EXAMPLE.org:8765", True),
        ("https://rm.example.org", "rm.example.org:443", True),
        ("http://rm.example.org", "rm.example.org:443", False),
        ("http://rm.example.org:8765", "rm.example.org:8766", False),
        ("http://evil.rm.example.org:8765", "rm.example.org", False),
        ("http://rm.example.org.evil.net:8765", "rm.example.org", False),
        ("http://[2001:db8::1]:8765", "[2001:db8::1]:8765", True),
        ("http://[2001:db8::1]:8765", "[2001:db8::1]", True),
        ("http://127.0.0.1:8765", "rm.example.org", False),
    ],
)
def test_which_server_the_token_of_the_environment_is_for(
    url: str, host: str | None, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RMGYM_TOKEN_HOST", raising=False)
    if host is not None:
        monkeypatch.setenv("RMGYM_TOKEN_HOST", host)
    monkeypatch.setenv("RMGYM_TOKEN", "s3cret")
    assert token_of_environment(url) == ("s3cret" if sent else None)
    monkeypatch.setenv("RMGYM_TOKEN", "")
    assert token_of_environment(url) is None


def test_a_typed_url_of_another_host_gets_the_token_that_is_for_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is asked for who is sent no token; in http, it would read one."""
    look_up = socket.getaddrinfo

    def looked_up(host: str, *rest: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host == "rm.example.org" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    monkeypatch.setenv("RMGYM_TOKEN", "s3cret")
    monkeypatch.delenv("RMGYM_TOKEN_HOST", raising=False)
    with stranger(refuses=True) as (there, tokens), stranger(refuses=True) as (proxy, passed):
        monkeypatch.setenv("http_proxy", proxy)
        port = there.rpartition(":")[2]
        for url in (f"http://rm.example.org:{port}", "http://rm.example.org:1"):
            with pytest.raises(ModelError, match=r"sent none\n.*set RMGYM_TOKEN_HOST=rm\.example\.org:"):
                _ = remote(url).digest
            monkeypatch.setenv("RMGYM_TOKEN_HOST", f"rm.example.org:{port}")
        for token in ({}, {"token": "another"}):
            with pytest.raises(ModelError, match="a reward server answers at this URL"):
                _ = remote(f"http://rm.example.org:{port}", **token).digest
    assert (passed, tokens) == ([None, None], ["Bearer s3cret", "Bearer another"])


def test_nobody_is_sent_on_to_another_host() -> None:
    with stranger() as (other, others), stranger(leads_to=other) as (url, tokens):
        model = remote(url, token="s3cret", digest="0123456789abcdef")
        model._served = {"digest": "0123456789abcdef", "card_hash": None}
        with pytest.raises(ModelError, match="a reward server answers at this URL"):
            model.predict(TEXTS)
    assert (tokens, others) == (["Bearer s3cret"], [])


def test_a_token_that_somebody_wrote_into_a_folder_is_not_sent(tmp_path: Path) -> None:
    with stranger() as (url, tokens):
        folder = folder_of(url, tmp_path / "model")
        manifest = read_manifest(folder)
        manifest["config"]["token"] = "theirs"
        manifest["digest"] = digest_of({"model": "remote", **manifest["config"]})
        write_json(folder / MANIFEST, manifest)
        with pytest.raises(ModelError, match="a reward server answers at this URL"):
            load_reward_model(folder, allow_remote=True).predict(TEXTS)
    assert tokens == [None]


def test_an_agent_of_a_server_is_loaded_where_the_server_is_named_again(tmp_path: Path) -> None:
    with served(create_reward_model("random")) as url:
        agent = make_agent("ppo", "Pendulum-v1", reward_model=url, seed=0, **PPO_SMALL)
        file = save_agent(agent, tmp_path / "agent.zip")
        with pytest.raises(RunError, match="does not choose by itself who gets the texts") as raised:
            load_agent(file)
        assert f"reward_model='{url}'" in raised.value.fix
        assert np.array_equal(parameters(load_agent(file, url)), parameters(agent))


def test_a_forked_process_has_a_connection_of_its_own() -> None:
    with served(create_reward_model("random")) as url:
        code = (
            "import os, sys, rmgym\n"
            "model = rmgym.load_reward_model(sys.argv[1])\n"
            "expected = model.predict(['a 1']).mean\n"
            "child = os.fork()\n"
            "same = all(model.predict([f'a {i}', 'a 1']).mean[1] == expected for i in range(50))\n"
            "os._exit(not same) if child == 0 else sys.exit(not same or os.waitpid(child, 0)[1])\n"
        )
        subprocess.run([sys.executable, "-c", code, url], check=True, timeout=60)


def test_a_saved_model_insists_on_what_was_served_then(tmp_path: Path) -> None:
    with served(create_reward_model("random", seed=1)) as url:
        folder = remote(url).save(tmp_path / "model")
    with served(create_reward_model("random", seed=2), port=int(url.rpartition(":")[2])):
        loaded = load_reward_model(folder, allow_remote=True)
        assert loaded.digest == create_reward_model("random", seed=1).digest
        with pytest.raises(ModelError, match="serves the model that was asked first"):
            loaded.predict(TEXTS)
        with pytest.raises(ModelError, match="serves the model that was asked first"):
            loaded.describe()
        with pytest.raises(ModelError, match="serves the model that was asked first"):
            remote(url, digest="0123").predict(TEXTS)


def test_a_server_restarted_with_another_model_scores_nothing() -> None:
    one, other = create_reward_model("constant", value=1.0), create_reward_model("constant", value=2.0)
    with served(one) as url:
        model = remote(url)
        assert model.predict(TEXTS).mean[0] == 1
    port = int(url.rpartition(":")[2])
    with served(other, port=port), pytest.raises(ModelError) as raised:
        model.predict(TEXTS)
    assert one.digest in raised.value.rule
    assert other.digest in str(raised.value.got)
    with served(one, port=port):
        assert model.predict(TEXTS).mean[0] == 1


def test_a_server_that_is_gone_for_good_is_an_error_after_the_stated_time() -> None:
    with served(create_reward_model("random")) as url:
        model = remote(url, wait=0.3)
        model.predict(TEXTS)
    with (
        pytest.warns(RuntimeWarning, match=r"away \(ConnectError.*waiting for it for up to 0\.3 s") as warned,
        pytest.raises(ModelError, match=rf"answers within 0\.3 s\n.*{url}: ConnectError[\s\S]*fix: start it again"),
    ):
        model.predict(TEXTS)
    assert len(warned) == 1


def test_a_server_that_does_not_answer_counts_as_away() -> None:
    with ServerProcess("/nonexistent/never", module="tests.serving.serving") as server:
        model = remote(server.url, timeout=0.2, wait=0, digest=create_reward_model("random").digest)
        with pytest.raises(ModelError, match=r"within 0 s\n.*ReadTimeout"):
            model.predict(TEXTS)


def test_one_failure_is_no_reason_to_warn() -> None:
    """A connection may end while nothing is asked, so that the next request fails once."""
    with ThreadPoolExecutor(1) as pool:
        listening, url = listen("127.0.0.1", 0)
        asked = pool.submit(remote(url).predict, TEXTS)
        listening.accept()[0].close()
        with served(ToyReward(), at=(listening, url)):
            assert len(asked.result(60)) == len(TEXTS)  # a warning would be an error here


def predict_through_an_outage() -> np.ndarray:
    """Means from a server that is killed while it scores, away for two attempts, and started again."""
    with ThreadPoolExecutor(1) as pool:
        with ServerProcess("/nonexistent/never", module="tests.serving.serving") as server:
            asked = pool.submit(remote(server.url).predict, TEXTS)
            assert server.line() == "scoring\n"
            assert server.end()[0] == -signal.SIGKILL
        hang_up(server.port, 2)
        with ServerProcess("serve", "random", "--port", str(server.port)):
            return asked.result(60).mean


def test_killed_while_it_scores_then_restarted() -> None:
    with pytest.warns(RuntimeWarning, match="is away"):
        got = predict_through_an_outage()
    assert np.array_equal(got, create_reward_model("random").predict(TEXTS).mean)


class KillAt(BaseCallback):
    """Kills the server at the n-th step; it is started again after the client has failed to reach it twice."""

    def __init__(self, server: ServerProcess, calls: int) -> None:
        super().__init__()
        self.server, self.calls = server, calls
        self.restart = Thread(target=self._restart)

    def _on_step(self) -> bool:
        if self.n_calls == self.calls:
            self.server.end()
            self.restart.start()
        return True

    def _restart(self) -> None:
        hang_up(self.server.port, 2)
        self.server = ServerProcess("serve", "random", "--port", str(self.server.port))


@pytest.mark.parametrize("when", ["rollout", "step"])
def test_killed_in_the_middle_of_training_the_agent_is_that_of_an_uninterrupted_run(when: Any) -> None:
    def trained(model: Any, callback: BaseCallback | None = None) -> np.ndarray:
        agent = make_agent("ppo", "Pendulum-v1", reward_model=model, seed=0, when=when, n_envs=2, **PPO_SMALL)
        agent.learn(400, callback)
        return parameters(agent)

    with ServerProcess("serve", "random", "--port", "0") as server:
        kill = KillAt(server, calls=70)
        with pytest.warns(RuntimeWarning, match="is away"):
            interrupted = trained(remote(server.url), kill)
        kill.restart.join()
        with kill.server:
            uninterrupted = trained(remote(server.url))
    assert np.array_equal(interrupted, uninterrupted)
    assert np.array_equal(interrupted, trained("random"))


def test_a_run_is_that_of_the_local_model_and_remembers_its_digest(tmp_path: Path) -> None:
    options: Any = {"total_steps": 96, "episodes": 1, "n_envs": 1, "hyperparameters": PPO_SMALL, "progress": False}
    with served(create_reward_model("random")) as url:
        far = train("ppo", "Pendulum-v1", url, out=tmp_path / "far", **options)
    near = train("ppo", "Pendulum-v1", "random", out=tmp_path / "near", **options)
    assert far.spec.agent.reward.digest == near.spec.agent.reward.digest
    assert far.spec.reward_name == "remote"
    assert far.final["learned_return_mean"] == near.final["learned_return_mean"]
    assert far.final["true_return_mean"] == near.final["true_return_mean"]


def test_what_answers_is_no_reward_server() -> None:
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        assert other.stdout is not None
        url = f"http://127.0.0.1:{other.stdout.readline().split('port ')[1].split()[0]}"
        with pytest.raises(ModelError, match="a reward server answers at this URL"):
            _ = remote(url).digest
        other.kill()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "ftp://127.0.0.1"}, "of the form"),
        ({"url": "127.0.0.1:8765"}, "of the form"),
        ({"url": "http://"}, "of the form"),
        ({"url": "http://a:b@127.0.0.1"}, "holds no password"),
        ({"url": "http://127.0.0.1:8765/?token=1"}, "of the form"),
        ({"url": "http://[::1"}, "of the form"),
        ({"wait": -1}, "0 s or longer"),
        ({"wait": float("nan")}, "0 s or longer"),
        ({"timeout": 0}, "timeout above 0"),
        ({"batch": 0}, "batches of 1"),
        ({"wiat": 1}, "did you mean 'wait'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as raised:
        create_reward_model("remote", **{"url": "http://127.0.0.1:1", **options})
    assert "b@" not in str(raised.value)


def test_a_url_is_required_and_a_token_that_no_header_holds_is_refused_unseen() -> None:
    with pytest.raises(ModelError, match="'url'"):
        create_reward_model("remote")
    with pytest.raises(ModelError, match="printable ASCII") as raised:
        _ = remote(nowhere(), token="my secret").digest
    assert "secret" not in str(raised.value).partition("fix")[0]


def test_nothing_is_asked_for_no_texts_and_nothing_drawn() -> None:
    assert len(remote(nowhere()).predict(TEXTS[[]])) == 0


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, nowhere())
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with served(ToyReward()) as url:
        assert np.array_equal(remote(url).predict(TEXTS).mean, ToyReward().predict(TEXTS).mean)
    assert os.environ["HTTP_PROXY"]


def test_ray_that_does_not_know_its_deployment_yet_is_waited_for() -> None:
    answers = [(404, b"Path '/model' not found. Ping http://.../-/routes for available routes.")] * 2
    answers.append((404, b"nobody knows this page"))

    class Ray(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Ray) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        model = remote(f"http://127.0.0.1:{server.server_port}")
        with pytest.warns(RuntimeWarning, match="is away"), pytest.raises(ModelError, match="nobody knows this page"):
            _ = model.digest
        server.shutdown()
        thread.join()
    assert answers == []
