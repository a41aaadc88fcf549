"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

MAX_CHUNKED = 32 * 1024 * 1024  # bytes: above what any path takes, which then refuses a body that was cut here
_IN_MEMORY = 1024 * 1024  # bytes; a larger body waits on disk
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
        _measure(environ)
    return _django(environ, start_response)


def _measure(environ: dict[str, Any]) -> None:
    """Give a body that comes in chunks the length without which Django takes it for an empty one."""
    body = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (Django reads it later; it ends with the request)
    length = 0
    while length < MAX_CHUNKED and (piece := environ["wsgi.input"].read(min(65_536, MAX_CHUNKED - length))):
        length += body.write(piece)
    body.seek(0)
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(length)
