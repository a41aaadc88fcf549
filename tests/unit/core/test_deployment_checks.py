"""Settings that are valid one by one, and together a mistake."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.core import checks
from pytest_django import Settings

from instafeed.core import deployment_checks, env, startup
from instafeed.core.monitoring import redis_limits

Change = Callable[[Settings, pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def _healthy(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that no check has anything to say about."""
    settings.HTTPS_ONLY = True
    settings.PUBLIC_URL = "https://example.org"
    settings.SERVE_FILES = True
    for name in ("AWS_STORAGE_BUCKET_NAME", "STREAM_URL", "SITE_URL", "WEB_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/run/metrics")


def set_proxies(settings: Settings, count: int, header: tuple[str, str] | None) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": count}
    settings.SECURE_PROXY_SSL_HEADER = header


def use_bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch, endpoint: str | None) -> None:
    monkeypatch.setenv("AWS_STORAGE_BUCKET_NAME", "media")
    default = {"BACKEND": "media.storage.s3.BucketStorage", "OPTIONS": {"public_endpoint_url": endpoint}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
MISTAKES: dict[str, tuple[str, Change]] = {
    "nothing serves pictures": ("W001", lambda settings, _: setattr(settings, "SERVE_FILES", False)),
    "http PUBLIC_URL": ("W002", lambda settings, _: setattr(settings, "PUBLIC_URL", "http://example.org")),
    "http STREAM_URL": ("W002", lambda _, patch: patch.setenv("STREAM_URL", "http://example.org/api/v1/stream")),
    "http SITE_URL": ("W002", lambda _, patch: patch.setenv("SITE_URL", "http://example.org")),
    "http bucket": ("W002", lambda settings, patch: use_bucket(settings, patch, "http://minio:9000")),
    "proxies without their scheme": ("W003", lambda settings, _: set_proxies(settings, 1, None)),
    "a scheme without proxies": ("W004", lambda settings, _: set_proxies(settings, 0, HEADER)),
    "processes that count alone": ("W005", lambda _, patch: patch.delenv("PROMETHEUS_MULTIPROC_DIR")),
}


def found() -> list[str]:
    functions: list[Any] = [deployment_checks.check_services, deployment_checks.check_settings]
    functions.append(deployment_checks.check_metrics_directory)
    return [str(message.id).removeprefix("instafeed.") for function in functions for message in function(None)]


@pytest.mark.parametrize(("code", "change"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found(code: str, change: Change, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == []
    change(settings, monkeypatch)
    assert found() == [code]


def test_a_trial_without_tls_may_have_http_addresses(settings: Settings) -> None:
    settings.HTTPS_ONLY = False
    settings.PUBLIC_URL = "http://localhost:8000"
    assert found() == []


def test_one_web_process_needs_no_metrics_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    monkeypatch.setenv("WEB_WORKERS", "1")
    assert found() == []


def test_a_metrics_directory_that_a_command_has_set_aside_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "SET_ASIDE", set())
    env.set_aside("PROMETHEUS_MULTIPROC_DIR")
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert found() == []


def test_without_services_nothing_else_is_said(settings: Settings) -> None:
    settings.OFFLINE, settings.SERVE_FILES = True, False
    assert found() == ["E007"]


def test_check_deploy_runs_all_checks() -> None:
    registered = checks.registry.registry.get_checks(include_deployment_checks=True)
    own = {check for check in registered if check.__module__.startswith("instafeed.core.")}
    assert {
        deployment_checks.check_services,
        deployment_checks.check_settings,
        deployment_checks.check_metrics_directory,
        redis_limits.check_memory_limits,
    } <= own


def test_servers_log_mistakes(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.SERVE_FILES = False
    startup.log_mistakes()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith("AWS_STORAGE_BUCKET_NAME is not set")
