"""Presigned URLs of S3, used without a CloudFront key. Every process returns the same URL for some time.

boto3 signs with the current time, so URLs would differ between processes and seconds, and browsers would never find a
picture in their cache. Here the signing time is the start of the window of `backend.link_expiry`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

URL_CACHE_SIZE = 10_000  # under 10 MB per process


class _SignatureAtTime(S3SigV4QueryAuth):
    """botocore's signature as of a given time."""

    def __init__(self, signed_at: datetime, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timestamp = signed_at.strftime("%Y%m%dT%H%M%SZ")

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        # The last hook before the signature, after botocore has set the current time.
        request.context["timestamp"] = self._timestamp
        super()._modify_request_before_signing(request)


@lru_cache(URL_CACHE_SIZE)
def presign(url: str, region: str, credentials: ReadOnlyCredentials, expires: int, lifetime: int) -> str:
    """Return `url` signed until the Unix time `expires`, with a signing time `lifetime` seconds before it.

    A role's credentials expire and invalidate their URLs. They are part of the cache's key, so new credentials give new
    URLs at once.
    """
    request = AWSRequest(method="GET", url=url)
    signed_at = datetime.fromtimestamp(expires - lifetime, UTC)
    _SignatureAtTime(signed_at, credentials, "s3", region, lifetime).add_auth(request)
    signed: str = request.url
    return signed
