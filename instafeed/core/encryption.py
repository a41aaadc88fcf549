"""Encrypt small secrets in the database, so that a copy of the database does not reveal them.

The keys are derived from SECRET_KEY and SECRET_KEY_FALLBACKS. The first encrypts and all of them decrypt. `key_id`
names the key that a value was encrypted with, so that rows with an older one can be found and encrypted again.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_ID_LENGTH = 16


class UnknownKey(Exception):
    """The value was encrypted with a SECRET_KEY that is no longer configured, or was changed since."""


@dataclass(frozen=True)
class Encrypted:
    """An encrypted value, as it is stored."""

    text: str
    key_id: str


def encrypt(value: bytes) -> Encrypted:
    """Encrypt with a key derived from SECRET_KEY."""
    return Encrypted(Fernet(_derive_key(settings.SECRET_KEY)).encrypt(value).decode(), get_key_id())


def decrypt(text: str) -> bytes:
    """Decrypt with any of the configured keys. Raises UnknownKey."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    try:
        return MultiFernet([Fernet(_derive_key(key)) for key in keys]).decrypt(text)
    except InvalidToken:
        raise UnknownKey from None


def get_key_id() -> str:
    """Return the name of the key that `encrypt` uses. It does not reveal the key."""
    return hashlib.sha256(_derive_key(settings.SECRET_KEY)).hexdigest()[:KEY_ID_LENGTH]


@lru_cache(maxsize=16)
def _derive_key(secret: str) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"instafeed.core.encryption").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
