"""What is done to good files: the harms of :mod:`faults_hostile`, kind by kind.

They are made of what ``tests/hostile.py`` has: values where others belong, names that act on a terminal or on Python's
format language, nesting without end, pipes and devices in the place of files, flipped bytes; and of pickles,
expressions and classes that would leave a file behind (the tripwire) if anything in them were executed.
"""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from faults_jobs import ALGO, SUITE

from rmgym.models.files import MANIFEST, digest_of, read_files, write_model
from rmgym.storage.checksum import signed_json

sys.path.append(str(Path(__file__).parents[1]))  # where tests/ is
from tests.hostile import (
    DEEP_ENOUGH,
    DEEP_JSON,
    DEEP_TOML,
    ESCAPE,
    FIELDS,
    IN_THE_WAY,
    VALUES,
    damaged,
    flipped,
    put_in_the_way,
)

Harm: TypeAlias = tuple[str, Callable[[Path], object]]
"""What is done to a folder of good files, in words and as code."""


class _Payload:
    """Executes something when it is unpickled."""

    def __init__(self, wire: Path) -> None:
        self.wire = wire

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.wire}",)


def _written(file: str, content: str | bytes, folder: Path) -> None:
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))


def _texts(file: str) -> Iterator[Harm]:
    """What may stand in any file of text or numbers."""
    for name, content in {
        "deep JSON": DEEP_JSON,
        "less deep JSON": DEEP_ENOUGH,
        "nothing": "",
        "zeros": "\0" * 9,
    }.items():
        yield f"{file}: {name}", partial(_written, file, content)
    for kind in IN_THE_WAY:
        yield f"{file}: a {kind}", lambda folder, kind=kind: put_in_the_way(folder / file, kind)


