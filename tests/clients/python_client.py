"""Generate the Python client of the API with openapi-python-client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from instafeed.devstack.state import PROJECT_ROOT

PACKAGE = "instafeed_client"
TOUR = PROJECT_ROOT / "tests" / "clients" / "tour.py"
_CONFIGURATION = PROJECT_ROOT / "tests" / "clients" / "openapi_python_client.yaml"


def generate_python_client(directory: Path) -> str:
    """Generate the package PACKAGE in `directory` and return what the generator printed."""
    program = Path(sys.executable).with_name("openapi-python-client")
    command = [str(program), "generate", "--path", str(PROJECT_ROOT / "openapi.json"), "--meta", "none", "--overwrite"]
    command += ["--output-path", str(directory / PACKAGE), "--config", str(_CONFIGURATION), "--fail-on-warning"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
