"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

MAX_CHUNKED_BYTES = 32 * 1024 * 1024  # bytes: above what any path takes, which then refuses a body that was cut here
_MAX_IN_MEMORY_BYTES = 1024 * 1024  # bytes; a larger body waits on disk
_django_application = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if ";" in environ.get("CONTENT_TYPE", ""):
        environ["CONTENT_TYPE"] = _drop_charset(environ["CONTENT_TYPE"])
    if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
        _buffer_chunked_body(environ)
    return _django_application(environ, start_response)


def _drop_charset(content_type: str) -> str:
    """Text is taken for UTF-8, whatever a client calls it.

    Django would decode queries and forms by any codec of Python's that is named here, before its handlers of errors
    stand: `hex` and `zlib` make no text at all, and `utf-7` lets lone surrogates in.
    """
    kind, *_ = content_type.split(";", 1)
    try:
        _, parameters = parse_header_parameters(content_type)
    except (LookupError, ValueError):
        return kind
    parameters.pop("charset", None)
    escaped = {name: re.sub(r'(["\\])', r"\\\1", value) for name, value in parameters.items()}
    return "; ".join([kind, *(f'{name}="{value}"' for name, value in escaped.items())])


def _buffer_chunked_body(environ: dict[str, Any]) -> None:
    """Give a body that comes in chunks the length without which Django takes it for an empty one."""
    body = SpooledTemporaryFile(max_size=_MAX_IN_MEMORY_BYTES)  # noqa: SIM115  (Django reads it later; it ends with the request)
    length = 0
    while length < MAX_CHUNKED_BYTES and (piece := environ["wsgi.input"].read(min(65_536, MAX_CHUNKED_BYTES - length))):
        length += body.write(piece)
    body.seek(0)
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(length)
