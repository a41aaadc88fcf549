"""A session kept in a cookie that scripts cannot read, for a web client of the same origin.

The cookie holds the refresh token and is sent to this path only. The client keeps the access token in memory.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.settings import api_settings

from accounts import sessions
from accounts.api.serializers import RefreshSerializer
from accounts.api.views import INVALID_TOKEN_RESPONSE, UnauthenticatedView
from accounts.client_info import read_client_info
from accounts.tokens import TokenRefused
from instafeed.core.api.openapi.components import error_response, example
from instafeed.core.db.replicas.session import identify_user

COOKIE_PATH = "/api/v1/auth/session"


class WrongOrigin(PermissionDenied):
    default_detail = "Only pages of this site may use its cookie: the request needs the site's Origin."
    default_code = "wrong_origin"


_WRONG_ORIGIN_RESPONSE = error_response(403, "wrong_origin", WrongOrigin.default_detail)


@extend_schema_serializer(examples=[example("An access token", {"access": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…"})])
class AccessTokenSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(read_only=True, help_text="The access token.")


class BrowserSession(UnauthenticatedView):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # SameSite=Lax keeps the cookie out of requests of other sites, but not of other hosts of the same domain. And a
        # page of another site must not sign a visitor in with an account of its own.
        if request.headers.get("Origin") not in _own_origins(request):
            raise WrongOrigin

    @extend_schema(
        operation_id="keep_browser_session",
        tags=["sign-in"],
        request=RefreshSerializer,
        responses={200: AccessTokenSerializer, **INVALID_TOKEN_RESPONSE, **_WRONG_ORIGIN_RESPONSE},
        auth=[],
    )
    def put(self, request: Request) -> Response:
        """Keep the session of a refresh token in a cookie. For pages of this site: scripts cannot read the cookie.

        The refresh token is used up. Send it right after signing in or registering. A session that the cookie had
        before ends.
        """
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        refresh = serializer.validated_data["refresh"]
        response = _rotate(request, refresh)
        if former := request.COOKIES.get(cookie_name()):
            sessions.end_replaced(former, refresh)  # no one could end it any more: its cookie is lost
        return response

    @extend_schema(
        operation_id="resume_browser_session",
        tags=["sign-in"],
        request=None,
        responses={200: AccessTokenSerializer, 204: None, **_WRONG_ORIGIN_RESPONSE},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Return a new access token for the session in the cookie, or 204 if there is none or it has ended."""
        refresh = request.COOKIES.get(cookie_name())
        if not refresh:
            return Response(status=204)
        try:
            return _rotate(request, refresh)
        except TokenRefused:
            return _without_cookie()

    @extend_schema(
        operation_id="end_browser_session",
        tags=["sign-in"],
        request=None,
        responses={204: None, **_WRONG_ORIGIN_RESPONSE},
        auth=[],
    )
    def delete(self, request: Request) -> Response:
        """Sign out: end the session in the cookie, if there is one, and remove the cookie."""
        if refresh := request.COOKIES.get(cookie_name()):
            with suppress(TokenRefused):  # it has ended already
                identify_user(sessions.end(refresh))
        return _without_cookie()


def cookie_name() -> str:
    """Return the cookie's name. Browsers accept `__Secure-` only over HTTPS."""
    return "__Secure-instafeed-session" if settings.HTTPS_ONLY else "instafeed-session"


def _rotate(request: Request, refresh: str) -> Response:
    user_id, tokens = sessions.rotate(refresh, read_client_info(request))
    identify_user(user_id)
    response = Response({"access": tokens.access})
    response.set_cookie(
        cookie_name(),
        tokens.refresh,
        max_age=api_settings.REFRESH_TOKEN_LIFETIME,
        path=COOKIE_PATH,
        secure=settings.HTTPS_ONLY,
        httponly=True,
        samesite="Lax",
    )
    return response


def _without_cookie() -> Response:
    response = Response(status=204)
    response.set_cookie(
        cookie_name(), max_age=0, path=COOKIE_PATH, secure=settings.HTTPS_ONLY, httponly=True, samesite="Lax"
    )
    return response


def _own_origins(request: Request) -> set[str]:
    return {f"{request.scheme}://{request.get_host()}", settings.PUBLIC_URL, settings.SITE_URL} - {""}
