"""Verification of presigned URLs by AWS's description of Signature Version 4, without botocore's code."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit


def is_valid_presigned_url(url: str, secret: str, at: datetime, *, host: str | None = None) -> bool:
    """Return whether S3 would accept a GET of `url` at the time `at`, sent to `host` (default: the URL's host)."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, strict_parsing=True))
    given = query.pop("X-Amz-Signature")
    assert query["X-Amz-SignedHeaders"] == "host"
    request = "\n".join(
        [
            *("GET", quote(parts.path, safe="/-_.~")),
            "&".join(
                f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items())
            ),
            f"host:{host or parts.netloc}\n",
            *("host", "UNSIGNED-PAYLOAD"),
        ]
    )
    scope = query["X-Amz-Credential"].split("/")[1:]
    text = "\n".join(
        ["AWS4-HMAC-SHA256", query["X-Amz-Date"], "/".join(scope), hashlib.sha256(request.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = _hmac(key, part)
    begins = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ends = begins + timedelta(seconds=int(query["X-Amz-Expires"]))
    return hmac.compare_digest(_hmac(key, text).hex(), given) and begins <= at < ends


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
