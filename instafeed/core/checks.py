"""Start-up checks for timeouts, TTLs and limits that depend on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from instafeed.core.cache import keys
from instafeed.core.jobs.heartbeat import HEARTBEAT_INTERVAL, SWEEP_TIMEOUT


@register()
def check_timeouts(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Report each pair of values where the first is not below the second."""
    # RabbitMQ has none: it redelivers when the worker's connection ends.
    visibility = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout", float("inf"))
    soft, hard = settings.CELERY_TASK_SOFT_TIME_LIMIT, settings.CELERY_TASK_TIME_LIMIT
    redis_ms = settings.REDIS_TIMEOUT * 1000
    beat: Any = settings.CELERY_BEAT_SCHEDULE
    sweep = beat["sweep-invalidations"]["schedule"]
    # Code, the smaller value, the larger value, the consequence of a violation.
    rules = [
        ("E001", hard, visibility, "a task that exceeds the broker's visibility timeout runs a second time"),
        ("E002", soft, hard, "a task is killed before its soft time limit lets it clean up"),
        ("E003", redis_ms, keys.LEASE_TTL_MS, "a lease expires before Redis answers its holder"),
        ("E004", redis_ms, keys.REBUILD_TTL_MS, "a rebuild's lease expires before Redis answers it"),
        ("E005", 2 * HEARTBEAT_INTERVAL, keys.WORKER_TTL, "a worker counts as dead after one missed heartbeat"),
        ("E006", 2 * sweep, SWEEP_TIMEOUT, "beat counts as dead after one missed sweep"),
    ]
    return [
        Error(f"{smaller} is not below {larger}: {consequence}", id=f"instafeed.{code}")
        for code, smaller, larger, consequence in rules
        if not smaller < larger
    ]
