"""Signed URLs: how long they are valid, how long they stay the same, and which files they cover."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import httpx
import pytest
from botocore.config import Config
from botocore.signers import CloudFrontSigner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1
from pytest_django import Settings

from media import storage
from media.storage import backend, s3_signed_urls
from media.storage.backend import link_expiry
from tests.db.media.storage.conftest import CDN, UseStorage
from tests.support.rsa_keys import signing_key, to_pem

NOW = 1_800_000_000.0
NAMES = ["150.webp", "1080.webp"]


class Clock:
    now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(backend, "time", clock)
    return clock


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def aws_base64(text: str) -> bytes:
    return base64.b64decode(text.translate(str.maketrans("-_~", "+=/")), validate=True)


def test_url_is_valid_for_one_to_two_ttls_and_stable_for_one(clock: Clock, settings: Settings) -> None:
    settings.MEDIA_URL_TTL = 60
    keys = [storage.new_key() for _ in range(50)]
    for key in keys:
        ends = []
        for step in range(240):
            clock.now = NOW + step / 2
            assert 60 < link_expiry(key) - clock.now <= 120
            ends.append(link_expiry(key))
        assert sorted(ends) == ends
        assert 2 <= len(set(ends)) <= 3
        assert all(later - sooner in (0, 60) for sooner, later in pairwise(ends))
    # They do not all change at the same time.
    assert len({link_expiry(key) for key in keys}) > 10


# --- CloudFront --------------------------------------------------------------------------------------


@pytest.fixture
def signed_cdn(use_bucket: UseStorage) -> None:
    use_bucket(cdn_domain=CDN, signing_key_id="K2EXAMPLE", signing_key=to_pem(signing_key()))


def matches(pattern: str, url: str) -> bool:
    """Match a URL against a pattern with a wildcard at its end, the only kind in use."""
    assert pattern.endswith("*")
    assert pattern.count("*") == 1
    assert "?" not in pattern
    return url.partition("?")[0].startswith(pattern[:-1])


def cloudfront_allows(url: str, at: float) -> bool:
    """Verify a URL with a custom policy as CloudFront's developer guide describes it."""
    query = query_of(url)
    policy = aws_base64(query["Policy"])
    try:
        signing_key().public_key().verify(aws_base64(query["Signature"]), policy, PKCS1v15(), SHA1())
    except InvalidSignature:
        return False
    (statement,) = json.loads(policy)["Statement"]
    ends = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
    return matches(statement["Resource"], url) and at < ends and query["Key-Pair-Id"] == "K2EXAMPLE"


@pytest.mark.usefixtures("signed_cdn")
def test_cloudfront_signature_covers_every_variant(clock: Clock) -> None:
    key = storage.new_key()
    urls = storage.signed_urls(key, NAMES)
    assert [url.partition("?")[0] for url in urls] == [f"https://{CDN}/private/{key}/{name}" for name in NAMES]
    assert len({url.partition("?")[2] for url in urls}) == 1
    policy = aws_base64(query_of(urls[0])["Policy"])
    assert policy == (
        b'{"Statement":[{"Resource":"https://%b/private/%b/*","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}'
        % (CDN.encode(), key.encode(), link_expiry(key))
    )
    for url in urls:
        assert cloudfront_allows(url, NOW + 3600)
        assert not cloudfront_allows(url, NOW + 7200)
        assert url == storage.url(urlsplit(url).path[1:])


@pytest.mark.usefixtures("signed_cdn")
def test_cloudfront_signature_covers_nothing_else(clock: Clock) -> None:
    key, other = storage.new_key(), storage.new_key()
    (url,) = storage.signed_urls(key, NAMES[:1])
    (foreign,) = storage.signed_urls(other, NAMES[:1])
    query, foreign_query = query_of(url), query_of(foreign)
    assert not cloudfront_allows(url.replace(key, other, 1), NOW)
    assert not cloudfront_allows(url.replace(query["Signature"], foreign_query["Signature"]), NOW)
    assert not cloudfront_allows(url.replace(query["Policy"], foreign_query["Policy"]), NOW)
    flipped = ("A" if query["Signature"][0] != "A" else "B") + query["Signature"][1:]
    assert not cloudfront_allows(url.replace(query["Signature"], flipped), NOW)


