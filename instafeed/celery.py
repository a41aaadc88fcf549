"""The Celery application. Tasks take ids only and are safe to run twice (see settings.py, section Celery)."""

from __future__ import annotations

import os

# First: modules that are imported here read the settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

from signal import SIGKILL
from typing import Any

from celery.signals import beat_init, celeryd_init, worker_init, worker_process_init
from django.conf import settings

# These connect to Celery's signals; the logging must do so before Celery sets up its own.
from instafeed.core.celery_programs import Application, prepare_worker
from instafeed.core.jobs import broker, instrumentation, worker_connections  # noqa: F401
from instafeed.core.jobs.bounded_shutdown import BoundedShutdown
from instafeed.core.jobs.heartbeat import Heartbeat
from instafeed.core.observability import celery_logging  # noqa: F401
from instafeed.core.process import die_with_parent, hide_memory

app = Application("instafeed")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].update((Heartbeat, BoundedShutdown))
celeryd_init.connect(prepare_worker)

_worker_pid = 0  # the worker's main process; the processes of its pool inherit the value


@celeryd_init.connect
@beat_init.connect
def _hide_secrets(**_: Any) -> None:
    """Protect the passwords in memory from the processes that decode pictures; they run as the same user."""
    hide_memory()


@celeryd_init.connect
def _set_worker_broker_timeouts(conf: Any, **_: Any) -> None:
    """Let workers wait for the broker and reconnect without limit. Only publishers must give up within a second."""
    conf.broker_transport_options = broker.worker_transport_options(conf.broker_url, conf.broker_transport_options)


@celeryd_init.connect
def _remove_delayed_delivery(**_: Any) -> None:
    """Do not declare the 28 queues that Celery keeps in RabbitMQ for delayed tasks (see `try_enqueue`)."""
    from celery.worker.consumer import Consumer  # not in web processes

    step = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
    if step in Consumer.Blueprint.default_steps:
        Consumer.Blueprint.default_steps.remove(step)


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
