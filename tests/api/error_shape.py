"""The one error shape, as tests ask for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse


def assert_error(answer: HttpResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The answer is an error in shape; returns its first error."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/json"
    body = answer.json()  # type: ignore[attr-defined]
    assert set(body) == {"type", "errors"}
    assert body["type"] in ("server_error",) if status >= 500 else ("client_error", "validation_error")
    for error in body["errors"]:
        assert set(error) == {"code", "detail", "attr"}
    assert b"secret" not in answer.content
    assert b"Traceback" not in answer.content
    if code:
        assert body["errors"][0]["code"] == code
    return body["errors"][0]
