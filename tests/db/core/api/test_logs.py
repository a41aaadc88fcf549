"""Which events are logged, with which request and task ids, and without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import redis
from celery import shared_task
from celery.app.trace import build_tracer
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings
from structlog.contextvars import bind_contextvars, clear_contextvars

from instafeed.celery import app
from instafeed.core.cache import client as cache_client
from instafeed.core.http import request_log
from instafeed.core.observability import logging_config
from instafeed.core.observability.request_id import RequestIdMiddleware, current_request_id
from tests.support.factories import UserFactory

pytestmark = pytest.mark.urls("tests.support.urls")
NAME = "instafeed.tests"


@pytest.fixture(autouse=True)
def _empty_log_context() -> Iterator[None]:
    clear_contextvars()
    yield
    clear_contextvars()


class LogOutput:
    """Captures log lines as the console would show them."""

    def __init__(self, form: str = "json") -> None:
        self._stream = StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(logging_config.build_formatter(form))

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogOutput]:
    """Return the lines that are logged. No request is slow, however slow the machine is."""
    monkeypatch.setattr(request_log, "SLOW_REQUEST_SECONDS", 1_000.0)
    output = LogOutput()
    root = logging.getLogger()
    before = root.level
    root.addHandler(output.handler)
    root.setLevel(logging.INFO)
    yield output
    root.removeHandler(output.handler)
    root.setLevel(before)


# --- Format ------------------------------------------------------------------------------------------


def test_a_line_is_a_json_object_with_ordered_keys(lines: LogOutput) -> None:
    logging.getLogger(NAME).warning("two\nlines of %s", "text", extra={"status": 200, "password": "x", "args2": 1})
    (line,) = lines.all
    assert list(line) == ["timestamp", "level", "logger", "event", "status"]
    assert line["timestamp"].endswith("+00:00")
    assert (line["level"], line["logger"], line["event"]) == ("warning", NAME, "two\nlines of text")


@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_record_that_cannot_be_formatted_or_redacted_is_hidden(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = LogOutput(form)

    def fail(value: object) -> None:
        raise IndexError

    for argument in ("wrong in number", ""):
        record = logging.LogRecord(NAME, logging.ERROR, "", 0, "password=hunter2 %s %s", (argument,), None)
        lines.handler.handle(record)
        monkeypatch.setattr(logging_config, "redact", fail)
        lines.handler.handle(logging.LogRecord(NAME, logging.ERROR, "", 0, "password=hunter2", None, None))
    assert "hunter2" not in lines.text + capsys.readouterr().err
    assert len(lines.text.splitlines()) == 4
    for line in lines.text.splitlines():
        assert "[could not be redacted]" in line
        if form == "json":
            assert list(json.loads(line)) == ["timestamp", "level", "logger", "event"]


def test_a_traceback_is_one_redacted_field(lines: LogOutput) -> None:
    try:
        raise ValueError("redis://:hunter2hunter2@host refused; password=hunter2hunter2")
    except ValueError:
        logging.getLogger(NAME).exception("it failed")
    (line,) = lines.all
    assert "Traceback" in line["exception"]
    assert "ValueError: redis://:[redacted]@host refused" in line["exception"]
    assert "hunter2" not in lines.text


def test_a_newline_cannot_forge_a_line_in_plain_format() -> None:
    lines = LogOutput("plain")
    record = logging.makeLogRecord({"name": NAME, "levelno": 20, "levelname": "INFO", "msg": "a\nb", "status": 200})
    lines.handler.handle(record)
    assert len(lines.text.splitlines()) == 1
    assert lines.text.endswith(f"info {NAME} a\\nb status=200\n")


def test_only_lines_of_a_request_carry_its_id(lines: LogOutput) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        logging.getLogger(NAME).info("within")
        return HttpResponse()

    RequestIdMiddleware(view)(RequestFactory().get("/", headers={"X-Request-ID": "abc"}))
    logging.getLogger(NAME).info("after")
    assert [line.get("request_id") for line in lines.all] == ["abc", None]


# --- Requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "route", "traced"),
    [
        ("/api/v1/crash", "/api/v1/crash", True),
        ("/api/v1/bare-failure", "/api/v1/bare-failure", True),
        ("/bare-failure", "/bare-failure", True),
        ("/api/v1/no-database", "/api/v1/no-database", True),
    ],
)
def test_a_5xx_response_is_one_line_with_traceback(path: str, route: str, traced: bool, lines: LogOutput) -> None:
    response = Client(raise_request_exception=False).get(f"{path}?token=abcdefgh", headers={"X-Request-ID": "abc"})
    assert response.status_code >= 500
    (line,) = lines.all
    assert line["duration_ms"] > 0
    assert (line["level"], line["logger"], line["request_id"]) == (
        "error",
        "instafeed.core.http.request_log",
        "abc",
    )
    assert (line["method"], line["route"], line["status"]) == ("GET", route, response.status_code)
    assert ("Traceback" in line.get("exception", "")) is traced
    assert "abcdefgh" not in lines.text


@pytest.mark.parametrize("offered", ["", "a b"])
def test_a_malformed_request_id_is_not_logged(offered: str, lines: LogOutput) -> None:
    response = Client(raise_request_exception=False).get("/bare-failure", headers={"X-Request-ID": offered})
    assert [line["request_id"] for line in lines.all] == [response["X-Request-ID"]]


def test_reads_without_server_errors_are_not_logged(client: Client, lines: LogOutput) -> None:
    for path in ("unknown", "with-token", "403", "conflict"):
        assert 400 <= client.get(f"/api/v1/{path}").status_code < 500
    assert not lines.text


@pytest.mark.parametrize(("wanted", "logged"), [("writes", ["POST"]), ("all", ["GET", "POST"]), ("none", [])])
def test_a_setting_chooses_which_requests_are_logged(
    wanted: str, logged: list[str], client: Client, lines: LogOutput, settings: Settings
) -> None:
    settings.LOG_REQUESTS = wanted
    client.get("/api/v1/with-token")
    client.post("/api/v1/echo", {"password": "hunter2hunter2"}, "application/json")
    assert [line["method"] for line in lines.all] == logged
    assert "hunter2" not in lines.text


def test_a_slow_request_is_logged_without_client_input(
    client: Client, lines: LogOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "SLOW_REQUEST_SECONDS", 0.0)
    client.get("/api/v1/echo?secret=1", headers={"X-Request-ID": "abc"})
    client.get("/api/v1/some/secret")
    logged = [(line["level"], line["method"], line["route"], line["status"]) for line in lines.all]
    assert logged == [("warning", "GET", "/api/v1/echo", 405), ("warning", "GET", "unmatched", 404)]
    assert lines.all[0]["request_id"] == "abc"
    assert "secret" not in lines.text


@pytest.mark.django_db
def test_a_line_has_the_user_id_and_costs_no_query(
    client: Client, lines: LogOutput, settings: Settings, django_assert_num_queries: Any
) -> None:
    settings.LOG_REQUESTS = "all"
    user = UserFactory(username="alice", password="hunter2hunter2")
    response = client.post(
        "/api/v1/auth/token", {"username": "alice", "password": "hunter2hunter2"}, "application/json"
    )
    access = response.json()["access"]
    assert client.get("/api/v1/with-token", headers={"Authorization": f"Bearer {access}"}).status_code == 200
    client.cookies["sessionid"] = "x" * 32
    with django_assert_num_queries(0):
        assert client.get("/api/v1/missing").status_code == 404
    assert [line.get("user_id") for line in lines.all] == [None, user.pk, None]
    for secret in ("hunter2", access[:30], "alice", "x" * 32):
        assert secret not in lines.text


def test_a_redis_error_is_logged_without_the_password(lines: LogOutput) -> None:
    cache_client.record_failure(
        redis.ResponseError("WRONGPASS for redis://:hunter2hunter2@host, AUTH password=hunter2hunter2")
    )
    cache_client.breaker.reset()
    (line,) = lines.all
    assert "cache unavailable" in line["event"]
    assert "hunter2" not in lines.text


# --- Tasks -------------------------------------------------------------------------------------------


@shared_task(name="tests.seen_request_id")
def seen_request_id() -> str:
    return current_request_id()


@shared_task(name="tests.failing_with_secret")
def failing() -> None:
    raise RuntimeError("password=hunter2hunter2")


def run(task: Any, request_id: str = "") -> Any:
    """Run a task as a worker does, with a message's headers."""
    headers = {"id": "task-1", **({"request_id": request_id} if request_id else {})}
    return build_tracer(task.name, task, app=app)(headers["id"], [], {}, headers)


