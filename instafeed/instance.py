"""What a client needs to know of the site before anyone signs in: GET /instance."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import MAX_BIO_LENGTH, MAX_DISPLAY_NAME_LENGTH, MIN_PASSWORD_LENGTH
from instafeed import __version__
from instafeed.core.api.openapi.components import example
from media.api.serializers import MAX_ALT_TEXT_LENGTH
from posts.api.serializers import MAX_CAPTION_LENGTH, MAX_COMMENT_LENGTH, MAX_PICTURES

CACHE_CONTROL = "public, max-age=60"

_EXAMPLE: dict[str, Any] = {
    "name": "Harbour",
    "description": "Pictures of ships.",
    "version": "0.1.0",
    "registration": "approval",
    "captcha": "altcha",
    "minimum_age": 16,
    "limits": {
        "caption": 2_200,
        "comment": 1_000,
        "alt_text": 1_000,
        "display_name": 60,
        "bio": 500,
        "password": 8,
        "media": 10,
        "media_bytes": 20_971_520,
        "media_pixels": 50_000_000,
    },
    "features": ["mail"],
    "stream_url": "https://harbour.example/api/v1/stream",
}


class LimitsSerializer(serializers.Serializer[Any]):
    caption = serializers.IntegerField(help_text="Characters of a caption at most.")
    comment = serializers.IntegerField(help_text="Characters of a comment at most.")
    alt_text = serializers.IntegerField(help_text="Characters of an alt text at most.")
    display_name = serializers.IntegerField(help_text="Characters of a display name at most.")
    bio = serializers.IntegerField(help_text="Characters of a biography at most.")
    password = serializers.IntegerField(help_text="Characters of a password at least.")
    media = serializers.IntegerField(help_text="Pictures of a post at most.")
    media_bytes = serializers.IntegerField(help_text="Bytes of a picture at most.")
    media_pixels = serializers.IntegerField(help_text="Pixels of a picture at most.")


@extend_schema_serializer(examples=[example("A site", _EXAMPLE)])
class InstanceSerializer(serializers.Serializer[Any]):
    """The site: what it is called, how to register, and what it allows."""

    name = serializers.CharField()
    description = serializers.CharField(help_text="May be empty.")
    version = serializers.CharField(help_text="Of instafeed.")
    registration = serializers.CharField(
        help_text=(
            "Who may register: `open`, `approval` (a moderator or an invite decides), `invite` (with an invite only) "
            "or `closed`."
        )
    )
    captcha = serializers.CharField(help_text="Of registration: `off`, or `altcha` (see `GET /auth/captcha`).")
    minimum_age = serializers.IntegerField(
        help_text="Age in years that users must have to register. 0: the date of birth is not asked."
    )
    limits = LimitsSerializer()
    features = serializers.ListField(
        child=serializers.CharField(),
        help_text=(
            "Optional parts that are on. `mail`: the site sends mails, so passwords can be reset. `email_required`: "
            "users must verify their address before they can write. `push`: browsers can subscribe to push messages "
            "(`GET /push/key`)."
        ),
    )
    stream_url = serializers.CharField(
        help_text="Where `GET /stream` is answered; relative to this URL if it has no origin."
    )


class InstanceView(APIView):
    authentication_classes = []
    permission_classes = []
    throttle_classes = []  # a cache may answer in its place

    @extend_schema(operation_id="get_instance", tags=["instance"], responses=InstanceSerializer, auth=[])
    def get(self, request: Request) -> Response:
        """Return what the site is called, how to register, and what it allows.

        Caches may keep the response for a minute. Values that you do not know may be added to each field.
        """
        return Response(describe_instance(), headers={"Cache-Control": CACHE_CONTROL})


def describe_instance() -> dict[str, Any]:
    """Return the site's description, from settings and constants only."""
    features = {
        "mail": settings.MAIL_ENABLED,
        "email_required": settings.REQUIRE_VERIFIED_EMAIL,
        "push": bool(settings.VAPID_PRIVATE_KEY),
    }
    return {
        "name": settings.SITE_NAME,
        "description": settings.INSTANCE_DESCRIPTION,
        "version": __version__,
        "registration": settings.REGISTRATION,
        "captcha": settings.CAPTCHA,
        "minimum_age": settings.MINIMUM_AGE,
        "limits": {
            "caption": MAX_CAPTION_LENGTH,
            "comment": MAX_COMMENT_LENGTH,
            "alt_text": MAX_ALT_TEXT_LENGTH,
            "display_name": MAX_DISPLAY_NAME_LENGTH,
            "bio": MAX_BIO_LENGTH,
            "password": MIN_PASSWORD_LENGTH,
            "media": MAX_PICTURES,
            "media_bytes": settings.MEDIA_MAX_BYTES,
            "media_pixels": settings.MEDIA_MAX_PIXELS,
        },
        "features": [name for name, is_on in features.items() if is_on],
        "stream_url": settings.STREAM_URL,
    }
