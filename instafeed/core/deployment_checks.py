"""Checks of settings that are valid one by one, and together a mistake (docs/operations.md#checks).

`manage.py check --deploy` reports them, and every server logs them as warnings at its start (`startup`). They ask no
service; `monitoring.redis_limits` has the check that does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from instafeed.core import env, storage_settings

NO_SERVICES = (
    "DATABASE_URL and REDIS_URL are not set, and no stack runs. A server needs DATABASE_URL, REDIS_URL, "
    "CELERY_BROKER_URL and SECRET_KEY; docs/configuration.md lists all settings"
)
NO_METRICS_DIRECTORY = (
    "PROMETHEUS_MULTIPROC_DIR is not set: each process counts by itself, and /metrics shows the counts of one of them"
)


@register(deploy=True)
def check_services(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    return [Error(NO_SERVICES, id="instafeed.E007")] if settings.OFFLINE else []


@register(deploy=True)
def check_settings(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[CheckMessage]:
    """Return what `check_services` does not find already."""
    return [] if settings.OFFLINE else [*_check_storage(), *_check_schemes(), *_check_proxies()]


@register(deploy=True)
def check_metrics_directory(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Report that several web processes would count each for itself."""
    processes = env.integer("WEB_WORKERS", max(2, os.cpu_count() or 1), minimum=1, maximum=256, computed=True)
    if settings.OFFLINE or processes == 1 or env.is_set("PROMETHEUS_MULTIPROC_DIR"):
        return []
    hint = "Name a directory on a tmpfs; see docs/operations.md#metrics."
    return [Warning(NO_METRICS_DIRECTORY, hint=hint, id="instafeed.W005")]


def _check_storage() -> Iterator[CheckMessage]:
    if not storage_settings.uses_object_storage() and not settings.SERVE_FILES:
        yield Warning(
            "AWS_STORAGE_BUCKET_NAME is not set and SERVE_FILES is false: pictures can be neither uploaded nor seen",
            hint="Name a bucket (docs/media.md), or set SERVE_FILES=true on a single machine for a trial.",
            id="instafeed.W001",
        )


def _check_schemes() -> Iterator[CheckMessage]:
    """Report what browsers open over HTTP although the site is to be used over HTTPS only."""
    if not settings.HTTPS_ONLY:
        return
    urls = {"PUBLIC_URL": settings.PUBLIC_URL, "STREAM_URL": env.text("STREAM_URL"), "SITE_URL": env.text("SITE_URL")}
    if storage_settings.uses_object_storage():
        urls["AWS_S3_PUBLIC_ENDPOINT_URL"] = settings.STORAGES["default"]["OPTIONS"]["public_endpoint_url"] or ""
    for name, url in urls.items():
        if url.startswith("http://"):
            yield Warning(
                f"{name} is {url}, but HTTPS_ONLY is true: browsers block it on pages that came over HTTPS",
                hint=f"Begin {name} with https://, or set HTTPS_ONLY=false for a trial without TLS.",
                id="instafeed.W002",
            )


def _check_proxies() -> Iterator[CheckMessage]:
    count, is_behind_proxy = settings.REST_FRAMEWORK["NUM_PROXIES"], bool(settings.SECURE_PROXY_SSL_HEADER)
    if count and not is_behind_proxy:
        yield Warning(
            f"NUM_PROXIES is {count}, but BEHIND_PROXY is false: X-Forwarded-Proto is ignored, so with HTTPS_ONLY every"
            " request is redirected for ever",
            hint="Set BEHIND_PROXY=true if the proxy sets X-Forwarded-Proto itself.",
            id="instafeed.W003",
        )
    if is_behind_proxy and not count:
        yield Warning(
            "BEHIND_PROXY is true, but NUM_PROXIES is 0: X-Forwarded-For is ignored, so all clients have the proxy's"
            " address and share one rate limit",
            hint="Set NUM_PROXIES to the number of proxies in front.",
            id="instafeed.W004",
        )
