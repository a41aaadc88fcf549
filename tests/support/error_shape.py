"""Assert that a response has the API's error format."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse


def assert_error(response: HttpResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert that the response is an error in the API's format; return its first error."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body = response.json()  # type: ignore[attr-defined]
    assert set(body) == {"type", "errors"}
    assert body["type"] in ("server_error",) if status >= 500 else ("client_error", "validation_error")
    for error in body["errors"]:
        assert set(error) == {"code", "detail", "attr"}
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content
    if code:
        assert body["errors"][0]["code"] == code
    return body["errors"][0]
