"""A captcha without a third party: proof of work by the ALTCHA protocol, whose widgets solve it in the browser.

A challenge is the hash of a salt and a number below `settings.CAPTCHA_DIFFICULTY`, which the client has to find. The
server signs it and stores nothing. The salt contains the time at which it expires.

A solution works for one registration. Used ones are rows, not keys of Redis: a cache may lose any key, and rows are
written in the transaction of the registration, so a registration that fails uses up nothing.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

import altcha
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import UsedChallenge
from instafeed.core.db.batches import delete_all_in_batches

LIFETIME = timedelta(minutes=10)
MAX_PAYLOAD_LENGTH = 1_000  # characters; those of the widget have about 400
DELETE_BATCH_SIZE = 5_000
_ALGORITHM: Final = "SHA-256"


class CaptchaInvalid(Exception):
    """The solution is wrong, forged or expired, or was used before."""


class Challenge(TypedDict):
    """A challenge in the form that the widgets read, also those of version 3."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


@dataclass(frozen=True)
class Solved:
    """A challenge that was solved."""

    digest: bytes
    expires_at: datetime


def create_challenge() -> Challenge:
    """Return a new challenge."""
    made = altcha.create_challenge_v1(
        altcha.ChallengeOptionsV1(
            algorithm=_ALGORITHM,
            max_number=settings.CAPTCHA_DIFFICULTY,
            hmac_key=_hmac_key(settings.SECRET_KEY),
            expires=timezone.now() + LIFETIME,
        )
    )
    return {
        "algorithm": made.algorithm,
        "challenge": made.challenge,
        "maxnumber": made.max_number,
        "salt": made.salt,
        "signature": made.signature,
    }


def verify(payload: str) -> Solved:
    """Return the challenge that a widget's base64 payload solves. Raises CaptchaInvalid."""
    try:
        solution = _parse(payload)
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        if not any(altcha.verify_solution_v1(solution, _hmac_key(key))[0] for key in keys):
            raise CaptchaInvalid
        expires_at = int(altcha.extract_params_v1(solution)["expires"][0])
    except (ValueError, RecursionError):  # hostile texts
        raise CaptchaInvalid from None
    return Solved(bytes.fromhex(solution["challenge"]), datetime.fromtimestamp(expires_at, UTC))


def use(solved: Solved) -> None:
    """Use a solution, in the transaction of the registration. Raises CaptchaInvalid if it was used before."""
    try:
        with transaction.atomic():
            UsedChallenge.objects.create(digest=solved.digest, expires_at=solved.expires_at)
    except IntegrityError:
        raise CaptchaInvalid from None


def delete_expired() -> None:
    """Delete the rows of challenges that have expired."""
    expired = UsedChallenge.objects.using(DEFAULT_DB_ALIAS).filter(expires_at__lt=timezone.now())
    delete_all_in_batches(expired, DELETE_BATCH_SIZE)


def _parse(payload: str) -> Any:
    """Return the fields of a payload, of the types that the library expects. Raises ValueError, CaptchaInvalid."""
    solution = json.loads(b64decode(payload, validate=True))
    types = {"algorithm": str, "challenge": str, "number": int, "salt": str, "signature": str}
    if not isinstance(solution, dict) or any(type(solution.get(name)) is not kind for name, kind in types.items()):
        raise CaptchaInvalid
    return {name: solution[name] for name in types}


def _hmac_key(secret: str) -> str:
    return salted_hmac("accounts.captcha", "challenge", secret=secret, algorithm="sha256").hexdigest()
