"""Which request a log line belongs to, in web processes and in tasks; and what is worth a line at all."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from celery import shared_task
from celery.app.trace import build_tracer
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from instafeed import logs
from instafeed.api.request_id import META_KEY, RequestIdMiddleware, current_request_id, use_request_id
from instafeed.celery import app

pytestmark = pytest.mark.urls("tests.api.urls")
NAME = "instafeed.tests"


@pytest.fixture(autouse=True)
def _own_context() -> Any:
    yield
    use_request_id("")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, as the console's handler would get it."""
    caplog.handler.addFilter(logs.RequestIdFilter())
    caplog.set_level(logging.INFO)
    return caplog


def ids(lines: pytest.LogCaptureFixture) -> list[str]:
    return [record.request_id for record in lines.records]  # type: ignore[attr-defined]


def test_lines_within_a_request_carry_its_id_and_others_a_dash(lines: pytest.LogCaptureFixture) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        logging.getLogger(NAME).info("within")
        return HttpResponse()

    RequestIdMiddleware(view)(RequestFactory().get("/", headers={"X-Request-ID": "abc"}))
    logging.getLogger(NAME).info("after")
    assert ids(lines) == ["abc", "-"]


@pytest.mark.parametrize("path", ["/api/v1/crash", "/api/v1/bare-failure", "/bare-failure", "/api/v1/no-database"])
def test_an_answer_of_5xx_is_one_line_with_the_id_of_its_request(path: str, lines: pytest.LogCaptureFixture) -> None:
    answer = Client(raise_request_exception=False).get(path, headers={"X-Request-ID": "abc"})
    assert answer.status_code >= 500
    assert ids(lines) == ["abc"]


@pytest.mark.parametrize("offered", ["", "a b"])
def test_an_insane_offer_is_in_no_line(offered: str, lines: pytest.LogCaptureFixture) -> None:
    answer = Client(raise_request_exception=False).get("/bare-failure", headers={"X-Request-ID": offered})
    assert ids(lines) == [answer["X-Request-ID"]]


def test_answers_below_500_are_no_lines(client: Client, lines: pytest.LogCaptureFixture) -> None:
    for path in ("unknown", "with-token", "403", "conflict"):
        assert 400 <= client.get(f"/api/v1/{path}").status_code < 500
    assert not lines.records


def test_a_line_that_django_logs_after_the_last_middleware_carries_the_id(lines: pytest.LogCaptureFixture) -> None:
    request = RequestFactory().get("/", headers={"X-Request-ID": "abc"})
    RequestIdMiddleware(lambda _: HttpResponse())(request)
    logging.getLogger(NAME).error("Service Unavailable", extra={"request": request})
    assert request.META[META_KEY] == "abc"
    assert ids(lines) == ["abc"]


def test_a_slow_answer_is_a_line_without_what_the_client_sent(
    client: Client, lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SLOW", 0.0)
    client.get("/api/v1/echo?secret=1", headers={"X-Request-ID": "abc"})
    client.get("/api/v1/secret")
    messages = [record.getMessage().partition(" after")[0] for record in lines.records]
    assert messages == ["GET api/v1/echo: 405", "GET ^api/: 404"]
    assert ids(lines)[0] == "abc"


@shared_task(name="tests.seen_request_id")
def seen_request_id() -> str:
    return current_request_id()


@pytest.mark.usefixtures("redis_broker")
@pytest.mark.parametrize("request_id", ["abc", ""])
def test_a_published_task_carries_the_id(request_id: str) -> None:
    use_request_id(request_id)
    seen_request_id.apply_async(queue="maintenance")
    use_request_id("of somebody else")
    with app.connection_for_read() as connection, connection.SimpleQueue("maintenance") as queue:
        message = queue.get(timeout=5)
        message.ack()
    assert message.headers.get("request_id", "") == request_id
    run = build_tracer(seen_request_id.name, seen_request_id, app=app)  # what a worker does with the headers
    assert run(message.headers["id"], [], {}, message.headers).retval == request_id
    assert current_request_id() == ""
