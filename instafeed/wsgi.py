"""The WSGI application that gunicorn serves."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from tempfile import SpooledTemporaryFile
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

from instafeed.core import startup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")

MAX_CHUNKED_BYTES = 32 * 1024 * 1024  # above every endpoint's limit, so that a body cut here is refused with 413
_MAX_IN_MEMORY_BYTES = 1024 * 1024  # larger bodies are buffered on disk
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")  # RFC 2046, section 5.1.1
startup.require_services()  # also with another server than gunicorn with its settings
_django_application = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if ";" in environ.get("CONTENT_TYPE", ""):
        environ["CONTENT_TYPE"] = _keep_boundary_only(environ["CONTENT_TYPE"])
    if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
        _buffer_chunked_body(environ)
    return _django_application(environ, start_response)


def _keep_boundary_only(content_type: str) -> str:
    """Remove all parameters from a Content-Type except a form's boundary. So Django decodes all text as UTF-8.

    Django would decode queries and forms with any Python codec that a client names as the charset, before its error
    handlers are active: `hex` and `zlib` do not give text, and `utf-7` allows lone surrogates. Without this function
    such requests are 500s; see test_request_charset_is_ignored in tests/system/core/test_raw_http.py.
    """
    kind, _, _ = content_type.partition(";")
    try:
        boundary = parse_header_parameters(content_type)[1].get("boundary", "")
    except (LookupError, ValueError):
        return kind
    return f'{kind}; boundary="{boundary}"' if _BOUNDARY.fullmatch(boundary) else kind


def _buffer_chunked_body(environ: dict[str, Any]) -> None:
    """Buffer a chunked body and set its length. Django takes a body without a length for an empty one.

    Clients that stream send such bodies; see test_chunked_body_is_accepted in tests/system/core/test_raw_http.py.
    """
    body = SpooledTemporaryFile(max_size=_MAX_IN_MEMORY_BYTES)  # noqa: SIM115  (Django reads it; the request closes it)
    length = 0
    while length < MAX_CHUNKED_BYTES and (chunk := environ["wsgi.input"].read(min(65_536, MAX_CHUNKED_BYTES - length))):
        length += body.write(chunk)
    body.seek(0)
    environ["wsgi.input"] = body
    environ["CONTENT_LENGTH"] = str(length)
