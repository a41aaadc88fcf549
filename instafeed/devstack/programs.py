"""What runs on the data services: web, worker, beat, and one-off management commands."""

from __future__ import annotations

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.child_process import Program
from instafeed.devstack.state import PROJECT_ROOT, DataDirectory

# What an operator may set otherwise. The stack speaks plain HTTP on the loopback address, where all clients
# share one address, so limits per address are wide.
_DEFAULT_ENVIRONMENT = {
    "ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
    "HTTPS_ONLY": "false",
    "SERVE_FILES": "true",
    "THROTTLE_ANON": "60000/minute",
    "THROTTLE_REGISTER": "10000/hour",
    "THROTTLE_LOGIN": "1000/minute",
}


def child_environment(services: Mapping[str, str]) -> dict[str, str]:
    """Our own environment for children, with the stack's services in place of any others."""
    return {**_DEFAULT_ENVIRONMENT, **os.environ, **services, "DJANGO_SETTINGS_MODULE": "instafeed.settings"}


def is_live(port: int) -> bool:
    """Whether a web server of ours does, on loopback and past any proxy of the environment."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


class Web(Program):
    stop_signals = (signal.SIGTERM, signal.SIGQUIT)
    grace = 15.0  # above gunicorn's own graceful_timeout

    def __init__(self, layout: DataDirectory, services: Mapping[str, str], port: int, workers: int) -> None:
        command = [
            *(sys.executable, "-m", "gunicorn"),
            *("-c", str(PROJECT_ROOT / "deploy" / "gunicorn.conf.py"), "instafeed.wsgi:application"),
        ]
        web = {
            "PORT": str(port),
            "WEB_BIND": "127.0.0.1",
            "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
            "WEB_WORKERS": str(workers),
            "DATABASE_POOL": "true",
            "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{port}",
        }
        super().__init__("web", layout.log / "web.log", command, child_environment(services) | web)
        self.directory = PROJECT_ROOT
        self.port = port

    def ready(self) -> bool:
        return is_live(self.port) and self.running


class Worker(Program):
    """All queues in one worker; a deployment gives each its own."""

    stop_signals = (signal.SIGTERM, signal.SIGQUIT)  # warm, then cold shutdown
    death_signal = signal.SIGQUIT
    grace = 15.0

    def __init__(self, layout: DataDirectory, services: Mapping[str, str], port: int, processes: int) -> None:
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "instafeed", "worker", "--queues", ",".join(QUEUES)),
            *("--concurrency", str(processes), "--hostname", f"stack-{port}@%h"),
            # A heartbeat for monitors would keep a worker whose broker is gone from ending: it publishes, for ever.
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        counting = {"PROMETHEUS_MULTIPROC_DIR": str(layout.metrics)}
        super().__init__("worker", layout.log / "worker.log", command, child_environment(services) | counting)
        self.directory = PROJECT_ROOT


class Beat(Program):
    """No pid file: the stack's lock allows one beat already, and a stale file would keep it from starting."""

    def __init__(self, layout: DataDirectory, services: Mapping[str, str]) -> None:
        layout.beat.mkdir(mode=0o700, exist_ok=True)
        command = [
            *(sys.executable, "-m", "celery", "-q", "-A", "instafeed", "beat", "--pidfile="),
            *("--schedule", str(layout.beat / "schedule")),
        ]
        super().__init__("beat", layout.log / "beat.log", command, child_environment(services))
        self.directory = PROJECT_ROOT


class ManagementCommand(Program):
    """`manage.py NAME …` on the stack's services."""

    def __init__(self, layout: DataDirectory, services: Mapping[str, str], name: str, *arguments: str) -> None:
        command = [sys.executable, str(PROJECT_ROOT / "manage.py"), name, *arguments]
        super().__init__(name, layout.log / f"{name}.log", command, child_environment(services))
        self.directory = PROJECT_ROOT
