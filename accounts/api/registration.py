"""Registration over HTTP. The rules are in `accounts.registration`."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import captcha, devices, registration, sessions
from accounts.api.serializers import (
    EXAMPLE_PASSWORD,
    OWN_PROFILE_EXAMPLE,
    TOKENS_EXAMPLE,
    EmailAddressField,
    NewPasswordField,
    OwnProfileSerializer,
    TokensSerializer,
    UsernameField,
    validate_password_strength,
)
from accounts.api.views import UnauthenticatedView, taken_error
from accounts.captcha import CaptchaInvalid
from accounts.client_info import read_client_info
from accounts.invites import MAX_TYPED_LENGTH
from accounts.models import User
from accounts.registration import Application, InviteRequired, RegistrationClosed, TooYoung
from accounts.registration_blocks import EmailDomainBlocked, NetworkBlocked
from accounts.services import AlreadyTaken
from accounts.throttles import remember_address
from instafeed.core.api.fields import StrictCharField
from instafeed.core.api.openapi.components import error_responses, example, not_found_response
from instafeed.core.api.throttling import AnonThrottle, RegisterThrottle, client_ip
from instafeed.core.db.replicas.session import identify_user

MAX_AGE = timedelta(days=365 * 130)  # of a date of birth that can be true
_REFUSALS: dict[type[Exception], ErrorDetail] = {
    RegistrationClosed: ErrorDetail("This site accepts no registrations.", "registration_closed"),
    InviteRequired: ErrorDetail("You need a valid invite to register.", "invite_required"),
    NetworkBlocked: ErrorDetail("No one can register from this network.", "registration_refused"),
    TooYoung: ErrorDetail("You are too young to register.", "too_young"),
}
_CAPTCHA_INVALID = "This solution is wrong or has expired, or was used before. Solve a new challenge."


@extend_schema_field({"type": "string", "format": "date"})
class BirthDateField(StrictCharField):
    """A date as YYYY-MM-DD."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            self.fail("invalid")
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.fail("invalid")


