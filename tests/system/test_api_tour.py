"""Run docs/api-tour.md against a live stack and compare the responses with those on the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.live_stack import LiveStack
from tests.support.processes import clean_environment

TOUR = PROJECT_ROOT / "docs" / "api-tour.md"
WILDCARD = "…"
END = "\n--- end of block ---\n"
_BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour uses curl")
def test_tour_matches_the_live_api(live_stack: LiveStack) -> None:
    blocks = _BLOCK.findall(TOUR.read_text())
    commands = [code for kind, code in blocks if kind == "bash"]
    script = "set -euo pipefail\n" + "".join(f"{code}printf %s '{END}'\n" for code in commands)
    result = subprocess.run(
        ["bash", "-c", script],
        env=clean_environment(API=f"{live_stack.base_url}/api/v1", MAIL=str(live_stack.data_dir / "mail")),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    outputs = result.stdout.split(END)[:-1]
    assert len(outputs) == len(commands)
    compared = 0
    position = -1
    for kind, text in blocks:
        if kind == "bash":
            position += 1
            continue
        # The page shows the last line that a block prints.
        assert_matches(json.loads(outputs[position].strip().rpartition("\n")[2]), json.loads(text))
        compared += 1
    assert compared >= 10


def assert_matches(given: Any, expected: Any) -> None:
    """Assert that `given` equals `expected`. `…` matches anything, and objects may have more fields than expected."""
    if expected == WILDCARD:
        return
    if isinstance(expected, dict):
        assert expected.keys() <= given.keys(), (given, expected)
        for name, value in expected.items():
            assert_matches(given[name], value)
    elif isinstance(expected, list):
        assert len(given) == len(expected), (given, expected)
        for one, other in zip(given, expected, strict=True):
            assert_matches(one, other)
    else:
        assert given == expected
