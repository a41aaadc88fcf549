"""The programs that use the data services: web, stream, worker, beat and management commands."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

from instafeed.core.jobs.queues import FAN_OUT, QUEUES
from instafeed.devstack.child_process import Program
from instafeed.devstack.state import PROJECT_ROOT, StackLayout

_ACTIONS = ("POST", "COMMENT", "FOLLOW", "BLOCK", "REPORT", "PROFILE", "PRIVACY", "AVATAR", "MAIL", "RESET")
# Defaults that environment variables override. The stack serves plain HTTP on the loopback address. All clients share
# that address, so the rate limits per address are high; those per action are, too, for demos and load tests.
_DEFAULT_ENVIRONMENT = {
    "ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
    "HTTPS_ONLY": "false",
    "SERVE_FILES": "true",
    "COMPRESS_RESPONSES": "true",
    "ADMIN_OTP": "false",
    "THROTTLE_ANON": "60000/minute",
    "THROTTLE_REGISTER": "10000/hour",
    "THROTTLE_LOGIN": "1000/minute",
    "THROTTLE_LOGIN_ADDRESS": "1000/minute",
    **{f"THROTTLE_{action}": "6000/minute" for action in _ACTIONS},
}


def child_environment(services: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for child processes: ours, with the URLs of the stack's services."""
    ours = {name: value for name, value in os.environ.items() if name != "DATABASE_DIRECT_URL"}
    return {**_DEFAULT_ENVIRONMENT, **ours, **services, "DJANGO_SETTINGS_MODULE": "instafeed.settings"}


def is_live(port: int) -> bool:
    """Return whether our server answers on this port. Ignores proxy settings of the environment."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health/live", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def is_healthy(port: int) -> bool:
    """Return whether every part of the stack works."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return bool(json.load(response)["status"] == "ok")
    except (OSError, ValueError):
        return False


class Web(Program):
    """`stream_port`: where `Stream` listens, which clients learn from GET /instance."""

    stop_signals = (signal.SIGTERM, signal.SIGQUIT)
    grace = 15.0  # above gunicorn's own graceful_timeout

    def __init__(
        self,
        layout: StackLayout,
        services: Mapping[str, str],
        port: int,
        workers: int,
        *,
        stream_port: int | None = None,
    ) -> None:
        command = [
            *(sys.executable, "-m", "gunicorn"),
            *("-c", str(PROJECT_ROOT / "deploy" / "gunicorn.conf.py"), "instafeed.wsgi:application"),
        ]
        variables = {
            "PORT": str(port),
            "WEB_BIND": "127.0.0.1",
            "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
            "WEB_WORKERS": str(workers),
            "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{port}",
        }
        if stream_port and not os.environ.get("STREAM_URL"):
            variables["STREAM_URL"] = f"http://127.0.0.1:{stream_port}/api/v1/stream"
        super().__init__("web", layout.log / "web.log", command, child_environment(services) | variables)
        self.directory = PROJECT_ROOT
        self.port = port

    def ready(self) -> bool:
        return is_live(self.port) and self.running


class Stream(Program):
    """Holds the open streams, on a port of its own: the stack has no proxy that would send them there.

    So pages of the web server's origins may use it.
    """

    grace = 15.0

    def __init__(self, layout: StackLayout, services: Mapping[str, str], port: int, *, web_port: int) -> None:
        environment = child_environment(services)
        origins = [f"http://{host}:{web_port}" for host in ("127.0.0.1", "localhost", "[::1]")]
        variables = {
            "PORT": str(port),
            "WEB_BIND": "127.0.0.1",
            "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
            "CORS_ALLOWED_ORIGINS": ",".join(filter(None, [*origins, environment.get("CORS_ALLOWED_ORIGINS")])),
        }
        command = [sys.executable, "-m", "instafeed.asgi"]
        super().__init__("stream", layout.log / "stream.log", command, environment | variables)
        self.directory = PROJECT_ROOT
        self.port = port

    def ready(self) -> bool:
        return is_live(self.port) and self.running


class Worker(Program):
    """A Celery worker. The stack has two; a deployment has one for each queue."""

    stop_signals = (signal.SIGTERM, signal.SIGQUIT)  # warm, then cold shutdown
    death_signal = signal.SIGQUIT
    grace = 15.0

    def __init__(
        self,
        layout: StackLayout,
        services: Mapping[str, str],
        port: int,
        *,
        name: str,
        queues: Sequence[str],
        processes: int,
    ) -> None:
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "instafeed", "worker", "--queues", ",".join(queues)),
            *("--concurrency", str(processes), "--hostname", f"{name}-{port}@%h"),
            # Celery's heartbeat retries without limit and so prevents a worker from stopping while its broker is down.
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        variables = {"PROMETHEUS_MULTIPROC_DIR": str(layout.metrics)}
        super().__init__(name, layout.log / f"{name}.log", command, child_environment(services) | variables)
        self.directory = PROJECT_ROOT


def workers(layout: StackLayout, services: Mapping[str, str], port: int, processes: int) -> list[Worker]:
    """Return a worker with `processes` for all queues, and one for the fan-out only, which no other task delays."""
    return [
        Worker(layout, services, port, name="worker", queues=QUEUES, processes=processes),
        Worker(layout, services, port, name="worker-fan-out", queues=[FAN_OUT], processes=1),
    ]


class Beat(Program):
    """Beat without a pid file: the stack's lock already prevents a second beat, and a stale file would block it."""

    def __init__(self, layout: StackLayout, services: Mapping[str, str]) -> None:
        layout.beat.mkdir(mode=0o700, exist_ok=True)
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "instafeed", "beat", "--pidfile="),
            *("--schedule", str(layout.beat / "schedule")),
        ]
        super().__init__("beat", layout.log / "beat.log", command, child_environment(services))
        self.directory = PROJECT_ROOT


class ManagementCommand(Program):
    """`manage.py NAME …`, run against the stack's services."""

    def __init__(self, layout: StackLayout, services: Mapping[str, str], name: str, *arguments: str) -> None:
        command = [sys.executable, str(PROJECT_ROOT / "manage.py"), name, *arguments]
        super().__init__(name, layout.log / f"{name}.log", command, child_environment(services))
        self.directory = PROJECT_ROOT
