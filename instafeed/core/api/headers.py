"""Headers that every response under /api/ has."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from instafeed.core.api.deprecation import deprecation_headers
from instafeed.core.api.errors import is_api_request
from instafeed.core.api.etags import drop_known_body
from instafeed.core.api.throttling import rate_limit_headers

CACHE_CONTROL = "private, no-store"


class ApiHeadersMiddleware:
    """Forbid caching unless the view allows it, answer 304 to a client that has the response already, tell clients how
    far they are from their rate limit, and announce what is deprecated.

    `Vary` names Authorization on every path that reads a token, even if the view sets its own Cache-Control.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not is_api_request(request):
            return response
        drop_known_body(request, response)
        response.setdefault("Cache-Control", CACHE_CONTROL)
        if _reads_token(request):
            patch_vary_headers(response, ["Authorization"])
        for name, value in (rate_limit_headers(request) | deprecation_headers(request)).items():
            response[name] = value
        return response


def _reads_token(request: HttpRequest) -> bool:
    view = getattr(request.resolver_match and request.resolver_match.func, "cls", None)
    return bool(getattr(view, "authentication_classes", None))
