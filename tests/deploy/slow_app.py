"""A slow WSGI application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

SECONDS = 0.2


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    time.sleep(SECONDS)  # noqa: TID251 (the slow work)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
