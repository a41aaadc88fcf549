"""Second factors: an authenticator app (TOTP), and recovery codes for when it is lost.

One mechanism for the API and for the admin. Users set it up in two steps (`begin`, `confirm`); an operator sets it up
for staff in one (`enroll`). From then on every sign-in needs a code. The secret of the app is stored encrypted, and a
recovery code as a hash: it is random and long, so a fast hash suffices.

Each code works once. The row of the second factor is locked while a code is checked, so of two concurrent uses of one
code one succeeds. Callers check the password first and count wrong codes like wrong passwords.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django_otp.oath import TOTP

from accounts.models import RecoveryCode, SecondFactor, User
from instafeed.core import encryption

RECOVERY_CODE_COUNT = 10
MAX_CODE_LENGTH = 64  # characters of a typed code
_SECRET_SIZE = 20  # bytes, as RFC 4226 recommends
_STEP = 30  # seconds that a code of the app is valid
_TOLERANCE = 1  # steps that the clock of the app may be off
_RECOVERY_CODE_SIZE = 10  # bytes: 80 bits, 16 characters

logger = logging.getLogger(__name__)


class AlreadyEnrolled(Exception):
    """The user already has a second factor."""


class NotEnrolled(Exception):
    """The user has no second factor, or has not begun to set one up."""


class CodeRequired(Exception):
    """The user has a second factor, and no code was given."""


class WrongCode(Exception):
    """The code is wrong or was used before."""


@dataclass(frozen=True)
class Enrollment:
    """What an authenticator app needs: the key to type in, and the same as a link for a QR code."""

    secret: str
    url: str


def is_enabled(user_id: int) -> bool:
    """Return whether sign-ins of the user need a code, for display: the answer may come from a replica."""
    return SecondFactor.objects.filter(user=user_id, confirmed=True).exists()


def begin(user_id: int) -> Enrollment:
    """Create a secret that takes effect once `confirm` is called with a code of it. Raises AlreadyEnrolled.

    A second call replaces the secret of the first.
    """
    with transaction.atomic():
        _lock_user(user_id)
        if _get_confirmed(user_id).exists():
            raise AlreadyEnrolled
        return _create(user_id, confirmed=False)[1]


def confirm(user_id: int, code: str) -> list[str]:
    """Turn the second factor on and return the recovery codes, which cannot be read again.

    Raises NotEnrolled without a `begin`, AlreadyEnrolled if it is on, and WrongCode.
    """
    with transaction.atomic():
        _lock_user(user_id)
        factor = _get(user_id).select_for_update().first()
        if factor is None:
            raise NotEnrolled
        if factor.confirmed:
            raise AlreadyEnrolled
        if not _use_app_code(factor, code):
            raise WrongCode
        factor.confirmed = True
        factor.save(update_fields=["confirmed"])
        return _create_recovery_codes(factor)


def use_code(user_id: int, code: str) -> SecondFactor | None:
    """Use a code of the app or a recovery code. Return the second factor, or None if the user needs none.

    Call it inside the transaction of what the code is for: if that fails, the code remains valid. Raises CodeRequired
    for an empty code, and WrongCode.
    """
    factor = _get_confirmed(user_id).select_for_update().first()
    if factor is None:
        return None
    if not code:
        raise CodeRequired
    if not _use_app_code(factor, code) and not _use_recovery_code(factor, code):
        raise WrongCode
    return factor


def disable(user_id: int, code: str) -> None:
    """Turn the second factor off. Raises NotEnrolled, CodeRequired, WrongCode."""
    with transaction.atomic():
        factor = use_code(user_id, code)
        if factor is None:
            raise NotEnrolled
        factor.delete()


def enroll(user_id: int, *, replace: bool) -> tuple[Enrollment, list[str]]:
    """Create a second factor that is on at once, for an operator. Raises AlreadyEnrolled unless `replace` is true.

    Replacing ends sessions of the admin that were verified with the old one.
    """
    with transaction.atomic():
        _lock_user(user_id)
        if not replace and _get_confirmed(user_id).exists():
            raise AlreadyEnrolled
        factor, enrollment = _create(user_id, confirmed=True)
        return enrollment, _create_recovery_codes(factor)


def remove(user_id: int) -> bool:
    """Delete the user's second factor, also one that is being set up. Return whether sign-ins needed it."""
    with transaction.atomic():
        was_enabled = _get_confirmed(user_id).exists()
        _get(user_id).delete()
    return was_enabled


