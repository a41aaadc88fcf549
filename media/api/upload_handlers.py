"""Upload handlers that stream files to the disk and abort requests that exceed the size limit."""

from __future__ import annotations

import tempfile
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest

from media import tempdirs

FORM_OVERHEAD_BYTES = 64 * 1024  # the rest of the form: other fields, boundaries and headers


class BoundedUploadHandler(FileUploadHandler):
    """Counts the bytes of all files and answers 413 when they exceed MEDIA_MAX_BYTES."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.received = 0

    def handle_raw_input(
        self, input_data: Any, META: dict[str, Any], content_length: int, *args: Any, **kwargs: Any
    ) -> None:
        if content_length > settings.MEDIA_MAX_BYTES + FORM_OVERHEAD_BYTES:
            raise RequestDataTooBig

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.received += len(raw_data)
        if self.received > settings.MEDIA_MAX_BYTES:
            raise RequestDataTooBig
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class TempdirUploadHandler(TemporaryFileUploadHandler):
    """Django's handler, but with temporary files in `tempdirs`, where leftovers are swept."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = _TempdirFile(self.file_name, self.content_type, self.charset, self.content_type_extra)


class _TempdirFile(TemporaryUploadedFile):
    def __init__(self, name: str | None, content_type: str | None, charset: str | None, extra: Any) -> None:
        file = tempfile.NamedTemporaryFile(dir=tempdirs.tempdirs_root())  # noqa: SIM115 (closed with the request)
        UploadedFile.__init__(self, file, name, content_type, 0, charset, extra)


def limit_upload_size(request: HttpRequest) -> None:
    """Install the upload handlers. Call it before the request's body is read."""
    request.upload_handlers = [BoundedUploadHandler(request), TempdirUploadHandler(request)]
