"""Web Push: the site's key, and the subscription of the session's browser. 404 where push is off."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_session_id, current_user
from accounts.tokens import TokenRefused
from instafeed.core.api.fields import StrictCharField, VerbatimCharField
from instafeed.core.api.openapi.components import error_response, example
from social.push import endpoints, subscriptions, vapid

_TAGS = ["push"]
_OFF = error_response(404, "not_found", "The site does not send push messages.", detail="Not found.")
_EXAMPLE = {
    "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABm",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class _Base64UrlField(StrictCharField):
    """Bytes as base64url, with or without padding."""

    default_error_messages = {"invalid": "Not a key of a push subscription."}

    def __init__(self, length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data).rstrip("=")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", text) or len(text) % 4 == 1:
            self.fail("invalid")
        value = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(value) != self.length:
            self.fail("invalid")
        return value


@extend_schema_field({"type": "string"})
class _PublicKeyField(_Base64UrlField):
    """An uncompressed point of P-256."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(65, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), value)
        except ValueError:
            self.fail("invalid")
        return value


class PushKeysSerializer(serializers.Serializer[Any]):
    p256dh = _PublicKeyField(help_text="The browser's public key.")
    auth = _Base64UrlField(16, help_text="The browser's authentication secret.")


@extend_schema_serializer(examples=[example("A subscription of Firefox", _EXAMPLE)])
class PushSubscriptionSerializer(serializers.Serializer[Any]):
    """What `PushSubscription.toJSON()` of the browser returns."""

    endpoint = VerbatimCharField(
        max_length=endpoints.MAX_ENDPOINT_LENGTH, help_text="The URL of the browser at its push service."
    )
    keys = PushKeysSerializer()

    def validate_endpoint(self, endpoint: str) -> str:
        if not endpoints.is_allowed(endpoint):
            detail = "The site sends no messages to this push service."
            raise serializers.ValidationError(detail, code="push_service_not_allowed")
        return endpoint


@extend_schema_serializer(examples=[example("The endpoint", {"endpoint": _EXAMPLE["endpoint"]})])
class PushEndpointSerializer(serializers.Serializer[Any]):
    endpoint = VerbatimCharField(max_length=endpoints.MAX_ENDPOINT_LENGTH, required=False)


@extend_schema_serializer(examples=[example("A key", {"key": _EXAMPLE["keys"]["p256dh"]})])  # type: ignore[index]
class PushKeySerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="The `applicationServerKey` for `PushManager.subscribe()`, base64url.")


class PushView(APIView):
    """Base of the views: 404 where push is off."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not vapid.is_on():
            raise Http404


class PushKeyView(PushView):
    @extend_schema(operation_id="get_push_key", responses={200: PushKeySerializer, **_OFF}, tags=_TAGS)
    def get(self, request: Request) -> Response:
        """Return the site's public key, with which a browser subscribes to push messages."""
        return Response({"key": vapid.public_key()})


class PushSubscriptionsView(PushView):
    @extend_schema(
        operation_id="subscribe_to_push",
        request=PushSubscriptionSerializer,
        responses={
            200: OpenApiResponse(PushEndpointSerializer, "The session had this subscription; it has the new keys."),
            201: PushEndpointSerializer,
            **_OFF,
        },
        tags=_TAGS,
    )
    def post(self, request: Request) -> Response:
        """Send push messages to this browser, until this session ends or the browser unsubscribes.

        A message is JSON: `kind` and `id` of a notification, a `tag` that stays the same while its `id` changes, and
        `unread`, the number of unread notifications. It has no names and no texts. A user has at most 20 subscriptions;
        one more replaces the oldest. A subscription of another session moves to this one.
        """
        data = PushSubscriptionSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        endpoint, keys = data.validated_data["endpoint"], data.validated_data["keys"]
        try:
            is_new = subscriptions.subscribe(
                current_user(request).pk, _session_id(request), endpoint, keys["p256dh"], keys["auth"]
            )
        except subscriptions.SessionEnded:
            raise TokenRefused from None
        return Response({"endpoint": endpoint}, status=201 if is_new else 200)

    @extend_schema(
        operation_id="unsubscribe_from_push",
        request=PushEndpointSerializer,
        responses={204: None, **_OFF},
        tags=_TAGS,
    )
    def delete(self, request: Request) -> Response:
        """Send no more push messages to the session's browser; without `endpoint`, to none of the session."""
        data = PushEndpointSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        subscriptions.unsubscribe(_session_id(request), data.validated_data.get("endpoint"))
        return Response(status=204)


def _session_id(request: Request) -> int:
    """Return the session to which a subscription belongs. Raises AuthenticationFailed for a token without one."""
    session_id = current_session_id(request)
    if session_id is None:
        raise AuthenticationFailed
    return session_id
