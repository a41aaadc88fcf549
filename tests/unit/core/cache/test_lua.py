"""Lua scripts from files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from instafeed.devstack.state import PROJECT_ROOT

LOAD = "import sys, pathlib; from instafeed.core.cache.lua import Script; Script.from_files(pathlib.Path(sys.argv[1]))"


def test_files_are_read_as_utf_8_in_every_locale(tmp_path: Path) -> None:
    file = tmp_path / "script.lua"
    file.write_text("return 1 -- größer", encoding="utf-8")
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, str(file)],
        cwd=PROJECT_ROOT,
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert loaded.returncode == 0, loaded.stderr
