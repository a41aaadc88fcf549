"""S3's own signed URLs, where there is no CloudFront key: the same URL from every process for a while.

boto3 signs as of now, so each process would give each picture another URL every second and no browser would
ever find it in its cache. Here the moment of signing is the beginning of the window.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

URL_CACHE_SIZE = 10_000  # under 10 MB a process


class _SignatureAtTime(S3SigV4QueryAuth):
    """botocore's signature, as of a moment."""

    def __init__(self, moment: datetime, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moment = moment.strftime("%Y%m%dT%H%M%SZ")

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        # The first step that knows the moment, and the last before it is signed.
        request.context["timestamp"] = self._moment
        super()._modify_request_before_signing(request)


@lru_cache(URL_CACHE_SIZE)
def presign(url: str, region: str, credentials: ReadOnlyCredentials, expires: int, lifetime: int) -> str:
    """`url`, opened until the Unix time `expires`, as of `lifetime` seconds before.

    Credentials of a role end by themselves, and the URL with them; being part of the cache's key, new ones give
    new URLs at once.
    """
    request = AWSRequest(method="GET", url=url)
    moment = datetime.fromtimestamp(expires - lifetime, UTC)
    _SignatureAtTime(moment, credentials, "s3", region, lifetime).add_auth(request)
    signed: str = request.url
    return signed
