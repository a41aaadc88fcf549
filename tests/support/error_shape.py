"""Assert that a response has the API's error format."""

from __future__ import annotations

from typing import Any

from tests.support.client_response import ClientResponse


def assert_error(response: ClientResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that the response is an error in the API's format; return its first error."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert set(body) == {"type", "errors"}
    assert body["type"] in (("server_error",) if status >= 500 else ("client_error", "validation_error"))
    for error in body["errors"]:
        assert set(error) == {"code", "detail", "attr"}
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content
    first: dict[str, Any] = body["errors"][0]
    if code:
        assert first["code"] == code
    return first
