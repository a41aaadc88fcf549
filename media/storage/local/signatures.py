"""Signatures of the local storage: of URLs to private files and of policies for upload forms."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core import signing
from django.utils.crypto import constant_time_compare

from media.storage.backend import UPLOAD_TTL

_LINK_SALT = "media.storage.signed_urls"
_DOWNLOAD_SALT = "media.storage.downloads"
_POLICY_SALT = "media.storage.forms"


@dataclass(frozen=True, slots=True)
class UploadPolicy:
    """What an upload form allows: exactly this path, content type and number of bytes."""

    path: str
    content_type: str
    size: int


def signed_query(key: str, expires: int) -> str:
    """Return the query string that gives access to every file of a private key until the Unix time `expires`."""
    return urlencode({"expires": expires, "signature": _signature(key, str(expires))})


def is_valid_signature(key: str, expires: str, signature: str) -> bool:
    """Return whether the values that a client sent give access to a key's files now."""
    # Check the signature first: then `expires` is a number that this app has written.
    return constant_time_compare(signature, _signature(key, expires)) and time.time() < int(expires)


def signed_download(path: str, filename: str, expires: int) -> str:
    """Return the query string with which an export is downloaded as `filename` until the Unix time `expires`."""
    signature = _download_signature(path, filename, str(expires))
    return urlencode({"filename": filename, "expires": expires, "signature": signature})


def is_valid_download(path: str, filename: str, expires: str, signature: str) -> bool:
    """Return whether the values that a client sent download an export now."""
    is_signed = constant_time_compare(signature, _download_signature(path, filename, expires))
    return is_signed and time.time() < int(expires)


def sign_policy(path: str, content_type: str, size: int) -> str:
    """Return a signed token for an `UploadPolicy`."""
    return signing.dumps([path, content_type, size], salt=_POLICY_SALT)


def read_policy(token: str) -> UploadPolicy:
    """Return the policy of a token. Raises django.core.signing.BadSignature if it is invalid or has expired."""
    path, content_type, size = signing.loads(token, salt=_POLICY_SALT, max_age=UPLOAD_TTL)
    return UploadPolicy(path, content_type, size)


def _download_signature(path: str, filename: str, expires: str) -> str:
    return signing.Signer(salt=_DOWNLOAD_SALT).signature(f"{path}:{expires}:{filename}")


def _signature(key: str, expires: str) -> str:
    return signing.Signer(salt=_LINK_SALT).signature(f"{key}:{expires}")