@pytest.mark.usefixtures("signed_cdn")
def test_cloudfront_signs_once_per_window(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    sign, signed = CloudFrontSigner.generate_presigned_url, list[str]()

    def counted(self: CloudFrontSigner, url: str, **options: Any) -> str:
        signed.append(url)
        presigned: str = sign(self, url, **options)
        return presigned

    monkeypatch.setattr(CloudFrontSigner, "generate_presigned_url", counted)
    key = storage.new_key()
    first = storage.signed_urls(key, NAMES)
    assert storage.signed_urls(key, NAMES) == first
    assert len(signed) == 1
    clock.now += 3600
    assert storage.signed_urls(key, NAMES) != first
    assert len(signed) == 2


@pytest.mark.usefixtures("signed_cdn")
def test_public_files_have_permanent_cdn_urls() -> None:
    for path in (f"public/{storage.new_key()}/640.webp", f"avatars/{storage.new_key()}.webp"):
        assert storage.url(path) == storage.url_or_placeholder(path) == f"https://{CDN}/{path}"


def test_purge_invalidates_keys_in_batches(
    cloudfront: Any, s3_endpoint: str, use_bucket: UseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", s3_endpoint)
    distribution = create_distribution(cloudfront)
    use_bucket(cdn_domain=CDN, distribution_id=distribution)
    keys = [storage.new_key() for _ in range(17)]
    storage.purge(keys)
    storage.purge([])
    listed = cloudfront.list_invalidations(DistributionId=distribution)["InvalidationList"]["Items"]
    batches = [
        cloudfront.get_invalidation(DistributionId=distribution, Id=item["Id"])["Invalidation"]["InvalidationBatch"]
        for item in listed
    ]
    paths = [batch["Paths"]["Items"] for batch in batches]
    assert sorted(len(batch) for batch in paths) == [2, 15]
    assert {path for batch in paths for path in batch} == {f"/public/{key}/*" for key in keys}


def test_refused_purge_is_a_storage_error(
    s3_endpoint: str, use_bucket: UseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", s3_endpoint)
    use_bucket(cdn_domain=CDN, distribution_id="EMISSING")
    with pytest.raises(storage.StorageError, match="NoSuchDistribution"):
        storage.purge([storage.new_key()])


@pytest.mark.usefixtures("bucket")
def test_purge_without_a_distribution_does_nothing() -> None:
    storage.purge([storage.new_key()])
    with pytest.raises(ValueError, match="layout"):
        storage.purge(["*"])


def create_distribution(cloudfront: Any) -> str:
    origin = {"Id": "media", "DomainName": "media.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    config = {
        "CallerReference": str(time.time()),
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {"TargetOriginId": "media", "ViewerProtocolPolicy": "https-only"},
        "Comment": "",
        "Enabled": True,
    }
    identifier: str = cloudfront.create_distribution(DistributionConfig=config)["Distribution"]["Id"]
    return identifier


# --- S3 ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bucket")
def test_s3_serves_signed_urls() -> None:
    """moto checks neither signature nor expiry; the two tests below compare the URL with boto3's instead."""
    key = storage.new_key()
    storage.save(f"private/{key}/150.webp", BytesIO(b"picture"), "image/webp")
    answer = httpx.get(storage.signed_urls(key, ["150.webp"])[0], timeout=60)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"picture", "image/webp")
    assert answer.headers["cache-control"] == "private, max-age=3600"


@pytest.mark.parametrize(("style", "token"), [("virtual", ""), ("path", "a session's token")])
def test_s3_signature_equals_boto3s_at_the_start_of_the_window(
    style: str, token: str, use_bucket: UseStorage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    use_bucket(bucket_name="media-eu", region_name="eu-central-1", addressing_style=style)
    key = storage.new_key()
    urls = storage.signed_urls(key, NAMES)
    begin = datetime.fromtimestamp(link_expiry(key) - 7200, UTC)
    assert begin.timestamp() <= NOW
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: begin)
    config = Config(signature_version="s3v4", s3={"addressing_style": style})
    client = boto3.Session().client("s3", region_name="eu-central-1", config=config)
    for name, url in zip(NAMES, urls, strict=True):
        path = f"private/{key}/{name}"
        theirs = client.generate_presigned_url("get_object", Params={"Bucket": "media-eu", "Key": path}, ExpiresIn=7200)
        assert url.partition("?")[0] == theirs.partition("?")[0]
        assert query_of(url) == query_of(theirs)
        assert "eu-central-1" in urlsplit(url).netloc
        assert query_of(url)["X-Amz-Expires"] == "7200"


@pytest.mark.usefixtures("bucket")
def test_s3_urls_are_stable_until_credentials_change(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, use_bucket: UseStorage
) -> None:
    key = storage.new_key()
    use_bucket()
    first = storage.signed_urls(key, NAMES)
    s3_signed_urls.presign.cache_clear()
    clock.now += 1
    assert storage.signed_urls(key, NAMES) == first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    use_bucket(endpoint_url=None)
    assert storage.signed_urls(key, NAMES) != first


@pytest.mark.usefixtures("bucket")
def test_public_files_without_a_cdn_have_bucket_urls(s3_endpoint: str) -> None:
    path = f"public/{storage.new_key()}/150.webp"
    assert storage.url(path) == f"{s3_endpoint}/media/{path}"


@pytest.mark.usefixtures("bucket")
def test_names_outside_the_layout_are_not_signed() -> None:
    for key, name in (("short", "150.webp"), (storage.new_key(), "../x.webp"), (storage.new_key(), "*")):
        with pytest.raises(ValueError, match="layout"):
            storage.signed_urls(key, [name])
