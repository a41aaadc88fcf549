"""Choose the renderer of a response: JSON, the only one, without parsing the headers of clients that accept it."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

_ACCEPT_JSON = ("*/*", "application/json", "application/json, */*", "application/json, text/plain, */*")


class JsonNegotiation(DefaultContentNegotiation):
    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        accepts_json = request.META.get("HTTP_ACCEPT", "*/*") in _ACCEPT_JSON
        if accepts_json and not format_suffix and "format" not in request.GET and type(first) is JSONRenderer:
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)
