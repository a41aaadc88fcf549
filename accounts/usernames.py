"""The one form that all spellings of a username share."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError

MAX_SIGN_IN_NAME_LENGTH = 254  # characters, with the white space around the name; longer ones are refused
RESERVED = frozenset({"relationships"})  # parts of the API's paths below /users


def canonical_username(text: str) -> str:
    """Return a typed username as it is stored: compatibility characters replaced (NFKC), stripped, in lower case.

    Code that compares or counts usernames uses this form. Otherwise look-alikes, such as full-width letters, would have
    rate limits of their own and still sign in to the same account.
    """
    return unicodedata.normalize("NFKC", text).strip().lower()


def refuse_reserved(username: str) -> None:
    """Validate that an account can be called so. Raises django.core.exceptions.ValidationError."""
    if username.lower() in RESERVED:
        raise ValidationError("This username is reserved.", code="reserved")
