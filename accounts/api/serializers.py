"""Serializers of accounts. Texts are stored unchanged; only usernames and email addresses are normalized."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import URLValidator
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import get_error_detail

from accounts import avatar_storage, second_factor
from accounts.follower_counts import get_exact_counts
from accounts.models import User
from accounts.usernames import MAX_SIGN_IN_NAME_LENGTH, refuse_reserved
from instafeed.core.api.fields import (
    IdField,
    IdInputField,
    NonBlankCharField,
    StrictBooleanField,
    StrictCharField,
    VerbatimCharField,
)
from instafeed.core.api.openapi.components import example

MAX_DISPLAY_NAME_LENGTH, MAX_BIO_LENGTH = 60, 500  # characters
MIN_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 8, 1_024  # characters

PROFILE_EXAMPLE: dict[str, Any] = {
    "id": "42",
    "username": "grace",
    "display_name": "Grace Hopper",
    "bio": "Ships are safe in harbour.",
    "website": "https://grace.example",
    "avatar_url": None,
    "is_private": False,
    "is_celebrity": False,
    "post_count": 12,
    "follower_count": 345,
    "following_count": 67,
    "created_at": "2026-01-31T09:30:00Z",
}
OWN_PROFILE_EXAMPLE = {
    **PROFILE_EXAMPLE,
    "relationship": None,
    "email": "grace@mail.example",
    "email_verified": True,
    "totp_enabled": False,
}
EXAMPLE_PASSWORD = "nanoseconds, 11.8 inch"  # noqa: S105 (of the description only)
_EXAMPLE_TOKEN = "Vd0mJ3mPZb1k0u3pJm4y2Yv3c8q5c0R1hT6n7kq9xWg"  # noqa: S105 (of the description only)
TOKENS_EXAMPLE = {"access": "eyJhbGciOi.access.c2ln", "refresh": "eyJhbGciOi.refresh.c2ln"}
_HOST_LABEL_PATTERN = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL_ATOM_PATTERN = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_HOST_PATTERN = rf"({_HOST_LABEL_PATTERN}\.)+([A-Za-z][A-Za-z-]{{0,61}}[A-Za-z]|xn--[A-Za-z0-9]{{1,59}})"
# What Django accepts, without quoted local parts and IP addresses in brackets.
_EMAIL_PATTERN = rf"^{_EMAIL_ATOM_PATTERN}(\.{_EMAIL_ATOM_PATTERN})*@{_HOST_PATTERN}$"
_URL_SCHEMA = {
    "type": "string",
    "maxLength": 200,
    # What the validator accepts, without IP addresses, user information, and characters that URLs percent-encode.
    "pattern": rf"^https?://{_HOST_PATTERN}(:[0-9]{{1,5}})?([/?#][!-~]*)?$",
}


_check_url = URLValidator(schemes=["http", "https"])


class UsernameField(StrictCharField, serializers.RegexField):
    """3 to 30 characters of a-z 0-9 . _ in any case. Stored in lower case, without surrounding whitespace."""

    def __init__(self, **kwargs: Any) -> None:
        # Checked before lowering, since the lower case of the Kelvin sign is an ASCII k.
        message = "Use only the letters a to z, digits, dots and underscores."
        super().__init__(
            r"^[A-Za-z0-9._]+\Z", min_length=3, max_length=30, error_messages={"invalid": message}, **kwargs
        )
        self.validators.append(refuse_reserved)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        return value.lower() if isinstance(value, str) else value


@extend_schema_field({"type": "string", "pattern": "^[a-z0-9._]{1,30}$"})
class StoredUsernameField(serializers.CharField):
    """A stored username. Read-only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)


@extend_schema_field({"type": "string", "format": "email", "maxLength": 254, "pattern": _EMAIL_PATTERN})
class EmailAddressField(StrictCharField, serializers.EmailField):
    """An email address. The domain is stored in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return User.objects.normalize_email(super().to_internal_value(data))


@extend_schema_field(_URL_SCHEMA)
class WebsiteField(StrictCharField):
    """An http or https URL, or an empty string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, allow_blank=True, **kwargs)

    def run_validators(self, value: str) -> None:
        # Not in `validators`: the schema generator would derive a stricter format from it.
        super().run_validators(value)
        _check_url(value)


class PasswordField(VerbatimCharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_PASSWORD_LENGTH, write_only=True, style={"input_type": "password"}, **kwargs)


@extend_schema_field(
    {
        "type": "string",
        "minLength": MIN_PASSWORD_LENGTH,
        "maxLength": MAX_PASSWORD_LENGTH,
        "pattern": r"^[^\u0000]*[^\u00000-9][^\u0000]*$",
        "description": "Not only digits, not a common password, and not similar to the username or email address.",
    }
)
class NewPasswordField(PasswordField):
    """A password to pass to `validate_password_strength`. The schema has the rules that a pattern can express."""


