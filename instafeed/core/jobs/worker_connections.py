"""PostgreSQL connections of a worker process: its tasks share them for some seconds.

Celery would close them after each task, but a new one costs more CPU time than most tasks (CELERY_DB_REUSE_MAX tells
it not to). Each task begins with Django's health check, so a connection that the server has closed meanwhile is
replaced. The short age makes a worker follow an address that has moved to another server, whose old one still answers.
"""

from __future__ import annotations

from typing import Any

from celery.signals import task_postrun, task_prerun, worker_process_init
from django.db import close_old_connections, connections

MAX_AGE = 5  # seconds


@worker_process_init.connect
def keep_connections(**_: Any) -> None:
    """Let this process keep its connections between tasks."""
    for alias in connections:
        connections.settings[alias].update(CONN_MAX_AGE=MAX_AGE, CONN_HEALTH_CHECKS=True)
    task_prerun.connect(close_unusable)
    task_postrun.connect(close_unusable)


def close_unusable(sender: Any, **_: Any) -> None:
    """Close what is too old or has failed, and have the rest checked at its next use."""
    if not sender.request.is_eager:  # an eager task uses its caller's connections
        close_old_connections()
