"""Sign-in and the own profile over HTTP. The rules are in `services`, `sessions` and `deletion`."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import cast

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import AccessToken

from accounts import deletion, devices, second_factor, services, sessions
from accounts.api.password_checks import (
    ApprovalPending,
    OtpRequired,
    PasswordCheckView,
    WrongCredentials,
    WrongCurrentPassword,
    WrongOtp,
)
from accounts.api.serializers import (
    DeletionSerializer,
    OwnProfileSerializer,
    PasswordChangeSerializer,
    ProfileChangeSerializer,
    RefreshSerializer,
    SignInSerializer,
    TokensSerializer,
    validate_password_strength,
)
from accounts.avatar_storage import PictureNotFound
from accounts.client_info import read_client_info
from accounts.former_usernames import TooManyRenames
from accounts.models import User
from accounts.sign_in import sign_in
from accounts.throttles import (
    AvatarThrottle,
    DeletionThrottle,
    PasswordThrottle,
    PrivacyThrottle,
    ProfileThrottle,
    SignInThrottle,
    find_account_within_limit,
    remember_address,
)
from accounts.tokens import SESSION_CLAIM, TokenRefused
from instafeed.core.api.etags import ETAG_PARAMETERS, NOT_MODIFIED_RESPONSE, json_with_etag
from instafeed.core.api.openapi.components import error_response, error_responses, not_found_response
from instafeed.core.api.throttling import AnonThrottle, UserThrottle
from instafeed.core.db.replicas.session import identify_user

INVALID_TOKEN_RESPONSE = error_response(
    401,
    "token_not_valid",
    "The refresh token is invalid or expired, or was used before.",
    detail="The token is invalid or expired.",
)


class UnauthenticatedView(APIView):
    """Base of views that ignore the Authorization header, so that an expired token does not prevent signing in."""

    authentication_classes = []
    permission_classes = []

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # otherwise DRF would turn 401 into 403


class SignIn(PasswordCheckView, UnauthenticatedView):
    throttle_classes = [AnonThrottle, SignInThrottle]

    @extend_schema(
        operation_id="sign_in",
        tags=["sign-in"],
        request=SignInSerializer,
        responses={
            200: TokensSerializer,
            **error_responses(
                401,
                ("wrong_credentials", "No account with this username and password."),
                ("otp_required", "This account has a second factor: send a code as `otp`."),
                ("wrong_otp", "The code is wrong or was used before."),
            ),
            **error_response(403, "approval_pending", ApprovalPending.default_detail),
        },
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Sign in with the username or the email address. Returns an access token and a refresh token.

        If the account has a second factor, the right password alone is answered with `otp_required`: ask for a code and
        send it as `otp` together with the password.
        """
        serializer = SignInSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given, client = serializer.validated_data, read_client_info(request)
        try:
            account = find_account_within_limit(request, given["username"])
            user, tokens = sign_in(account, given["password"], given.get("otp", ""), client)
        except services.WrongPassword:
            raise WrongCredentials from None
        except services.ApprovalPending:
            raise ApprovalPending from None
        except second_factor.CodeRequired:
            raise OtpRequired from None
        except second_factor.WrongCode:
            raise WrongOtp from None
        identify_user(user.pk)
        remember_address(request, user)
        devices.remember(user, client)
        return Response(asdict(tokens))


