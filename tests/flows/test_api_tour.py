"""docs/api-tour.md, run as it is written against a live stack; the answers in it must be the answers given."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from instafeed.devstack.state import PROJECT_ROOT
from tests.live_stack import LiveStack, clean_environment

TOUR = PROJECT_ROOT / "docs" / "api-tour.md"
ANYTHING = "…"
END = "\n--- end of block ---\n"
_BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(180)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour is told with curl")
def test_the_tour_is_true(live_stack: LiveStack) -> None:
    blocks = _BLOCK.findall(TOUR.read_text())
    commands = [code for kind, code in blocks if kind == "bash"]
    script = "set -euo pipefail\n" + "".join(f"{code}printf %s '{END}'\n" for code in commands)
    done = subprocess.run(
        ["bash", "-c", script],
        env=clean_environment(API=f"{live_stack.base_url}/api/v1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = done.stdout.split(END)[:-1]
    assert len(outputs) == len(commands)
    compared = 0
    position = -1
    for kind, text in blocks:
        if kind == "bash":
            position += 1
            continue
        # What a block prints last is what the page shows.
        assert_like(json.loads(outputs[position].strip().rpartition("\n")[2]), json.loads(text))
        compared += 1
    assert compared >= 10


def assert_like(given: Any, told: Any) -> None:
    """Equal but for `…`; objects may have more fields than are told of."""
    if told == ANYTHING:
        return
    if isinstance(told, dict):
        assert told.keys() <= given.keys(), (given, told)
        for name, value in told.items():
            assert_like(given[name], value)
    elif isinstance(told, list):
        assert len(given) == len(told), (given, told)
        for one, other in zip(given, told, strict=True):
            assert_like(one, other)
    else:
        assert given == told
