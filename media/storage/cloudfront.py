"""CloudFront: signs the URLs of all variants of a picture at once, and invalidates cached files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

import boto3
from botocore.signers import CloudFrontSigner
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from media.storage.backend import INVALIDATION_BATCH_SIZE

SIGNATURE_CACHE_SIZE = 10_000  # under 10 MB per process; making one takes about a millisecond


class UrlSigner:
    """Signs private/<key>/* with a custom policy, which can cover many files; a canned policy covers a single URL."""

    def __init__(self, domain: str, key_id: str, pem: str) -> None:
        private_key = load_pem_private_key(pem.encode(), password=None)
        assert isinstance(private_key, RSAPrivateKey)
        # CloudFront verifies SHA-1. A collision attack is not possible, as no part of a policy comes from a client.
        self._signer = CloudFrontSigner(key_id, lambda message: private_key.sign(message, PKCS1v15(), SHA1()))  # noqa: S303
        self._domain = domain
        self.query = lru_cache(SIGNATURE_CACHE_SIZE)(self._query)

    def _query(self, key: str, expires: int) -> str:
        """Return policy, signature and key id as the query string for every URL under private/<key>/."""
        resource = f"https://{self._domain}/private/{key}/*"
        policy = self._signer.build_policy(resource, datetime.fromtimestamp(expires, UTC))
        signed: str = self._signer.generate_presigned_url(resource, policy=policy)
        return signed.partition("?")[2]


def invalidate(session: boto3.Session, config: Any, distribution: str, patterns: Sequence[str]) -> None:
    """Invalidate paths, which may end with a wildcard, in batches of `INVALIDATION_BATCH_SIZE`.

    Raises ClientError when too many invalidations are already in progress.
    """
    client = session.client("cloudfront", config=config)
    for start in range(0, len(patterns), INVALIDATION_BATCH_SIZE):
        paths = patterns[start : start + INVALIDATION_BATCH_SIZE]
        client.create_invalidation(
            DistributionId=distribution,
            InvalidationBatch={
                "Paths": {"Quantity": len(paths), "Items": paths},
                "CallerReference": uuid4().hex,
            },
        )
