"""Count the SQL statements of a request, with Django's test client in this process."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

_TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def count_statements(path: str, token: str, body: Any = None) -> int:
    """POST to this path and return the number of statements on all connections, without those of transaction control.

    Send the same kind of request before, so that what is cached for a while is cached. Raise AssertionError if the
    request fails.
    """
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_HOST="127.0.0.1")
    with ExitStack() as stack:
        captured = [stack.enter_context(CaptureQueriesContext(connection)) for connection in connections.all()]
        response = client.post(path, body, format="json")
    assert response.status_code in (200, 201), response.content
    statements = [query["sql"] for each in captured for query in each.captured_queries]
    return sum(not statement.startswith(_TRANSACTION_CONTROL) for statement in statements)