@pytest.mark.usefixtures("redis_broker")
@pytest.mark.parametrize("request_id", ["abc", ""])
def test_a_published_task_carries_the_request_id(request_id: str) -> None:
    bind_contextvars(request_id=request_id)
    seen_request_id.apply_async(queue="maintenance")
    bind_contextvars(request_id="of-another-request")
    with app.connection_for_read() as connection, connection.SimpleQueue("maintenance") as queue:
        message = queue.get(timeout=60)
        message.ack()
    assert message.headers.get("request_id", "") == request_id
    assert run(seen_request_id, request_id).retval == request_id
    assert current_request_id() == "of-another-request"


def test_only_tasks_of_requests_are_logged_at_info(lines: LogOutput) -> None:
    run(seen_request_id)
    assert not lines.text
    run(seen_request_id, "abc")
    (line,) = lines.all
    assert (line["level"], line["request_id"], line["task_id"]) == ("info", "abc", "task-1")
    assert (line["task"], line["outcome"]) == ("tests.seen_request_id", "success")
    assert line["duration_ms"] >= 0


def test_a_failed_task_is_logged_with_its_redacted_error_and_outcome(lines: LogOutput) -> None:
    run(failing, "abc")
    failure, end = lines.all
    assert failure["level"] == "error"
    assert "RuntimeError" in failure["exception"]
    assert (end["outcome"], end["task"]) == ("failure", "tests.failing_with_secret")
    assert {line["request_id"] for line in lines.all} == {"abc"}
    assert {line["task_id"] for line in lines.all} == {"task-1"}
    assert "hunter2" not in lines.text
