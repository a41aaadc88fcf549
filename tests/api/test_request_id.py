from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from instafeed.core.observability.request_id import RequestIdMiddleware, current_request_id

pytestmark = pytest.mark.urls("tests.api.urls")
UNKNOWN = "/api/v1/unknown"


def test_a_sane_id_is_taken_from_the_request(client: Client) -> None:
    assert client.get(UNKNOWN, headers={"X-Request-ID": "a-1.B_2"})["X-Request-ID"] == "a-1.B_2"


@pytest.mark.parametrize("offered", ["", "x" * 129, "with blank", "new\nline", "<b>", "naïve", 'quo"te'])
def test_anything_else_is_replaced(client: Client, offered: str) -> None:
    given = client.get(UNKNOWN, headers={"X-Request-ID": offered})["X-Request-ID"]
    assert len(given) == 32
    assert given != offered


def test_every_answer_has_its_own(client: Client) -> None:
    assert client.get(UNKNOWN)["X-Request-ID"] != client.get("/elsewhere")["X-Request-ID"]


def test_answers_that_other_middleware_makes_carry_it(client: Client) -> None:
    answer = client.get(UNKNOWN, headers={"host": "unknown.example"})
    assert answer.status_code == 400
    assert answer["X-Request-ID"]


def test_it_is_known_while_answering_and_forgotten_after() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(current_request_id())
        return HttpResponse()

    RequestIdMiddleware(view)(RequestFactory().get("/", headers={"X-Request-ID": "abc"}))
    assert seen == ["abc"]
    assert current_request_id() == ""


def test_it_is_forgotten_after_a_failure_too() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RequestIdMiddleware(view)(RequestFactory().get("/"))
    assert current_request_id() == ""
