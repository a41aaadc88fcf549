"""The Celery application. Tasks carry ids only and are safe to run twice; see settings for the why."""

from __future__ import annotations

import os
from signal import SIGKILL
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, worker_init, worker_process_init

from instafeed.core.jobs import instrumentation  # noqa: F401  (connect signals, before Celery sets up its own logging)
from instafeed.core.jobs.bounded_shutdown import BoundedShutdown
from instafeed.core.jobs.heartbeat import Heartbeat
from instafeed.core.observability import celery_logging, multiprocess_files  # noqa: F401  (connect signals, before Celery sets up its own logging)
from instafeed.core.process import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

app = Celery("instafeed")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].update((Heartbeat, BoundedShutdown))

_worker_pid = 0  # its process id, here and in its pool


@celeryd_init.connect
def _set_worker_broker_timeouts(conf: Any, **_: Any) -> None:
    """A worker blocks on BRPOP by design and retries for ever; only publishers must give up within a second."""
    options = dict(conf.broker_transport_options)
    options.update(socket_timeout=30, socket_connect_timeout=5)
    options.pop("max_retries", None)
    conf.broker_transport_options = options


@worker_init.connect
def _remember_worker_pid(**_: Any) -> None:
    global _worker_pid
    _worker_pid = os.getpid()


@worker_init.connect
@worker_process_init.connect
def _fold_metrics(**_: Any) -> None:
    """A pool's process is followed by another whenever it ends, however it ended."""
    multiprocess_files.fold_dead_processes()


@worker_init.connect
def _serve_metrics(**_: Any) -> None:
    from django.conf import settings

    if settings.METRICS_PORT:
        from instafeed.core.observability import worker_exporter

        worker_exporter.start_server(settings.METRICS_BIND, settings.METRICS_PORT)


@worker_process_init.connect
def _die_with_worker(**_: Any) -> None:
    """A worker that is killed, or told to quit while it still starts, leaves no pool behind that waits for ever.
    What the pool was at is done again: no message is acknowledged before its task has ended."""
    if _worker_pid != os.getpid():  # the solo pool is the worker itself
        die_with_parent(_worker_pid, SIGKILL)