def _flipped(source: Path, file: str, count: int) -> Iterator[Harm]:
    """Cut short, or with a byte changed."""
    content = (source / file).read_bytes()
    for number, harmed in enumerate(flipped(content, max(len(content) // count, 1))):
        yield f"{file}: flipped or cut {number}", partial(_written, file, harmed)


def _objects(source: Path, file: str) -> Iterator[Harm]:
    for what, content in damaged(json.loads((source / file).read_text(encoding="utf-8"))):
        yield f"{file}: {what}", partial(_written, file, json.dumps(content))


def _pickled(file: str, wire: Path) -> Harm:
    return f"{file}: a pickle that executes", partial(_written, file, pickle.dumps(_Payload(wire)))


def models(source: Path, wire: Path) -> Iterator[Harm]:
    """Manifests, and configurations with the digest that fits them."""
    yield from _texts(MANIFEST)
    yield from _objects(source, MANIFEST)
    manifest, tensors, texts = read_files(source)
    for what, config in damaged(manifest["config"], (*VALUES, 10**9, f"__import__('os').system('touch {wire}')")):
        digest = digest_of({"model": manifest["model"], **config}, tensors, texts)
        whole = {
            **{k: v for k, v in manifest.items() if k not in ("files", "sha256")},
            "config": config,
            "digest": digest,
        }
        yield f"configuration: {what}", partial(write_model, manifest=whole, tensors=tensors, texts=texts)


def weights(source: Path, wire: Path) -> Iterator[Harm]:
    """Weights and tokenizers, some with the checksums that fit them."""
    manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
    for key, file in manifest["files"].items():
        yield from _texts(file)
        yield from _flipped(source, file, 5)
        yield _pickled(file, wire)
        for what, content in {
            "a pickle": pickle.dumps(_Payload(wire)),
            "a header without end": (2**62).to_bytes(8, "little") + b"{}",
            "a tensor of terabytes": _safetensors(
                {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
            ),
            "deep JSON": DEEP_JSON.encode(),
            "no tokenizer": json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}).encode(),
        }.items():
            yield f"{file}: {what}, its checksum right", partial(_resigned, key, content)
    for name in ("pytorch_model.bin", "model.pt"):
        yield f"{name} alone", partial(_alone, name, pickle.dumps(_Payload(wire)))


def _safetensors(header: Mapping[str, object]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def _resigned(key: str, content: bytes, folder: Path) -> None:
    """Put content in the place of a model's file, with the checksum that fits it in the manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["checksum"]  # which is made anew
    total, ending = sha256(content).hexdigest(), manifest["files"][key].rpartition(".")[2]
    manifest["files"][key], manifest["sha256"][key] = f"{key}-{total[:16]}.{ending}", total
    (folder / manifest["files"][key]).write_bytes(content)
    (folder / MANIFEST).write_bytes(signed_json(manifest))


def _alone(name: str, content: bytes, folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / name).write_bytes(content)


def labels(source: Path, wire: Path) -> Iterator[Harm]:
    """Label databases, in rows and as files."""
    yield from _texts("labels.sqlite")
    yield from _flipped(source, "labels.sqlite", 20)
    yield _pickled("labels.sqlite", wire)
    for value in (*VALUES[:12], *FIELDS, DEEP_ENOUGH):
        for table, column in (
            ("segment", "texts"),
            ("answer", "value"),
            ("project", "card_hash"),
            ("project", "env_id"),
        ):
            yield f"{table}.{column} = {value!r:.40}", partial(_cell, table, column, value)


def _cell(table: str, column: str, value: object, folder: Path) -> None:
    """Write a value into a column, in the place of every text that a template holds where it is one of texts."""
    plain = value if isinstance(value, int | float | str | None) and value != 10**30 else str(value)
    if isinstance(plain, str):
        plain = plain.encode(errors="replace").decode()
    with closing(sqlite3.connect(folder / "labels.sqlite")) as file, file:
        if column == "texts" and isinstance(plain, str):
            for number, text in file.execute("SELECT id, texts FROM segment").fetchall():
                content = {**json.loads(text), "templates": [plain]}
                file.execute("UPDATE segment SET texts = ? WHERE id = ?", (json.dumps(content), number))
        else:
            file.execute(f"UPDATE {table} SET {column} = ?", (plain,))


def steps(source: Path, wire: Path) -> Iterator[Harm]:
    """Collected steps."""
    yield from _texts("steps.parquet")
    yield from _flipped(source, "steps.parquet", 20)
    yield _pickled("steps.parquet", wire)


def runs(source: Path, wire: Path) -> Iterator[Harm]:
    """Everything that a report reads of a run."""
    for file in ("run.json", "comparison.csv", "steps.csv", "reward.json"):
        yield from _texts(file)
        yield _pickled(file, wire)
    yield from _objects(source, "run.json")
    yield from _flipped(source, "comparison.csv", 5)


def cards(source: Path, wire: Path) -> Iterator[Harm]:
    """Cards of environments."""
    yield from _texts("card.toml")
    yield "deep TOML", partial(_written, "card.toml", DEEP_TOML)
    yield _pickled("card.toml", wire)
    good = (source / "card.toml").read_text(encoding="utf-8")
    run = f"__import__('os').system('touch {wire}')"
    expressions = (
        run,
        f"(lambda: {run})()",
        "9**9**9**9",
        "().__class__.__bases__",
        "[x for x in (1,)]",
        "'a' * 10**10",
    )
    for expression in (*expressions, "(" * 5000 + "1" + ")" * 5000, "-" * 100_000 + "1"):
        field = f'\n[[derived]]\nkey = "harm"\nexpression = {json.dumps(expression)}\nname = {{ en = "harm" }}\n'
        yield f"expression {expression:.40}", partial(_written, "card.toml", good + field)
    for value in (*FIELDS, ESCAPE, "x" * 10**6, "飞" * 1000):
        task = json.dumps(value).replace("\\u007f", "")
        yield f"task {value!r:.40}", partial(_written, "card.toml", f"{good}".replace(_task(good), task))
        unit = f"{good}\n[text]\nen = {task}\n"
        yield f"layout {value!r:.40}", partial(_written, "card.toml", unit)


def _task(card: str) -> str:
    """The English task of a card, as TOML has it."""
    return json.dumps(tomllib.loads(card)["task"]["en"], ensure_ascii=False)


def suites(source: Path, wire: Path) -> Iterator[Harm]:
    """Suites."""
    yield from _texts("suite.toml")
    yield "deep TOML", partial(_written, "suite.toml", DEEP_TOML)
    yield _pickled("suite.toml", wire)
    values = ('"../../up"', json.dumps(ESCAPE), '"{0.__class__}"', "[]", "5", "1e308", '"' + "x" * 100_000 + '"', "{}")
    for key in ("name", "environments", "algorithms", "seeds", "steps"):
        for value in values:
            line = next(line for line in SUITE.splitlines() if line.startswith(f"{key} = "))
            yield f"{key} = {value:.40}", partial(_written, "suite.toml", SUITE.replace(line, f"{key} = {value}"))
    for value in (f"os.system:touch {wire}", "../../../etc", ESCAPE):
        text = SUITE.replace('model = "no-lm"', f"model = {json.dumps(value)}")
        yield f"model = {value!r:.40}", partial(_written, "suite.toml", text)


def algos(source: Path, wire: Path) -> Iterator[Harm]:
    """Cards of algorithms."""
    yield from _texts("small_ppo.toml")
    yield "deep TOML", partial(_written, "small_ppo.toml", DEEP_TOML)
    yield _pickled("small_ppo.toml", wire)
    for value in (
        "os.system",
        "subprocess.Popen",
        "stable_baselines3.common.utils.os.system",
        "builtins.eval",
        "",
        ESCAPE,
    ):
        text = ALGO.replace('"stable_baselines3.PPO"', json.dumps(value))
        yield f"algorithm {value!r:.40}", partial(_written, "small_ppo.toml", text)
    run = json.dumps(f"__import__('os').system('touch {wire}')")
    hyperparameters = (
        *(f"policy_kwargs = {{ activation_fn = {run} }}", f"policy = {run}", f"verbose = {run}"),
        *(f"_init_setup_model = {run}", "gamma = {}", "learning_rate = 'linear:{0.__class__}'"),
        *("n_steps = 10000000000000", "n_steps = -1"),
    )
    for given in hyperparameters:
        text = ALGO.replace("gamma = 0.9", given) if "n_steps" not in given else ALGO.replace("n_steps = 64", given)
        yield f"hyperparameter {given.replace(str(wire), 'FILE'):.60}", partial(_written, "small_ppo.toml", text)
    for n in (-1, 0, 10**9):
        yield f"n_envs = {n}", partial(_written, "small_ppo.toml", ALGO.replace("n_envs = 4", f"n_envs = {n}"))


def agents(source: Path, wire: Path) -> Iterator[Harm]:
    """Saved agents: what rmgym reads of them before a user has them unpickled."""
    yield from _texts("agent.zip")
    yield from _flipped(source, "agent.zip", 8)
    yield _pickled("agent.zip", wire)
    with zipfile.ZipFile(source / "agent.zip") as archive:
        data = json.loads(archive.read("data"))
    for what, record in damaged(data["rmgym"], VALUES[:6]):
        yield f"agent.rmgym: {what}", partial(_with_data, {**data, "rmgym": record})


def _with_data(data: Mapping[str, object], folder: Path) -> None:
    with zipfile.ZipFile(folder / "agent.zip", "w") as archive:
        archive.writestr("data", json.dumps(data))


def language_models(source: Path, wire: Path) -> Iterator[Harm]:
    """Folders of language models, for ``hf:``."""
    evil = f"import pathlib\npathlib.Path({str(wire)!r}).touch()\n"
    classes = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.Tokenizer", None]}
    for kind in ("bert", "llama", "evil", 5, None, [], ESCAPE):
        for file, content in (("pytorch_model.bin", pickle.dumps(_Payload(wire))), ("model.safetensors", b"\0" * 100)):
            config = {"model_type": kind, "auto_map": classes, "hidden_size": 10**9, "vocab_size": 10**9}
            yield f"{file} of {kind!r:.20}", partial(_lm, json.dumps(config), evil, file, content)
    for config in (DEEP_JSON, "", "[]", "{}"):
        yield f"config {config:.20}", partial(_lm, config, evil, "pytorch_model.bin", pickle.dumps(_Payload(wire)))


def _lm(config: str, evil: str, file: str, content: bytes, folder: Path) -> None:
    for name, text in {"config.json": config, "evil.py": evil, "tokenizer.json": DEEP_ENOUGH}.items():
        (folder / name).write_text(text)
    (folder / file).write_bytes(content)
