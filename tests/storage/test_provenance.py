"""What is written down about packages and machine is JSON and says something."""

import json
import platform
from importlib.metadata import version

from rmgym.storage.provenance import machine, versions


def test_versions_are_those_installed() -> None:
    facts = versions()
    assert facts["rmgym"] == version("rmgym")
    assert facts["python"] == platform.python_version()
    assert all(facts.values())


def test_the_machine_is_json() -> None:
    facts = json.loads(json.dumps(machine()))
    assert facts == machine()
    assert facts["cores"] >= 1
