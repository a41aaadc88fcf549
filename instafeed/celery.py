"""The Celery application. Tasks carry ids only and are safe to run twice; see settings for the why."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from instafeed import logs  # noqa: F401  (connects Celery's signals, before Celery sets up its own logging)
from instafeed.heartbeat import Heartbeat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

app = Celery("instafeed")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Heartbeat)


@celeryd_init.connect
def _wait_longer_in_workers(conf: Any, **_: Any) -> None:
    """A worker blocks on BRPOP by design and retries for ever; only publishers must give up within a second."""
    options = dict(conf.broker_transport_options)
    options.update(socket_timeout=30, socket_connect_timeout=5)
    options.pop("max_retries", None)
    conf.broker_transport_options = options
