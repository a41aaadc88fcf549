"""Verify an address, change it, and reset a forgotten password over HTTP."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import email_addresses, password_reset
from accounts.api.password_checks import PasswordCheckView, WrongCurrentPassword
from accounts.api.serializers import (
    EmailChangeSerializer,
    EmailTokenSerializer,
    PasswordResetConfirmationSerializer,
    PasswordResetSerializer,
    validate_password_strength,
)
from accounts.api.views import OwnAccountView, UnauthenticatedView, current_user
from accounts.mail.one_time_tokens import InvalidToken
from accounts.registration_blocks import EmailDomainBlocked
from accounts.services import WrongPassword
from accounts.throttles import MailThrottle, PasswordThrottle, ResetThrottle
from instafeed.core.api.openapi.components import error_response, error_responses
from instafeed.core.api.throttling import AnonThrottle, UserThrottle
from instafeed.core.db.replicas.session import identify_user

_INVALID_TOKEN = "The link is invalid or has expired, or was used before."  # noqa: S105
_ADDRESS_IN_USE = "Another account has verified this address."
_DOMAIN_BLOCKED = "Addresses of this domain are not accepted."
_INVALID_TOKEN_RESPONSE = error_response(400, "invalid_token", _INVALID_TOKEN, attr="token")


def _invalid_token() -> ValidationError:
    return ValidationError({"token": [ErrorDetail(_INVALID_TOKEN, "invalid_token")]})


class EmailVerification(UnauthenticatedView):
    throttle_classes = [AnonThrottle]

    @extend_schema(
        operation_id="verify_email",
        tags=["sign-in"],
        request=EmailTokenSerializer,
        responses={
            204: None,
            **error_responses(
                400, ("invalid_token", _INVALID_TOKEN), ("address_in_use", _ADDRESS_IN_USE), attr="token"
            ),
        },
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Confirm an email address with the token of a mailed link, which works once.

        The link was mailed after a registration, or to the new address after `POST /me/email`.
        """
        serializer = EmailTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            identify_user(email_addresses.confirm(serializer.validated_data["token"]))
        except InvalidToken:
            raise _invalid_token() from None
        except email_addresses.AddressInUse:
            raise ValidationError({"token": [ErrorDetail(_ADDRESS_IN_USE, "address_in_use")]}) from None
        return Response(status=204)


class EmailVerificationMail(OwnAccountView):
    throttle_classes = [UserThrottle, MailThrottle]
    allows_unverified_email = True

    @extend_schema(operation_id="resend_verification_mail", tags=["sign-in"], request=None, responses={202: None})
    def post(self, request: Request) -> Response:
        """Send the mail with the link again, if your address is not verified yet."""
        email_addresses.resend_verification(current_user(request).pk)
        return Response(status=202)


class PasswordReset(UnauthenticatedView):
    throttle_classes = [AnonThrottle, ResetThrottle]

    @extend_schema(
        operation_id="request_password_reset",
        tags=["sign-in"],
        request=PasswordResetSerializer,
        responses={202: None},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Request a mail with a link to set a new password.

        The response is the same for every address. A mail is sent if an account has verified the address.
        """
        serializer = PasswordResetSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        password_reset.request(serializer.validated_data["email"])
        return Response(status=202)


class PasswordResetConfirmation(UnauthenticatedView):
    throttle_classes = [AnonThrottle]

    @extend_schema(
        operation_id="confirm_password_reset",
        tags=["sign-in"],
        request=PasswordResetConfirmationSerializer,
        responses={204: None, **_INVALID_TOKEN_RESPONSE},
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Set a new password with the token of a mailed link, which works once and for an hour. All sessions end."""
        serializer = PasswordResetConfirmationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token, new = serializer.validated_data["token"], serializer.validated_data["new_password"]
        try:
            validate_password_strength(new, password_reset.find_user(token), "new_password")
            identify_user(password_reset.confirm(token, new))
        except InvalidToken:
            raise _invalid_token() from None
        return Response(status=204)


class EmailChange(PasswordCheckView, OwnAccountView):
    throttle_classes = [UserThrottle, PasswordThrottle, MailThrottle]
    allows_unverified_email = True

    @extend_schema(
        operation_id="change_email",
        tags=["me"],
        request=EmailChangeSerializer,
        responses={202: None, **error_response(400, "email_domain_blocked", _DOMAIN_BLOCKED, attr="email")},
    )
    def post(self, request: Request) -> Response:
        """Request a mail with a link to a new address. Your address changes when the link is used.

        The response is the same for every address of a domain. Your present address gets a notice.
        """
        serializer = EmailChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        try:
            email_addresses.request_change(current_user(request).pk, data["email"], data["current_password"])
        except WrongPassword:
            raise WrongCurrentPassword("current_password") from None
        except EmailDomainBlocked:
            raise ValidationError({"email": [ErrorDetail(_DOMAIN_BLOCKED, "email_domain_blocked")]}) from None
        return Response(status=202)
