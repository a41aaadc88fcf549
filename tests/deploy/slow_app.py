"""A slow WSGI application, and gunicorn with one thread for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import django

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.processes import clean_environment

SECONDS = 0.2


def create() -> Callable[..., Iterable[bytes]]:
    """Return the application. Errors of the worker class need Django."""
    django.setup()
    return _application


def _application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    time.sleep(SECONDS)  # noqa: TID251 (the slow work)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def serve(port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start gunicorn with the worker class of the site."""
    options = (
        *("--worker-class", "instafeed.core.http.gunicorn_worker.GunicornWorker"),
        *("--threads", "1", "--bind", f"127.0.0.1:{port}", "--no-control-socket"),
        *options,
    )
    command = [sys.executable, "-m", "gunicorn", *options, f"{__name__}:create()"]
    return subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=clean_environment(DJANGO_SETTINGS_MODULE="django.conf.global_settings"),
        stderr=subprocess.DEVNULL,
    )
