"""Requests with an Idempotency-Key that create users."""

from __future__ import annotations

from collections.abc import Callable

from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.models import User

ALICE = 1


def request_of(
    key: str | None = "k", path: str = "/api/v1/posts", method: str = "POST", body: str = '{"a":1,"b":[1,2]}'
) -> Request:
    headers = {} if key is None else {"Idempotency-Key": key}
    request = APIRequestFactory().generic(method, path, body, "application/json", headers=headers)
    return Request(request, parsers=[JSONParser()])


def create_user(name: str, status: int = 201) -> Callable[[], tuple[int, bytes]]:
    """Return a `create` function that creates a user of that name; its second call would fail."""

    def create() -> tuple[int, bytes]:
        user = User.objects.create_user(name)
        return status, b'{"id": "%d",  "odd":"spacing \xc3\xa9"}' % user.pk

    return create


def usernames() -> list[str]:
    return list(User.objects.order_by("username").values_list("username", flat=True))
