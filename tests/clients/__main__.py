"""Lint openapi.json, generate clients from it and check their types: `python -m tests.clients` (`make clients`).

Redocly, Spectral and the TypeScript generators need Node; without it they are skipped with a line that says so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from instafeed.devstack.state import PROJECT_ROOT
from tests.clients.python_client import PACKAGE, TOUR, generate_python_client

HERE = Path(__file__).parent
DOCUMENT = PROJECT_ROOT / "openapi.json"
MIN_NODE_VERSION = (20, 19)
INSTALL_TIMEOUT, RUN_TIMEOUT = 900, 600  # seconds
# The packages are installed beside the environment's other programs, once for each lock file.
INSTALLED = Path(sys.prefix) / "clients"
TYPESCRIPT_FILES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "usage.ts")
LINT_FILES = ("redocly.yaml", "spectral.yaml")


class Failed(Exception):
    """A tool refused the document or what was generated from it; the message is its output."""


def main() -> int:
    try:
        check_python_client()
        if has_node():
            install_packages()
            lint()
            check_typescript_clients()
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def check_python_client() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        output = generate_python_client(directory)
        modules = len(list((directory / PACKAGE).rglob("*.py")))
        environment = {"MYPYPATH": f"{directory}:{PROJECT_ROOT}"}
        mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={directory / 'cache'}"]
        run(*mypy, str(directory / PACKAGE), cwd=directory, environment=environment)
        run(*mypy, str(TOUR), cwd=directory, environment=environment)
    warnings = len(re.findall("warning", output, re.IGNORECASE))
    print(f"openapi-python-client: {modules} modules, {warnings} warnings, mypy --strict finds nothing")


def has_node() -> bool:
    if shutil.which("node") and shutil.which("npm"):
        version = run("node", "--version").strip().removeprefix("v")
        if tuple(map(int, version.split(".")[:2])) >= MIN_NODE_VERSION:
            return True
    needed = ".".join(map(str, MIN_NODE_VERSION))
    print(f"Skipped the linters and the TypeScript clients: they need Node {needed} or newer with npm.")
    return False


def install_packages() -> None:
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = INSTALLED / "installed-lock"
    if not stamp.exists() or stamp.read_text() != lock:
        INSTALLED.mkdir(exist_ok=True)
        stamp.unlink(missing_ok=True)
        copy_files(TYPESCRIPT_FILES)
        npm_ci = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        run(*npm_ci, cwd=INSTALLED, timeout=INSTALL_TIMEOUT)
        stamp.write_text(lock)
    copy_files((*TYPESCRIPT_FILES, *LINT_FILES))


def copy_files(names: tuple[str, ...]) -> None:
    for name in names:
        shutil.copyfile(HERE / name, INSTALLED / name)


def lint() -> None:
    output = run_installed("redocly", "lint", str(DOCUMENT), "--config=redocly.yaml")
    print(f"Redocly: {count('You have ([0-9]+) warning', output)} warnings, 0 errors")
    output = run_installed("spectral", "lint", str(DOCUMENT), "--ruleset=spectral.yaml", "--fail-severity=error")
    print(f"Spectral: {count('([0-9]+) warnings?,', output)} warnings, 0 errors")


def check_typescript_clients() -> None:
    generated = INSTALLED / "generated"
    shutil.rmtree(generated, ignore_errors=True)
    run_installed("openapi-typescript", str(DOCUMENT), "--output=generated/openapi-typescript.d.ts")
    run_installed(
        "openapi-ts", "--input", str(DOCUMENT), "--output=generated/hey-api", "--client=@hey-api/client-fetch"
    )
    run_installed("tsc", "--project", ".")
    files = sum(1 for path in generated.rglob("*.ts"))
    print(f"openapi-typescript and @hey-api/openapi-ts: {files} files, tsc finds nothing")


def run_installed(program: str, *arguments: str) -> str:
    return run(str(INSTALLED / "node_modules" / ".bin" / program), *arguments, cwd=INSTALLED)


def run(
    *command: str, cwd: Path = PROJECT_ROOT, timeout: float = RUN_TIMEOUT, environment: dict[str, str] | None = None
) -> str:
    """Run a program and return its output. Raises Failed if it fails."""
    # No program may ask for updates or report its use.
    quiet = {
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        "NO_UPDATE_NOTIFIER": "1",
        "CI": "true",
    }
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | quiet | (environment or {}), capture_output=True, text=True, timeout=timeout
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{output}")
    return output


def count(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"Checked the clients in {time.monotonic() - began:.0f} s.")
    sys.exit(status)
