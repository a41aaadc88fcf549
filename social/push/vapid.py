"""The site's key pair, by which push services know who sends a message (VAPID, RFC 8292)."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from email.utils import parseaddr
from functools import lru_cache

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from py_vapid import Vapid02

TOKEN_LIFETIME = 12 * 3_600  # seconds; push services accept a day at most


def is_on() -> bool:
    """Return whether the site sends push messages: it has a key."""
    return bool(settings.VAPID_PRIVATE_KEY)


def public_key() -> str:
    """Return the public key that browsers subscribe with, base64url without padding."""
    point = _key(settings.VAPID_PRIVATE_KEY).public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def authorization(origin: str) -> str:
    """Return the value of `Authorization` for requests to a push service."""
    claims = {"aud": origin, "exp": int(time.time()) + TOKEN_LIFETIME, "sub": _contact()}
    header: str = _key(settings.VAPID_PRIVATE_KEY).sign(claims)["Authorization"]
    return header


def _contact() -> str:
    """Return where a push service reaches the operators: at the sender of the site's mails, or at the site."""
    address = parseaddr(settings.MAIL_FROM)[1]
    if address.endswith("@localhost") and settings.SITE_URL.startswith("https://"):
        return str(settings.SITE_URL)
    return f"mailto:{address}"


@lru_cache(maxsize=1)
def _key(private_key: str) -> Vapid02:
    key = Vapid02.from_raw(private_key.encode())
    key.conf = {"no-strict": True}  # otherwise it refuses a contact with a port
    return key
