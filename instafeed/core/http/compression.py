"""Compress JSON where no proxy does (COMPRESS_RESPONSES). Behind nginx this is off: it compresses in C.

A secret cannot be guessed from the size of a response (BREACH): that needs a browser that sends the credentials of a
user with requests that another site chooses. The API reads no cookies, and HTML, which has CSRF tokens, is not
compressed. Django's middleware adds random bytes too.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

# Bytes, as in deploy/nginx/nginx.conf. A page of 20 posts shrinks from 20 kB to 5 in half a millisecond.
MIN_COMPRESSED_SIZE = 1000
_REFUSES_GZIP = re.compile(r"\bgzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)", re.IGNORECASE)  # Django looks for the name only


class CompressionMiddleware(GZipMiddleware):
    """Compress JSON, also streams, for clients that accept gzip. Pictures and static files are compressed already."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.COMPRESS_RESPONSES:
            raise MiddlewareNotUsed
        super().__init__(get_response)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_json = response.get("Content-Type", "").partition(";")[0].endswith("json")
        is_small = isinstance(response, HttpResponse) and len(response.content) < MIN_COMPRESSED_SIZE
        if not is_json or is_small:
            return response
        if _REFUSES_GZIP.search(request.headers.get("Accept-Encoding", "")):
            patch_vary_headers(response, ["Accept-Encoding"])
            return response
        return super().process_response(request, response)
