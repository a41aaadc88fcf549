"""Settings of object storage and CDN. If they are incomplete, the start stops with one line that names what is missing.

Without AWS_STORAGE_BUCKET_NAME, files are stored in MEDIA_ROOT. boto3 finds the credentials itself: from its variables,
a profile, or the role of the instance or container.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from instafeed.core import env

_BUCKET_VARIABLE = "AWS_STORAGE_BUCKET_NAME"
# Variables that make sense only with a bucket.
BUCKET_DEPENDENT_VARIABLES = (
    "AWS_S3_ENDPOINT_URL",
    "AWS_S3_PUBLIC_ENDPOINT_URL",
    "AWS_S3_REGION_NAME",
    "AWS_S3_ADDRESSING_STYLE",
    "MEDIA_CDN_DOMAIN",
    "CLOUDFRONT_KEY_ID",
    "CLOUDFRONT_PRIVATE_KEY",
    "CLOUDFRONT_PRIVATE_KEY_FILE",
    "CLOUDFRONT_DISTRIBUTION_ID",
)
_US_EAST_1_ENDPOINT = "https://s3.amazonaws.com"
_MIN_KEY_BITS = 2048  # CloudFront requires RSA keys of this size


def uses_object_storage() -> bool:
    return bool(env.text(_BUCKET_VARIABLE))


def default_storage() -> dict[str, Any]:
    """Return the entry "default" of STORAGES. Raises SettingError."""
    if not uses_object_storage():
        for name in BUCKET_DEPENDENT_VARIABLES:
            if env.text(name):
                raise env.SettingError(name, f"needs {_BUCKET_VARIABLE}")
        return {"BACKEND": "media.storage.local.filesystem.FileStorage"}
    return {"BACKEND": "media.storage.s3.BucketStorage", "OPTIONS": {**_s3_options(), **_cloudfront_options()}}


def public_origins() -> list[str]:
    """Return the origins (`https://host`) that serve pictures; empty if this site serves them itself."""
    if not uses_object_storage():
        return []
    options = _cloudfront_options()
    cdn = [f"https://{options['cdn_domain']}"] if options["cdn_domain"] else []
    return cdn if options["signing_key_id"] else cdn + upload_origins()


def upload_origins() -> list[str]:
    """Return the origins that take direct uploads; empty if this site takes them itself."""
    if not uses_object_storage():
        return []
    options = _s3_options()
    bucket, region = options["bucket_name"], options["region_name"]
    # Buckets in us-east-1 are also addressed without the region's name.
    endpoint = options["public_endpoint_url"]
    origins = [endpoint] if endpoint else [f"https://s3.{region}.amazonaws.com", _US_EAST_1_ENDPOINT]
    if options["addressing_style"] == "virtual":
        origins = [origin.replace("://", f"://{bucket}.") for origin in origins]
    return origins


def _s3_options() -> dict[str, Any]:
    if env.text("AWS_ACCESS_KEY_ID") or env.text("AWS_SECRET_ACCESS_KEY"):
        env.require("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    endpoint = env.web_origin("AWS_S3_ENDPOINT_URL")
    public = env.web_origin("AWS_S3_PUBLIC_ENDPOINT_URL")
    if public and not endpoint:
        raise env.SettingError("AWS_S3_PUBLIC_ENDPOINT_URL", "needs AWS_S3_ENDPOINT_URL")
    region = env.text("AWS_S3_REGION_NAME") or env.text("AWS_REGION") or env.text("AWS_DEFAULT_REGION")
    if not region and not endpoint:
        # S3 rejects signatures for another region than the bucket's.
        raise env.SettingError("AWS_S3_REGION_NAME", f"must be set too: the region of {_BUCKET_VARIABLE}")
    return {
        "bucket_name": _matching_text(_BUCKET_VARIABLE, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name"),
        "endpoint_url": endpoint or None,
        "public_endpoint_url": public or endpoint or None,
        "region_name": region or "us-east-1",
        # Not boto3's default "auto": it signs for the global endpoint, where regions other than us-east-1 answer with
        # a redirect that invalidates the signature.
        "addressing_style": env.choice(
            "AWS_S3_ADDRESSING_STYLE", "path" if endpoint else "virtual", ("virtual", "path"), computed=True
        ),
    }


def _cloudfront_options() -> dict[str, Any]:
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    domain = _matching_text("MEDIA_CDN_DOMAIN", rf"{label}(?:\.{label})+", "a host name like media.example.org")
    for name in ("CLOUDFRONT_KEY_ID", "CLOUDFRONT_DISTRIBUTION_ID"):
        if env.text(name) and not domain:
            raise env.SettingError(name, "needs MEDIA_CDN_DOMAIN")
    name, pem = _read_private_key()
    key_id = _matching_text("CLOUDFRONT_KEY_ID", r"[A-Z0-9]+", "the id of a CloudFront public key")
    if pem and not key_id:
        raise env.SettingError("CLOUDFRONT_KEY_ID", f"must be set with {name}")
    if key_id and not pem:
        raise env.SettingError(
            "CLOUDFRONT_KEY_ID", "needs its private key: CLOUDFRONT_PRIVATE_KEY or CLOUDFRONT_PRIVATE_KEY_FILE"
        )
    distribution = _matching_text("CLOUDFRONT_DISTRIBUTION_ID", r"[A-Z0-9]+", "the id of a CloudFront distribution")
    return {"cdn_domain": domain, "signing_key_id": key_id, "signing_key": pem, "distribution_id": distribution}


def _read_private_key() -> tuple[str, str]:
    """Return the name of the variable with the key, and the key as PEM; both empty if there is none."""
    text, file = env.text("CLOUDFRONT_PRIVATE_KEY"), env.text("CLOUDFRONT_PRIVATE_KEY_FILE")
    if text and file:
        raise env.SettingError("CLOUDFRONT_PRIVATE_KEY_FILE", "must not be set beside CLOUDFRONT_PRIVATE_KEY")
    if not text and not file:
        return "", ""
    name = "CLOUDFRONT_PRIVATE_KEY" if text else "CLOUDFRONT_PRIVATE_KEY_FILE"
    try:
        pem = text.replace("\\n", "\n") if text else Path(file).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise env.SettingError(name, f"cannot be read: {error}") from None
    _check_key(name, pem)
    return name, pem


def _check_key(name: str, pem: str) -> None:
    # Imported here because it is slow and most installations have no such key.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise env.SettingError(name, "is not a private key in PEM format without a password") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_KEY_BITS:
        raise env.SettingError(name, f"must be an RSA key of {_MIN_KEY_BITS} bits")


def _matching_text(name: str, pattern: str, meaning: str) -> str:
    raw = env.text(name)
    if raw and not re.fullmatch(pattern, raw):
        raise env.SettingError(name, f"must be {meaning}, not {raw!r}")
    return raw
