"""The view that receives direct uploads to the local storage: a form like S3's, so clients need one code path.

The policy is in the URL and not among the fields, so it is checked before any of the body is read. Only a client that
was given a form can make this view write to the disk, and never more than the form allows.
"""

from __future__ import annotations

from typing import IO, Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import default_storage
from django.core.files.uploadhandler import FileUploadHandler
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.datastructures import MultiValueDict
from django.views.decorators.csrf import csrf_exempt

from instafeed.core.api.errors import error_body
from media.storage.local.filesystem import FileStorage
from media.storage.local.signatures import UploadPolicy, read_policy

FORM_OVERHEAD_BYTES = 16 * 1024  # of a form, besides its file


class _UploadError(Exception):
    """An upload is refused: the status, code and detail of the response."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class SingleFileHandler(FileUploadHandler):
    """Streams the field `file` to its target, and never more bytes than the policy allows."""

    chunk_size = 64 * 1024

    def __init__(self, target: IO[bytes], size: int) -> None:
        super().__init__()
        self._target, self._size = target, size
        self.received: int | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.field_name != "file" or self.received is not None:
            raise _UploadError(400, "invalid", "The form must hold exactly one file, in the field `file`.")
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received = start + len(raw_data)
        if self.received > self._size:
            raise _too_large(self._size)
        self._target.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        """Return nothing for request.FILES: the file is in its place already."""


# The policy authorizes the request instead of a session, so cross-site request forgery gains nothing.
@csrf_exempt
def receive_upload(request: HttpRequest) -> HttpResponse:
    """Store the file of a form and answer 204.

    403 for an invalid or expired policy, 413 for too many bytes, 400 for other invalid forms, 503 if the disk fails.
    """
    try:
        if request.method != "POST":
            raise _UploadError(405, "method_not_allowed", f'Method "{request.method}" not allowed.')
        _store(request, _authorize(request))
    except _UploadError as error:
        headers = {"Allow": "POST"} if error.status == 405 else {}
        return _json_response(error.status, error.code, error.detail, headers)
    except (MultiPartParserError, SuspiciousOperation, UnreadablePostError):
        return _json_response(400, "parse_error", "Malformed request.", {})
    except OSError:
        return _json_response(
            503, "service_unavailable", "The service is temporarily unavailable.", {"Retry-After": "2"}
        )
    return HttpResponse(status=204)


def _authorize(request: HttpRequest) -> UploadPolicy:
    try:
        policy = read_policy(request.GET.get("policy", ""))
    except BadSignature:
        raise _UploadError(403, "permission_denied", "The upload's policy is invalid or has expired.") from None
    if _content_length(request) > policy.size + FORM_OVERHEAD_BYTES:
        raise _too_large(policy.size)
    return policy


def _store(request: HttpRequest, policy: UploadPolicy) -> None:
    storage = default_storage
    assert isinstance(storage, FileStorage)
    with storage.open_for_write(policy.path) as target:
        handler = SingleFileHandler(target, policy.size)
        fields, _ = MultiPartParser(request.META, request, [handler], "utf-8").parse()
        _check_form(policy, fields, handler.received)


def _check_form(policy: UploadPolicy, fields: MultiValueDict[str, str], received: int | None) -> None:
    for name, value in (("key", policy.path), ("Content-Type", policy.content_type)):
        if fields.getlist(name) != [value]:
            raise _UploadError(403, "permission_denied", f"The field `{name}` is not what the policy allows.")
    if received != policy.size:
        raise _UploadError(400, "invalid", f"The file must have exactly {policy.size} bytes.")


def _content_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise _UploadError(400, "parse_error", "Malformed request.") from None


def _too_large(size: int) -> _UploadError:
    return _UploadError(413, "request_too_large", f"The file must have exactly {size} bytes.")


def _json_response(status: int, code: str, detail: str, headers: dict[str, str]) -> HttpResponse:
    body = error_body(status, code, detail)
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)
