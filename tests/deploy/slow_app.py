"""A slow WSGI application, and gunicorn with one thread for it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import django

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually
from tests.support.processes import clean_environment

SECONDS = 0.2
HOLD = "SLOW_APP_HOLD"  # names a file; while it exists, requests after the first FREE ones wait
FREE = 3
_requests = itertools.count(1)


def create() -> Callable[..., Iterable[bytes]]:
    """Return the application. Errors of the worker class need Django."""
    django.setup()
    return _application


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    time.sleep(SECONDS)  # noqa: TID251 (the slow work)
    if next(_requests) > FREE and (hold := os.environ.get(HOLD)):
        eventually(lambda: not Path(hold).exists())
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def serve(port: int, *options: str, hold: Path | None = None) -> subprocess.Popen[bytes]:
    """Start gunicorn with the worker class of the site. While the file `hold` exists, it answers FREE requests."""
    options = (
        *("--worker-class", "instafeed.core.http.gunicorn_worker.GunicornWorker"),
        *("--threads", "1", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
        *options,
    )
    command = [sys.executable, "-m", "gunicorn", *options, f"{__name__}:create()"]
    return subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=clean_environment(
            DJANGO_SETTINGS_MODULE="django.conf.global_settings", **({HOLD: str(hold)} if hold else {})
        ),
        stderr=subprocess.DEVNULL,
    )
