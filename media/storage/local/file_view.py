"""The view that serves files of the local storage, with the headers that an object storage would send.

WhiteNoise handles conditional and range requests. It answers 416 to a range of a single byte, which is not needed for
pictures.
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


@csrf_exempt  # read-only; without it other methods would get 403 instead of 405
@require_safe
def serve_file(request: HttpRequest, path: str) -> HttpResponseBase:
    """Serve one file.

    404 for paths outside the layout, for originals and unfinished exports. 403 for a private path or an export without
    a valid signature, whether the file exists or not.
    """
    try:
        kind = kind_of(path)
    except ValueError:
        raise Http404 from None
    if kind == "incoming" or path.endswith(".part"):
        raise Http404
    if kind == "exports" and not _is_signed_download(request, path):
        raise PermissionDenied
    if kind == "private" and not _is_signed(request, path):
        raise PermissionDenied
    try:
        static_response = StaticFile(
            default_storage.path(path), _headers(path, request.GET.get("filename", ""))
        ).get_response(request.method, request.META)
    except (NotARegularFileError, FileNotFoundError):
        raise Http404 from None
    except OSError:
        return service_unavailable(request)
    response = WhiteNoiseFileResponse(static_response.file or (), status=static_response.status)
    for name, value in static_response.headers:
        response[name] = value
    return response


def _is_signed(request: HttpRequest, path: str) -> bool:
    _, key, _ = path.split("/")
    return signatures.is_valid_signature(key, request.GET.get("expires", ""), request.GET.get("signature", ""))


def _is_signed_download(request: HttpRequest, path: str) -> bool:
    filename, expires, signature = (request.GET.get(name, "") for name in ("filename", "expires", "signature"))
    return signatures.is_valid_download(path, filename, expires, signature)


def _headers(path: str, filename: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", content_type_of(path)),
        ("Cache-Control", cache_control_of(path)),
        ("Content-Disposition", f'attachment; filename="{filename}"' if kind_of(path) == "exports" else "inline"),
        ("X-Content-Type-Options", "nosniff"),
        # A file that is interpreted as a page can neither run nor load anything.
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ]