class Refresh(UnauthenticatedView):
    @extend_schema(
        operation_id="refresh_tokens",
        tags=["sign-in"],
        request=RefreshSerializer,
        responses={200: TokensSerializer, **INVALID_TOKEN_RESPONSE},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair of tokens. It works once; using it again ends the whole session.

        For ten seconds the token just before the newest returns the newest again, for clients with several tabs.
        """
        user_id, tokens = sessions.rotate(_read_refresh_token(request), read_client_info(request))
        identify_user(user_id)
        return Response(asdict(tokens))


class SignOut(UnauthenticatedView):
    @extend_schema(
        operation_id="sign_out",
        tags=["sign-in"],
        request=RefreshSerializer,
        responses={204: None, **INVALID_TOKEN_RESPONSE},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """End the session of the refresh token. Its access tokens stop working too."""
        identify_user(sessions.end(_read_refresh_token(request)))
        return Response(status=204)


class Password(PasswordCheckView):
    throttle_classes = [UserThrottle, PasswordThrottle]
    allows_unverified_email = True

    @extend_schema(
        operation_id="change_password", tags=["sign-in"], request=PasswordChangeSerializer, responses={204: None}
    )
    def post(self, request: Request) -> Response:
        """Change the password. All other sessions end."""
        serializer = PasswordChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        new = serializer.validated_data["new_password"]
        validate_password_strength(new, _get_own_account(request), "new_password")
        try:
            services.change_password(
                current_user(request).pk,
                serializer.validated_data["current_password"],
                new,
                keep_session=current_session_id(request),
            )
        except services.WrongPassword:
            raise WrongCurrentPassword("current_password") from None
        return Response(status=204)


class OwnAccountView(APIView):
    """Base of views that read the whole user row. If the user was erased after the token check, they answer 401."""

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(TokenRefused() if isinstance(exc, User.DoesNotExist) else exc)


class Me(PasswordCheckView, OwnAccountView):
    throttle_classes = [UserThrottle, ProfileThrottle, AvatarThrottle, DeletionThrottle]

    @extend_schema(
        operation_id="get_me",
        tags=["me"],
        parameters=ETAG_PARAMETERS,
        responses={200: OwnProfileSerializer, **NOT_MODIFIED_RESPONSE},
    )
    def get(self, request: Request) -> HttpResponse:
        """Return your profile."""
        return json_with_etag(request, OwnProfileSerializer(_get_own_account(request)).data)

    @extend_schema(
        operation_id="edit_me",
        tags=["me"],
        request=ProfileChangeSerializer,
        responses={
            200: OwnProfileSerializer,
            **not_found_response("The picture does not exist or is not yours."),
        },
    )
    def patch(self, request: Request) -> Response:
        """Change the given fields of your profile.

        A former username stays reserved to you for 30 days: requests for it are redirected, and mentions of it reach
        you. You may take a new name twice in 14 days (400 `rename_limit`), and a former one back at any time.
        """
        serializer = ProfileChangeSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        try:
            user = services.update_profile(
                current_user(request).pk,
                serializer.validated_data,
                limit_renames=True,
                check_publication=partial(PrivacyThrottle.require, request),
            )
        except services.AlreadyTaken as error:
            raise taken_error(error) from None
        except TooManyRenames:
            raise _rename_limit_error() from None
        except PictureNotFound:
            raise NotFound from None
        return Response(OwnProfileSerializer(user).data)

    @extend_schema(
        operation_id="delete_me",
        tags=["me"],
        request=DeletionSerializer,
        responses={
            204: None,
            **error_response(403, "staff_account", "Staff accounts are deleted by an administrator."),
        },
    )
    def delete(self, request: Request) -> Response:
        """Delete your account. It and its content disappear at once and are erased in the background."""
        serializer = DeletionSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            deletion.delete_own_account(current_user(request).pk, serializer.validated_data["password"])
        except services.WrongPassword:
            raise WrongCurrentPassword("password") from None
        except deletion.StaffAccount:
            raise PermissionDenied("Staff accounts are deleted by an administrator.", "staff_account") from None
        return Response(status=204)


def current_user(request: Request) -> User:
    """Return the user of a request that requires a token, with accounts.auth_cache.AUTH_FIELDS loaded."""
    return cast(User, request.user)


def current_session_id(request: Request) -> int | None:
    """Return the session of a request that requires a token; None if the token was issued outside of a session."""
    session_id: int | None = cast(AccessToken, request.auth).get(SESSION_CLAIM)
    return session_id


def _get_own_account(request: Request) -> User:
    """Return the current user with the whole row."""
    return get_object_or_404(User, pk=current_user(request).pk)


def _read_refresh_token(request: Request) -> str:
    serializer = RefreshSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data["refresh"]


def _rename_limit_error() -> ValidationError:
    text = "You changed your username twice in 14 days. Try again later."
    return ValidationError({"username": [ErrorDetail(text, "rename_limit")]})


def taken_error(error: services.AlreadyTaken) -> ValidationError:
    return ValidationError({error.field: [ErrorDetail(f"This {error.field} is taken.", "unique")]})
