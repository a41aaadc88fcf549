"""The embedded stack's files over HTTP, with the headers that the object storage would send.

Conditional and range requests are WhiteNoise's. It refuses a range of a single byte (416), which nobody asks of
a picture.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from whitenoise.middleware import WhiteNoiseFileResponse
from whitenoise.responders import NotARegularFileError, StaticFile

from instafeed.core.api.errors import service_unavailable
from media.storage.local import signatures
from media.storage.paths import cache_control_of, content_type_of, kind_of


@csrf_exempt  # nothing is written here; other methods are to get their 405
@require_safe
def serve_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """404 for all that is no file of the layout, originals among it; 403 for a private one without its signature,
    whether it exists or not."""
    try:
        kind = kind_of(path)
    except ValueError:
        raise Http404 from None
    if kind == "incoming":
        raise Http404
    if kind == "private" and not _is_signed(request, path):
        raise PermissionDenied
    try:
        answer = StaticFile(default_storage.path(path), _headers(path)).get_response(request.method, request.META)
    except (NotARegularFileError, FileNotFoundError):
        raise Http404 from None
    except OSError:
        return service_unavailable(request)
    response = WhiteNoiseFileResponse(answer.file or (), status=answer.status)
    for name, value in answer.headers:
        response[name] = value
    return response


def _is_signed(request: HttpRequest, path: str) -> bool:
    _, key, _ = path.split("/")
    return signatures.is_valid_signature(key, request.GET.get("expires", ""), request.GET.get("signature", ""))


def _headers(path: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", content_type_of(path)),
        ("Cache-Control", cache_control_of(path)),
        ("Content-Disposition", "inline"),
        ("X-Content-Type-Options", "nosniff"),
        # Were a file ever taken for a page, it could still neither run nor load anything.
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ]
