"""The Celery application. Tasks take ids only and are safe to run twice (see settings.py, section Celery)."""

from __future__ import annotations

import os
from signal import SIGKILL
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, worker_init, worker_process_init
from django.conf import settings

# These two connect to Celery's signals, which must happen before Celery sets up its own logging.
from instafeed.core.jobs import instrumentation  # noqa: F401
from instafeed.core.jobs.bounded_shutdown import BoundedShutdown
from instafeed.core.jobs.heartbeat import Heartbeat
from instafeed.core.observability import celery_logging  # noqa: F401
from instafeed.core.process import die_with_parent, hide_memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

app = Celery("instafeed")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].update((Heartbeat, BoundedShutdown))

_worker_pid = 0  # the worker's main process; the processes of its pool inherit the value


@celeryd_init.connect
@beat_init.connect
def _hide_secrets(**_: Any) -> None:
    """Protect the passwords in memory from the processes that decode pictures; they run as the same user."""
    hide_memory()


@celeryd_init.connect
def _set_worker_broker_timeouts(conf: Any, **_: Any) -> None:
    """Let workers block on BRPOP and reconnect without limit. Only publishers must give up within a second."""
    options = dict(conf.broker_transport_options)
    options.update(socket_timeout=30, socket_connect_timeout=5)
    options.pop("max_retries", None)
    conf.broker_transport_options = options


@worker_init.connect
def _remember_worker_pid(**_: Any) -> None:
    global _worker_pid
    _worker_pid = os.getpid()


@worker_init.connect
def _serve_metrics(**_: Any) -> None:
    if settings.METRICS_PORT:
        # Imports models, so it must wait until Django is set up.
        from instafeed.core.monitoring import worker_exporter

        worker_exporter.start_server(settings.METRICS_BIND, settings.METRICS_PORT)


@worker_process_init.connect
def _die_with_worker(**_: Any) -> None:
    """End this pool process when the worker dies: killed, or stopped while it starts, it would leave an idle pool.

    An interrupted task runs again, as its message is acknowledged only after the task has ended.
    """
    if _worker_pid != os.getpid():  # with the solo pool, the worker itself runs the tasks
        die_with_parent(_worker_pid, SIGKILL)
