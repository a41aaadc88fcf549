"""Views of /media."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.errors import Conflict
from instafeed.core.api.etags import ETAG_PARAMETERS, NOT_MODIFIED_RESPONSE, json_with_etag
from instafeed.core.api.openapi.components import error_response
from instafeed.core.api.requests import id_or_404
from instafeed.core.api.throttling import PostThrottle, UploadThrottle, UserThrottle
from media import selectors, services, uploads
from media.api.serializers import (
    AltTextSerializer,
    FileInputSerializer,
    MediaSerializer,
    UploadInputSerializer,
    UploadSerializer,
)
from media.api.upload_handlers import limit_upload_size

_MEDIA_USED = error_response(409, "media_used", "It is part of a post.")
_NOT_UPLOADED = error_response(409, "not_uploaded", "Nothing has been uploaded yet.")
_INVALID_IMAGE = error_response(
    400, "invalid_image", "The file is not a picture of a kind that is accepted.", attr="file"
)


class _MediaAPIView(APIView):
    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, uploads.InvalidImage):
            exc = ValidationError({"file": str(exc)}, code="invalid_image")
        return super().handle_exception(exc)


class MediaListView(_MediaAPIView):
    parser_classes = [MultiPartParser]
    throttle_classes = [UserThrottle, UploadThrottle]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        limit_upload_size(request)
        return super().initialize_request(request, *args, **kwargs)

    @extend_schema(
        operation_id="upload_media",
        request={"multipart/form-data": FileInputSerializer},
        responses={202: MediaSerializer, **_INVALID_IMAGE},
        tags=["media"],
    )
    def post(self, request: Request) -> Response:
        """Upload a picture. It is processed in the background."""
        data = FileInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        if sum(len(files) for _, files in request.FILES.lists()) > 1:
            raise ValidationError({"file": "One file at a time."}, code="invalid")
        file = data.validated_data["file"]
        media = uploads.receive(current_user(request).pk, file.file, file.size, data.validated_data["alt_text"])
        return Response(MediaSerializer(media).data, status=202)


class UploadsView(_MediaAPIView):
    throttle_classes = [UserThrottle, UploadThrottle]

    @extend_schema(
        operation_id="begin_upload", request=UploadInputSerializer, responses={201: UploadSerializer}, tags=["media"]
    )
    def post(self, request: Request) -> Response:
        """Prepare a direct upload to the storage. Send the returned form to its URL, then call `complete`."""
        data = UploadInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data
        media, upload = uploads.begin(current_user(request).pk, given["content_type"], given["size"], given["alt_text"])
        form = {"method": upload.method, "url": upload.url, "fields": upload.fields}
        return Response({"id": str(media.pk), "upload": form}, status=201)


class CompleteView(_MediaAPIView):
    @extend_schema(
        operation_id="complete_upload",
        request=None,
        responses={202: MediaSerializer, **_INVALID_IMAGE, **_NOT_UPLOADED},
        tags=["media"],
    )
    def post(self, request: Request, media_id: str) -> Response:
        """Report that a direct upload is done. Calling it again returns the same answer."""
        try:
            media = uploads.complete(current_user(request).pk, id_or_404(media_id))
        except uploads.NotUploaded:
            raise Conflict("Nothing has been uploaded yet.", "not_uploaded") from None
        return Response(MediaSerializer(media).data, status=202)


class MediaView(_MediaAPIView):
    throttle_classes = [UserThrottle, PostThrottle]

    @extend_schema(
        operation_id="get_media",
        parameters=ETAG_PARAMETERS,
        responses={200: MediaSerializer, **NOT_MODIFIED_RESPONSE},
        tags=["media"],
    )
    def get(self, request: Request, media_id: str) -> HttpResponse:
        """Return one of your own pictures."""
        media = selectors.get_own_media(current_user(request).pk, id_or_404(media_id))
        return json_with_etag(request, MediaSerializer(media).data)

    @extend_schema(operation_id="edit_media", request=AltTextSerializer, responses=MediaSerializer, tags=["media"])
    def patch(self, request: Request, media_id: str) -> Response:
        """Change the alt text of one of your own pictures, also if it is part of a post."""
        owner_id, id_ = current_user(request).pk, id_or_404(media_id)
        data = AltTextSerializer(data=request.data, partial=True)
        data.is_valid(raise_exception=True)
        if "alt_text" in data.validated_data:
            media = services.set_alt_text(owner_id, id_, data.validated_data["alt_text"])
        else:
            media = selectors.get_own_media(owner_id, id_)
        return Response(MediaSerializer(media).data)

    @extend_schema(operation_id="delete_media", responses={204: None, **_MEDIA_USED}, tags=["media"])
    def delete(self, request: Request, media_id: str) -> Response:
        """Delete a picture that is not part of a post."""
        try:
            services.delete(current_user(request).pk, id_or_404(media_id))
        except services.MediaInUse:
            raise Conflict("It is part of a post.", "media_used") from None
        return Response(status=204)
