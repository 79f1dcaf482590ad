"""docs/backbones.md, block by block, with a tiny language model in the reader's folder."""

import re
from pathlib import Path

import pytest

from rmgym.models import available_models
from tests.models.tiny import save_causal

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("smollm2")
def test_the_pages_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_causal(tmp_path / "models" / "mine")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)  # as a reader would, in one session
    assert "hf [" in capsys.readouterr().out
    assert (tmp_path / "runs" / "rooms" / "reward_model.json").is_file()
    assert sum(file.stat().st_size for file in (tmp_path / "runs" / "rooms-lora").iterdir()) < 4_000_000


def test_the_page_names_built_in_models():
    named = set(re.findall(r"`([\w]+)`", PAGE.partition("```")[0])) - {"save_pretrained"}
    assert named <= set(available_models())
