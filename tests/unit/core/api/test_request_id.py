"""Every response carries a request id, the client's or a generated one."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from instafeed.core.observability.request_id import RequestIdMiddleware, current_request_id

pytestmark = pytest.mark.urls("tests.support.urls")
UNKNOWN = "/api/v1/unknown"


def test_a_well_formed_id_is_kept(client: Client) -> None:
    assert client.get(UNKNOWN, headers={"X-Request-ID": "a-1.B_2"})["X-Request-ID"] == "a-1.B_2"


@pytest.mark.parametrize("offered", ["", "x" * 129, "with blank", "new\nline", "<b>", "naïve", 'quo"te'])
def test_a_malformed_id_is_replaced(client: Client, offered: str) -> None:
    given = client.get(UNKNOWN, headers={"X-Request-ID": offered})["X-Request-ID"]
    assert len(given) == 32
    assert given != offered


def test_every_response_has_its_own_id(client: Client) -> None:
    assert client.get(UNKNOWN)["X-Request-ID"] != client.get("/elsewhere")["X-Request-ID"]


def test_responses_of_other_middleware_carry_the_id(client: Client) -> None:
    response = client.get(UNKNOWN, headers={"host": "unknown.example"})
    assert response.status_code == 400
    assert response["X-Request-ID"]


def test_the_id_is_set_during_the_request_only() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(current_request_id())
        return HttpResponse()

    RequestIdMiddleware(view)(RequestFactory().get("/", headers={"X-Request-ID": "abc"}))
    assert seen == ["abc"]
    assert current_request_id() == ""


def test_the_id_is_cleared_after_a_failure() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RequestIdMiddleware(view)(RequestFactory().get("/"))
    assert current_request_id() == ""
