"""An invalid setting ends the settings with one line that names the variable.

tests/system/core/test_invalid_settings.py shows that every program prints it.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from ssl import CERT_REQUIRED
from typing import Any

import pytest

from instafeed.core import env
from instafeed.core.http import gunicorn_worker  # noqa: F401 (reads LOG_FORMAT once, so not in a test's environment)
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.monitoring import worker_exporter
from instafeed.core.observability import metrics
from instafeed.devstack.state import PROJECT_ROOT

Load = Callable[..., dict[str, Any]]

PRODUCTION = {
    "DATABASE_URL": "postgresql://instafeed:secret@127.0.0.1:1/instafeed",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that runs the settings with these variables only. The session's settings stay as they are."""

    def run(*, file: str = "instafeed/settings.py", **changed: str) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", {**PRODUCTION, **changed})
            return runpy.run_path(str(PROJECT_ROOT / file))

    return run


def assert_one_line(error: pytest.ExceptionInfo[env.SettingError], name: str) -> None:
    assert str(error.value).startswith(f"instafeed: {name} ")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TOKEN_MINUTES", "1441"),
        ("CELEBRITY_THRESHOLD", "many"),
        ("DATABASE_URL", "mysql://x"),
        ("FAN_OUT_BATCH_SIZE", "-5"),
        ("HSTS_INCLUDE_SUBDOMAINS", "maybe"),
        ("HSTS_PRELOAD", "true"),
        ("FAN_OUT_RETENTION_DAYS", "-1"),
        ("POST_PARTITION_DAYS", "0"),
        ("FAN_OUT_PARTITION_DAYS", "month"),
        ("NOTIFICATION_RETENTION_DAYS", "a year"),
        ("IDEMPOTENCY_RETENTION_DAYS", "1.5"),
        ("SAMPLE_RETENTION_DAYS", "100000"),
        ("EXPORT_RETENTION_DAYS", "0"),
        ("THROTTLE_ZIP_EXPORT", "5/year"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", f"django-insecure-{'0123456789' * 5}"),
        ("SECRET_KEY_FALLBACKS", "short"),
        ("SECRET_KEY_FALLBACKS", f"{'0123456789abcdef' * 4},short"),
        ("ALLOWED_HOSTS", "https://example.org"),
        ("ALLOWED_HOSTS", "example.org:8000"),
        ("DATABASE_URL", "postgresql://host:99999/x"),
        ("DATABASE_URL", "postgresql://host/"),
        ("DATABASE_URL", ""),
        ("DATABASE_REPLICA_URLS", "postgresql://host/x,mysql://y"),
        ("DATABASE_DIRECT_URL", "postgresql://host/"),
        ("REDIS_URL", "http://x"),
        *(
            ("CELERY_BROKER_URL", url)
            for url in (
                *(
                    "redis://x/db",
                    "unix:///run/redis.sock",
                    "kafka://x",
                    "amqp://",
                    "amqp://x:99999",
                    "amqp://x/a/b",
                    "sentinel://x/db",
                ),
                *("amqp://x;y", "amqp://x;amqps://y", "sentinel://x;redis://y"),
            )
        ),
        ("NUM_PROXIES", "-1"),
        ("DEBUG", "maybe"),
        ("FEED_LENGTH", "0"),
        ("FEED_TTL", "1.5"),
        ("MIGRATION_LOCK_TIMEOUT", "0"),
        ("COMPRESS_RESPONSES", "gzip"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("PUBLIC_URL", "https://example.org/feed"),
        ("STREAM_CHECK_SECONDS", "61"),
        ("STREAM_LIMIT", "0"),
        ("STREAM_URL", "/api/v1/stream"),
        ("THROTTLE_LOGIN", "30"),
        ("THROTTLE_LOGIN_ADDRESS", "0/hour"),
        *((f"THROTTLE_{action}", "5/week") for action in ("POST", "COMMENT", "FOLLOW", "BLOCK", "REPORT")),
        *((f"THROTTLE_{action}", "many") for action in ("PROFILE", "PRIVACY", "AVATAR")),
        ("MAX_FOLLOWING", "0"),
        *((f"THROTTLE_{limit}", "5") for limit in ("MAIL", "RESET")),
        *(
            ("EMAIL_URL", url)
            for url in (
                *(
                    "localhost",
                    "smtp://",
                    "smtp://host:99999",
                    "smtp://host:x",
                    "smtp://host?tls=maybe",
                    "smtps://h?tls=off",
                ),
                *(
                    "smtp://host/path",
                    "smtp://host?ssl=1",
                    "file:mail",
                    "file://host/mail",
                    "gopher:",
                    "postmark://key@host",
                ),
            )
        ),
        ("MAIL_FROM", "no address"),
        ("MAIL_FROM", "A Name"),
        ("SITE_URL", "example.org"),
        ("EMAIL_VERIFY_URL", "https://example.org/verify"),
        ("EMAIL_VERIFY_URL", "{token}"),
        ("POST_URL", "https://example.org/p/{token}"),
        ("POST_URL", "https://example.org/{id}/{id}"),
        ("PASSWORD_RESET_URL", "https://example.org/{token}/{token}"),
        ("REQUIRE_VERIFIED_EMAIL", "true"),  # without EMAIL_URL
        ("MAIL_RETENTION_DAYS", "x"),
        ("VAPID_PRIVATE_KEY", "short"),
        ("VAPID_PRIVATE_KEY", "A" * 43),  # zero
        ("VAPID_PRIVATE_KEY", "_" * 42 + "8"),  # above the order of the curve
        ("VAPID_PRIVATE_KEY", "-----BEGIN EC PRIVATE KEY-----"),
        ("PUSH_SERVICES", "https://push.example.org/path"),
        ("PUSH_SERVICES", "*"),
        ("PUSH_SERVICES", "localhost"),
        ("REGISTRATION", "maybe"),
        ("INVITE_URL", "https://example.org/register"),
        ("CAPTCHA", "recaptcha"),
        ("CAPTCHA_DIFFICULTY", "10"),
        ("MINIMUM_AGE", "-1"),
        ("PENDING_RETENTION_DAYS", "soon"),
        ("MEDIA_MAX_BYTES", "1GB"),
        ("AWS_S3_ENDPOINT_URL", "http://minio:9000"),  # without a bucket
        ("METRICS_PORT", "http"),
        ("METRICS_PORT", "65536"),
        ("METRICS_PORT", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_REQUESTS", "some"),
        ("LOG_LEVEL", "LOUD"),
        ("SENTRY_TRACES_SAMPLE_RATE", "1.5"),
        ("SENTRY_TRACES_SAMPLE_RATE", "-0.1"),
        ("SENTRY_TRACES_SAMPLE_RATE", "nan"),
        ("SENTRY_DSN", "https://nowhere"),
    ],
)
def test_invalid_values_are_refused(load: Load, name: str, value: str) -> None:
    with pytest.raises(env.SettingError) as error:
        load(**{name: value})
    assert_one_line(error, name)


def test_a_mail_server_needs_a_sender_and_an_origin_for_links(load: Load) -> None:
    for changed, missing in (({}, "MAIL_FROM"), ({"MAIL_FROM": "Us <us@example.org>"}, "SITE_URL")):
        with pytest.raises(env.SettingError) as error:
            load(EMAIL_URL="smtp://mail.example.org", **changed)
        assert_one_line(error, missing)


def test_a_bucket_is_the_default_storage(load: Load) -> None:
    settings = load(AWS_STORAGE_BUCKET_NAME="pictures", AWS_S3_REGION_NAME="eu-central-1")
    assert settings["STORAGES"]["default"]["BACKEND"] == "media.storage.s3.BucketStorage"
    assert settings["STORAGES"]["default"]["OPTIONS"]["bucket_name"] == "pictures"


def test_a_broker_that_does_not_answer_delays_a_request_by_less_than_two_seconds(load: Load) -> None:
    """A test with a frozen broker could only compare seconds on a machine that may be busy."""
    settings = load()
    options = settings["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert options["socket_connect_timeout"] + options["socket_timeout"] < 2
    assert options["max_retries"] == 0
    assert settings["CELERY_TASK_PUBLISH_RETRY"] is False


def test_a_rabbitmq_that_does_not_answer_delays_a_request_by_less_than_a_second(load: Load) -> None:
    settings = load(CELERY_BROKER_URL="amqp://a.example.org//;amqp://b.example.org//")
    options = settings["CELERY_BROKER_TRANSPORT_OPTIONS"]
    answer, reconnections = options["read_timeout"], 2 * options["connect_timeout"]
    assert answer + reconnections < 1
    assert options["confirm_publish"] is True
    assert options["max_retries"] == 1, "each node is tried once"
    assert settings["CELERY_TASK_PUBLISH_RETRY_POLICY"]["max_retries"] == 1
    assert 4 * load(CELERY_BROKER_URL="amqps://a//")["CELERY_BROKER_TRANSPORT_OPTIONS"]["connect_timeout"] < 1


def test_sentinels_that_do_not_answer_delay_a_request_by_less_than_a_second(load: Load) -> None:
    urls = [f"sentinel://:secret@{host}.example.org/0" for host in "abc"]
    settings = load(CELERY_BROKER_URL=";".join(urls), CELERY_BROKER_SENTINEL_PASSWORD="other")
    options = settings["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert options["master_name"] == "mymaster"
    assert options["sentinel_kwargs"]["password"] == "other"
    assert len(urls) * options["sentinel_kwargs"]["socket_timeout"] < 1
    assert options["sentinel_kwargs"]["retry"] is None, "redis-py's default retries take 25 s for a frozen sentinel"


def test_the_queues_of_rabbitmq_are_replicated(load: Load) -> None:
    queues = load(CELERY_BROKER_URL="amqp://broker.example.org//")["CELERY_TASK_QUEUES"]
    assert [queue.name for queue in queues] == list(QUEUES)
    assert {queue.queue_arguments["x-queue-type"] for queue in queues} == {"quorum"}
    assert load()["CELERY_TASK_QUEUES"] is None


def test_the_certificate_of_rabbitmq_is_verified(load: Load) -> None:
    assert load(CELERY_BROKER_URL="amqps://broker.example.org//")["CELERY_BROKER_USE_SSL"]["cert_reqs"] == CERT_REQUIRED
    assert load(CELERY_BROKER_URL="amqp://broker.example.org//")["CELERY_BROKER_USE_SSL"] is False


def test_valid_settings_load_without_output(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    assert load()["DEBUG"] is False
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", ["0", "1", "0.25", ".5", "1.0"])
def test_a_fraction_is_a_number_from_0_to_1(load: Load, value: str) -> None:
    assert load(SENTRY_TRACES_SAMPLE_RATE=value)["SENTRY_TRACES_SAMPLE_RATE"] == float(value)


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("WEB_WORKERS", "x"), ("WEB_THREADS", "0"), ("LOG_LEVEL", "LOUD")]
)
def test_gunicorns_own_invalid_settings_are_refused(load: Load, name: str, value: str) -> None:
    with pytest.raises(env.SettingError) as error:
        load(file="deploy/gunicorn.conf.py", **{name: value})
    assert_one_line(error, name)


def test_a_metrics_directory_that_cannot_be_created_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/dev/null/metrics")
    with pytest.raises(env.SettingError) as error:
        metrics.create_multiprocess_dir()
    assert_one_line(error, "PROMETHEUS_MULTIPROC_DIR")


def test_a_worker_serves_metrics_only_with_the_metrics_directory() -> None:
    with pytest.raises(env.SettingError, match="instafeed: METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR"):
        worker_exporter.start_server("127.0.0.1", 1)
