"""The user's second factor over HTTP: begin, confirm, turn off."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import second_factor, services
from accounts.api.password_checks import PasswordCheckView, WrongCurrentCode, WrongCurrentPassword
from accounts.api.serializers import EXAMPLE_PASSWORD, PasswordField
from accounts.api.views import OwnAccountView, current_user
from accounts.throttles import PasswordThrottle
from instafeed.core.api.errors import Conflict
from instafeed.core.api.fields import NonBlankCharField
from instafeed.core.api.openapi.components import error_response, error_responses, example
from instafeed.core.api.throttling import UserThrottle

_STAFF_RESPONSE = error_response(403, "staff_account", "An operator sets up the second factor of staff.")


class TotpEnabled(Conflict):
    default_detail = "The second factor is already on: turn it off first."
    default_code = "totp_enabled"


class TotpNotBegun(Conflict):
    default_detail = "Begin with POST /me/totp."
    default_code = "totp_not_begun"


class TotpDisabled(Conflict):
    default_detail = "The second factor is not on."
    default_code = "totp_disabled"


def _conflicts(*errors: type[Conflict]) -> dict[int, OpenApiResponse]:
    return error_responses(409, *((error.default_code, error.default_detail) for error in errors))


@extend_schema_serializer(examples=[example("Your password", {"current_password": EXAMPLE_PASSWORD})])
class TotpBeginSerializer(serializers.Serializer[Any]):
    current_password = PasswordField()


@extend_schema_serializer(
    examples=[
        example(
            "A new secret",
            {
                "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
                "otpauth_url": "otpauth://totp/instafeed:grace?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            },
        )
    ]
)
class TotpSecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="The key to type into an authenticator app.")
    otpauth_url = serializers.CharField(help_text="The same as a link; show it as a QR code.")


@extend_schema_serializer(examples=[example("A code of the app", {"code": "492039"})])
class TotpConfirmSerializer(serializers.Serializer[Any]):
    code = NonBlankCharField(max_length=second_factor.MAX_CODE_LENGTH, help_text="The six digits that the app shows.")


@extend_schema_serializer(
    component_name="NewRecoveryCodes",
    examples=[example("Recovery codes", {"recovery_codes": ["kz7f-a2wq-33xo-pd5m", "m4yt-6rbe-qz2s-7luk"]})],
)
class RecoveryCodesSerializer(serializers.Serializer[Any]):
    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Ten codes. Each replaces a code of the app once."
    )


@extend_schema_serializer(
    examples=[example("Password and code", {"current_password": EXAMPLE_PASSWORD, "code": "492039"})]
)
class TotpDisableSerializer(serializers.Serializer[Any]):
    current_password = PasswordField()
    code = NonBlankCharField(
        max_length=second_factor.MAX_CODE_LENGTH, help_text="A code of the app, or a recovery code."
    )


class Totp(PasswordCheckView, OwnAccountView):
    throttle_classes = [UserThrottle, PasswordThrottle]

    @extend_schema(
        operation_id="begin_totp",
        tags=["me"],
        request=TotpBeginSerializer,
        responses={200: TotpSecretSerializer, **_STAFF_RESPONSE, **_conflicts(TotpEnabled)},
    )
    def post(self, request: Request) -> Response:
        """Begin to set up a second factor. It takes effect with POST /me/totp/confirm.

        Calling this again replaces the secret.
        """
        serializer = TotpBeginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = current_user(request)
        _require_password(user.pk, serializer)
        _refuse_staff(request)
        try:
            enrollment = second_factor.begin(user.pk)
        except second_factor.AlreadyEnrolled:
            raise TotpEnabled from None
        return Response({"secret": enrollment.secret, "otpauth_url": enrollment.url})

    @extend_schema(
        operation_id="disable_totp",
        tags=["me"],
        request=TotpDisableSerializer,
        responses={204: None, **_STAFF_RESPONSE, **_conflicts(TotpDisabled)},
    )
    def delete(self, request: Request) -> Response:
        """Turn the second factor off. The recovery codes become invalid."""
        serializer = TotpDisableSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = current_user(request)
        _require_password(user.pk, serializer)
        _refuse_staff(request)
        try:
            second_factor.disable(user.pk, serializer.validated_data["code"])
        except second_factor.NotEnrolled:
            raise TotpDisabled from None
        except second_factor.WrongCode:
            raise WrongCurrentCode from None
        return Response(status=204)


class TotpConfirmation(PasswordCheckView, OwnAccountView):
    throttle_classes = [UserThrottle, PasswordThrottle]

    @extend_schema(
        operation_id="confirm_totp",
        tags=["me"],
        request=TotpConfirmSerializer,
        responses={200: RecoveryCodesSerializer, **_conflicts(TotpEnabled, TotpNotBegun)},
    )
    def post(self, request: Request) -> Response:
        """Turn the second factor on with a code of the app. From now on signing in needs a code.

        The recovery codes are shown only here. The sessions that you have go on.
        """
        serializer = TotpConfirmSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            codes = second_factor.confirm(current_user(request).pk, serializer.validated_data["code"])
        except second_factor.NotEnrolled:
            raise TotpNotBegun from None
        except second_factor.AlreadyEnrolled:
            raise TotpEnabled from None
        except second_factor.WrongCode:
            raise WrongCurrentCode from None
        return Response({"recovery_codes": codes})


def _require_password(user_id: int, serializer: serializers.Serializer[Any]) -> None:
    try:
        services.require_password(user_id, serializer.validated_data["current_password"])
    except services.WrongPassword:
        raise WrongCurrentPassword("current_password") from None


def _refuse_staff(request: Request) -> None:
    """The admin trusts a second factor, so an operator must have given it to the right person."""
    if current_user(request).is_staff:
        raise PermissionDenied("An operator sets up the second factor of staff.", "staff_account")
