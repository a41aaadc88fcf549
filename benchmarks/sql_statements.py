"""Count the SQL statements of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

_TRANSACTION_CONTROL = ("SAVEPOINT", "RELEASE")


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """Yield a list that gets the statements on all connections, except BEGIN and COMMIT, which no cursor sends."""
    statements: list[str] = []

    def record(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        statements.append(sql)
        return execute(sql, *arguments)

    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(record))
        yield statements


def count_statements(path: str, token: str, body: Any = None) -> int:
    """POST to this path with Django's test client.

    Return the number of statements on all connections, without those of transaction control. Send the same kind of
    request before, so that what is cached for a while is cached. Raise AssertionError if the request fails.
    """
    from rest_framework.test import APIClient  # reads settings, which not all who import this module have set up

    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_HOST="127.0.0.1")
    with recorded_statements() as statements:
        response = client.post(path, body, format="json")
    assert response.status_code in (200, 201), response.content
    return sum(not statement.startswith(_TRANSACTION_CONTROL) for statement in statements)