@extend_schema_serializer(examples=[example("A profile", PROFILE_EXAMPLE)])
class ProfileSerializer(serializers.ModelSerializer[User]):
    """A user's public profile, without the viewer's relationship to it."""

    id = IdField()
    username = StoredUsernameField()
    website = serializers.CharField(read_only=True, help_text="A URL, or empty.")
    avatar_url = serializers.SerializerMethodField()
    is_celebrity = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = (
            *("id", "username", "display_name", "bio", "website", "avatar_url", "is_private", "is_celebrity"),
            *("post_count", "follower_count", "following_count", "created_at"),
        )
        read_only_fields = fields

    def get_avatar_url(self, user: User) -> str | None:
        return avatar_storage.public_url(user.avatar_path)

    def to_representation(self, instance: User) -> dict[str, Any]:
        """Return the profile with exact counts. The counts in the row are up to a second old."""
        return super().to_representation(instance) | get_exact_counts(instance)._asdict()


@extend_schema_serializer(examples=[example("Your profile", OWN_PROFILE_EXAMPLE)])
class OwnProfileSerializer(ProfileSerializer):
    """The profile as its owner sees it; `relationship` is always null."""

    relationship = serializers.SerializerMethodField()
    email = serializers.CharField(read_only=True, help_text="Empty for imported accounts without an address.")
    email_verified = serializers.BooleanField(
        read_only=True, help_text="Whether you have opened the link that was mailed to the address."
    )

    totp_enabled = serializers.SerializerMethodField(help_text="Whether signing in needs a code of a second factor.")

    class Meta:
        model = User
        fields = (*ProfileSerializer.Meta.fields, "relationship", "email", "email_verified", "totp_enabled")
        read_only_fields = fields

    # The component of `social`, which is above this app.
    @extend_schema_field({"oneOf": [{"$ref": "#/components/schemas/Relationship"}, {"type": "null"}]})
    def get_relationship(self, user: User) -> None:
        return None

    def get_totp_enabled(self, user: User) -> bool:
        return second_factor.is_enabled(user.pk)


@extend_schema_serializer(examples=[example("A new biography", {"bio": "A ship in port is safe."})])
class ProfileChangeSerializer(serializers.Serializer[Any]):
    """The fields of PATCH /me. Unknown fields are ignored. `POST /me/email` changes the address."""

    username = UsernameField(required=False)
    display_name = VerbatimCharField(required=False, allow_blank=True, max_length=MAX_DISPLAY_NAME_LENGTH)
    bio = VerbatimCharField(required=False, allow_blank=True, max_length=MAX_BIO_LENGTH)
    website = WebsiteField(required=False, help_text="An http or https URL, or empty.")
    is_private = StrictBooleanField(required=False)
    avatar = IdInputField(required=False, allow_null=True, help_text="The id of one of your media; null for none.")


@extend_schema_serializer(
    examples=[
        example("Username and password", {"username": "grace", "password": EXAMPLE_PASSWORD}),
        example("With a code", {"username": "grace", "password": EXAMPLE_PASSWORD, "otp": "492039"}),
    ]
)
class SignInSerializer(serializers.Serializer[Any]):
    username = VerbatimCharField(
        max_length=MAX_SIGN_IN_NAME_LENGTH, help_text="The username or the email address, in any case."
    )
    password = PasswordField()
    otp = NonBlankCharField(
        required=False,
        max_length=second_factor.MAX_CODE_LENGTH,
        help_text="A code of the second factor or a recovery code, if the account has a second factor.",
    )


@extend_schema_serializer(examples=[example("The newest refresh token", {"refresh": TOKENS_EXAMPLE["refresh"]})])
class RefreshSerializer(serializers.Serializer[Any]):
    refresh = VerbatimCharField()


@extend_schema_serializer(
    examples=[
        example(
            "A new password",
            {"current_password": EXAMPLE_PASSWORD, "new_password": "a moth in relay 70"},
        )
    ]
)
class PasswordChangeSerializer(serializers.Serializer[Any]):
    current_password = PasswordField()
    new_password = NewPasswordField()


class MailTokenField(VerbatimCharField):
    """The token of a link in a mail."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, write_only=True, **kwargs)


@extend_schema_serializer(examples=[example("The token of the link", {"token": _EXAMPLE_TOKEN})])
class EmailTokenSerializer(serializers.Serializer[Any]):
    token = MailTokenField()


@extend_schema_serializer(examples=[example("An address", {"email": "grace@mail.example"})])
class PasswordResetSerializer(serializers.Serializer[Any]):
    email = EmailAddressField()


@extend_schema_serializer(
    examples=[
        example("The token of the link", {"token": _EXAMPLE_TOKEN, "new_password": "a moth in relay 70"}),
    ]
)
class PasswordResetConfirmationSerializer(serializers.Serializer[Any]):
    token = MailTokenField()
    new_password = NewPasswordField()


@extend_schema_serializer(
    examples=[example("A new address", {"email": "hopper@mail.example", "current_password": EXAMPLE_PASSWORD})]
)
class EmailChangeSerializer(serializers.Serializer[Any]):
    email = EmailAddressField()
    current_password = PasswordField()


@extend_schema_serializer(examples=[example("Your password", {"password": EXAMPLE_PASSWORD})])
class DeletionSerializer(serializers.Serializer[Any]):
    password = PasswordField()


@extend_schema_serializer(examples=[example("Tokens", TOKENS_EXAMPLE)])
class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


def validate_password_strength(password: str, user: User, field: str) -> None:
    """Run Django's password validators. Raises a ValidationError of `field` with their codes."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: get_error_detail(error)}) from None
