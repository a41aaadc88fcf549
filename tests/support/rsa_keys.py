"""RSA keys for tests of CloudFront's signatures."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


@cache
def signing_key() -> RSAPrivateKey:
    """Return the same key to all tests of a process: making one takes a while."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def to_pem(key: RSAPrivateKey | EllipticCurvePrivateKey, password: str = "") -> str:
    locked = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode()