def get_with_old_keys() -> QuerySet[SecondFactor]:
    """Return the second factors whose secret is not encrypted with a key derived from SECRET_KEY."""
    return SecondFactor.objects.using(DEFAULT_DB_ALIAS).exclude(key_id=encryption.get_key_id())


def encrypt_again(factor_ids: Sequence[int]) -> int:
    """Encrypt these secrets with the current key. Return how many could not be decrypted with any known key."""
    failed = 0
    with transaction.atomic():
        for factor in get_with_old_keys().select_for_update().filter(pk__in=factor_ids).order_by("pk"):
            try:
                _store_secret(factor, encryption.decrypt(factor.encrypted_secret))
            except encryption.UnknownKey:
                failed += 1
            else:
                factor.save(update_fields=["encrypted_secret", "key_id"])
    return failed


def _get(user_id: int) -> QuerySet[SecondFactor]:
    return SecondFactor.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id)


def _get_confirmed(user_id: int) -> QuerySet[SecondFactor]:
    return _get(user_id).filter(confirmed=True)


def _lock_user(user_id: int) -> None:
    """Let concurrent changes of the user's second factor, and sign-ins, wait for each other."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)


def _create(user_id: int, *, confirmed: bool) -> tuple[SecondFactor, Enrollment]:
    """Replace the second factor of a locked user by a new row: its id is in sessions of the admin."""
    remove(user_id)
    secret = secrets.token_bytes(_SECRET_SIZE)
    factor = SecondFactor(user_id=user_id, confirmed=confirmed)
    _store_secret(factor, secret)
    factor.save()
    return factor, _describe(User.objects.get(pk=user_id).username, secret)


def _store_secret(factor: SecondFactor, secret: bytes) -> None:
    encrypted = encryption.encrypt(secret)
    factor.encrypted_secret, factor.key_id = encrypted.text, encrypted.key_id


def _describe(username: str, secret: bytes) -> Enrollment:
    """Return the secret in the form that authenticator apps read (the "key URI format")."""
    typed = b32encode(secret).decode()
    issuer = settings.OTP_TOTP_ISSUER
    parameters = urlencode({"secret": typed, "issuer": issuer, "algorithm": "SHA1", "digits": 6, "period": _STEP})
    return Enrollment(typed, f"otpauth://totp/{quote(issuer)}:{quote(username)}?{parameters}")


def _use_app_code(factor: SecondFactor, code: str) -> bool:
    """Return whether the app shows this code now. It and older ones are refused from then on."""
    digits = "".join(code.split())
    if not re.fullmatch("[0-9]{6}", digits):
        return False
    try:
        totp = TOTP(encryption.decrypt(factor.encrypted_secret), _STEP)
    except encryption.UnknownKey:
        logger.error("A second factor is encrypted with an unknown SECRET_KEY")
        return False
    totp.time = time.time()  # one moment for all steps that are tried
    if not totp.verify(int(digits), _TOLERANCE, min_t=factor.last_step + 1):
        return False
    factor.last_step = totp.t()
    factor.save(update_fields=["last_step"])
    return True


def _use_recovery_code(factor: SecondFactor, code: str) -> bool:
    """Delete a recovery code. Return False if the user has none like this."""
    deleted, _ = RecoveryCode.objects.filter(factor=factor, digest=_hash(code)).delete()
    return deleted > 0


def _create_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [_generate_recovery_code() for _ in range(RECOVERY_CODE_COUNT)]
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_hash(code)) for code in codes)
    return codes


def _generate_recovery_code() -> str:
    text = b32encode(secrets.token_bytes(_RECOVERY_CODE_SIZE)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _hash(recovery_code: str) -> str:
    """Hash a recovery code, in any case, with or without its hyphens."""
    plain = re.sub(r"[\s-]", "", recovery_code).lower()
    return hashlib.sha256(plain.encode(errors="replace")).hexdigest()