@extend_schema_serializer(
    examples=[
        example("A new account", {"username": "grace", "email": "grace@mail.example", "password": EXAMPLE_PASSWORD}),
        example(
            "With an invite",
            {
                "username": "grace",
                "email": "grace@mail.example",
                "password": EXAMPLE_PASSWORD,
                "invite": "k3nv-8yqa-5rtz-m2hx-c7dw-e4pj-u9sb",
            },
        ),
    ]
)
class RegistrationSerializer(serializers.Serializer[Any]):
    username = UsernameField()
    email = EmailAddressField()
    password = NewPasswordField()
    invite = StrictCharField(
        required=False,
        allow_blank=True,
        max_length=MAX_TYPED_LENGTH,
        help_text="The code of an invite, in any case, with or without hyphens. A code that is not valid is ignored.",
    )
    captcha = StrictCharField(
        required=False,
        allow_blank=True,
        max_length=captcha.MAX_PAYLOAD_LENGTH,
        help_text="The solution of `GET /auth/captcha` as ALTCHA's widget submits it, if `GET /instance` says so.",
    )
    birth_date = BirthDateField(
        required=False, help_text="Required if `GET /instance` has a `minimum_age`. The date is checked and not stored."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        validate_password_strength(
            attrs["password"], User(username=attrs["username"], email=attrs["email"]), "password"
        )
        if settings.CAPTCHA != "off" and not attrs.get("captcha"):
            detail = ErrorDetail("Solve the captcha of GET /auth/captcha.", "captcha_required")
            raise ValidationError({"captcha": [detail]})
        if settings.MINIMUM_AGE:
            _check_birth_date(attrs.get("birth_date"))
        return attrs


@extend_schema_serializer(
    component_name="SignedInUser",
    examples=[example("A new account", {"user": OWN_PROFILE_EXAMPLE, **TOKENS_EXAMPLE})],
)
class RegisteredSerializer(TokensSerializer):
    user = OwnProfileSerializer()


@extend_schema_serializer(
    component_name="PendingUser",
    examples=[
        OpenApiExample("A pending account", {"user": OWN_PROFILE_EXAMPLE, "pending": True}, status_codes=["202"])
    ],
)
class PendingSerializer(serializers.Serializer[Any]):
    user = OwnProfileSerializer()
    pending = serializers.BooleanField(help_text="Always true.")


@extend_schema_serializer(
    component_name="CaptchaChallenge",
    examples=[
        example(
            "A challenge",
            {
                "algorithm": "SHA-256",
                "challenge": "b5e9c1f0d7a84c3e9f6a2b1d8c7e4f5a6b9d0c1e2f3a4b5c6d7e8f9a0b1c2d3e",
                "maxnumber": 100_000,
                "salt": "8f1d2c3b4a5968778695a4b3?expires=1795968000&",
                "signature": "0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d",
            },
        )
    ],
)
class ChallengeSerializer(serializers.Serializer[Any]):
    """A challenge of the ALTCHA protocol: the client finds the number of which `challenge` is the hash."""

    algorithm = serializers.CharField(help_text="Always `SHA-256`.")
    challenge = serializers.CharField(help_text="The hash of the salt followed by the number, in hexadecimal.")
    maxnumber = serializers.IntegerField(help_text="The greatest possible number.")
    salt = serializers.CharField()
    signature = serializers.CharField()


class Register(UnauthenticatedView):
    throttle_classes = [AnonThrottle, RegisterThrottle]

    @extend_schema(
        operation_id="register",
        tags=["sign-in"],
        request=RegistrationSerializer,
        responses={
            201: RegisteredSerializer,
            202: PendingSerializer,
            **error_responses(403, *((str(detail.code), str(detail)) for detail in _REFUSALS.values())),
        },
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Create an account and sign in. A mail with a link to verify the address is sent.

        `GET /instance` says what the site asks for. Where registrations need approval and there is no valid invite, the
        response is a 202 without tokens, and signing in is a 403 `approval_pending` until a moderator has approved the
        account. The response is the same if another account has the address.
        """
        try:
            registration.require_open()
            serializer = RegistrationSerializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            application = Application(**serializer.validated_data)
            user = registration.register(application, read_client_info(request), client_ip(request))
        except (RegistrationClosed, InviteRequired, NetworkBlocked, TooYoung) as refusal:
            detail = _REFUSALS[type(refusal)]
            raise PermissionDenied(detail, detail.code) from None
        except EmailDomainBlocked:
            detail = ErrorDetail("Addresses of this domain are not accepted.", "email_domain_blocked")
            raise ValidationError({"email": [detail]}) from None
        except CaptchaInvalid:
            raise ValidationError({"captcha": [ErrorDetail(_CAPTCHA_INVALID, "captcha_invalid")]}) from None
        except AlreadyTaken as error:
            raise taken_error(error) from None
        identify_user(user.pk)
        return _respond(request, user)


class Captcha(UnauthenticatedView):
    throttle_classes = [AnonThrottle]

    @extend_schema(
        operation_id="get_captcha",
        tags=["sign-in"],
        request=None,
        responses={200: ChallengeSerializer, **not_found_response("The site has no captcha.")},
        auth=[],
    )
    def get(self, request: Request) -> Response:
        """Return a challenge to solve before registering. It is valid for ten minutes and for one account.

        This is the URL for ALTCHA's widget: its `challengeurl`, or `challenge` from version 3 on.
        """
        if settings.CAPTCHA == "off":
            raise NotFound
        return Response(captcha.create_challenge())


def _respond(request: Request, user: User) -> Response:
    """Sign a new user in, if the account needs no approval."""
    profile = OwnProfileSerializer(user).data
    if user.awaits_approval:
        return Response({"user": profile, "pending": True}, status=202)
    client = read_client_info(request)
    tokens = sessions.start(user, client)
    remember_address(request, user)
    devices.remember(user, client)
    return Response({"user": profile, **asdict(tokens)}, status=201)


def _check_birth_date(birth_date: date | None) -> None:
    """Raise ValidationError if there is no date, or one that cannot be a living person's."""
    if birth_date is None:
        raise ValidationError({"birth_date": [ErrorDetail("This field is required.", "required")]})
    today = timezone.now().date()
    if not today - MAX_AGE < birth_date <= today:
        raise ValidationError({"birth_date": [ErrorDetail("This cannot be your date of birth.", "invalid")]})
