"""Production settings with an S3 over HTTP (moto's server): the life of a picture, and the URLs of three set-ups.

They are Amazon S3, a self-hosted S3 with a public endpoint, and CloudFront.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.server import ThreadedMotoServer

from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import Web
from instafeed.devstack.state import PROJECT_ROOT
from tests.db.media.storage.sigv4 import is_valid_presigned_url
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg
from tests.system.media.test_media import fetched, picture_of, status, upload, upload_directly

BUCKET, SECRET, TTL = "media", "a-secret-of-the-tests", 60
PRODUCTION = {
    "DEBUG": "false",
    "SERVE_FILES": "false",
    "HTTPS_ONLY": "true",
    "BEHIND_PROXY": "true",
    "PUBLIC_URL": "https://example.org",
    "MEDIA_URL_TTL": str(TTL),
    "AWS_STORAGE_BUCKET_NAME": BUCKET,
    "AWS_ACCESS_KEY_ID": "the-application",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}
OVER_TLS = {"X-Forwarded-Proto": "https"}
pytestmark = pytest.mark.restarts_a_program


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The internal endpoint of an S3. Its bucket has the policy of docker-compose.yml."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="root", aws_secret_access_key="root"
    )
    client.create_bucket(Bucket=BUCKET)
    policy = (PROJECT_ROOT / "deploy" / "minio" / "public-read.json").read_text()
    client.put_bucket_policy(Bucket=BUCKET, Policy=policy)
    yield address
    server.stop()


@pytest.fixture(scope="module")
def bucket_stack(live_stack: LiveStack, s3: str) -> Iterator[LiveStack]:
    endpoints = {"AWS_S3_ENDPOINT_URL": s3, "AWS_S3_PUBLIC_ENDPOINT_URL": s3.replace("127.0.0.1", "localhost")}
    settings = PRODUCTION | endpoints
    with live_stack.restarted("web", **settings), live_stack.restarted("worker", **settings):
        live_stack.client.headers.update(OVER_TLS)
        yield live_stack


@pytest.fixture(scope="module")
def author(bucket_stack: LiveStack) -> HttpUser:
    return HttpUser(bucket_stack)


@pytest.fixture(scope="module")
def posts(bucket_stack: LiveStack, author: HttpUser) -> list[str]:
    """Two posts with processed pictures: one uploaded through the app, one directly."""
    ids = [upload(author, jpeg(700, 500)), upload_directly(author, jpeg(600, 600))]
    eventually(lambda: {status(author, media_id) for media_id in ids} == {"ready"})
    return [author.call("POST", "/posts", json={"media": [media_id]}).json()["id"] for media_id in ids]


@pytest.fixture(scope="module")
def recluse(bucket_stack: LiveStack) -> HttpUser:
    return HttpUser(bucket_stack)


@pytest.fixture(scope="module")
def private_post(recluse: HttpUser) -> str:
    """A post of an account that turned private, after the relocation of its files."""
    media_id = upload(recluse, jpeg(500, 400))
    eventually(lambda: status(recluse, media_id) == "ready")
    post_id = recluse.call("POST", "/posts", json={"media": [media_id]}).json()["id"]
    before = picture_of(recluse, post_id)["url"]
    assert fetched(before) == 200
    assert recluse.call("PATCH", "/me", json={"is_private": True}).status_code == 200
    eventually(lambda: fetched(before) == 404)
    eventually(lambda: fetched(picture_of(recluse, post_id)["url"]) == 200)  # Redis has forgotten the old URL
    return str(post_id)


def test_production_redirects_to_https(bucket_stack: LiveStack) -> None:
    plain = bucket_stack.get("/api/v1/feed", headers={"X-Forwarded-Proto": "http"})
    assert (plain.status_code, plain.headers["Location"].partition(":")[0]) == (301, "https")


def test_public_pictures_use_the_public_endpoint(author: HttpUser, posts: list[str], s3: str) -> None:
    for post_id in posts:
        url = picture_of(author, post_id)["url"]
        assert url.startswith(s3.replace("127.0.0.1", "localhost") + f"/{BUCKET}/public/")
        answer = httpx.get(url, trust_env=False, timeout=30)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/webp")


def test_private_picture_requires_a_signature_that_expires(recluse: HttpUser, private_post: str) -> None:
    asked = datetime.now(UTC)
    url = picture_of(recluse, private_post)["url"]
    got = datetime.now(UTC)
    assert urlsplit(url).hostname == "localhost"
    assert fetched(url) == 200
    assert fetched(url.partition("?")[0]) == 403
    assert is_valid_presigned_url(url, SECRET, got)
    assert is_valid_presigned_url(url, SECRET, asked + timedelta(seconds=TTL - 1))
    assert not is_valid_presigned_url(url, SECRET, got + timedelta(seconds=2 * TTL + 1))


def picture_url_with(stack: LiveStack, reader: HttpUser, post_id: str, **settings: str) -> str:
    """Return the picture's URL from another web server with other settings on the same services."""
    web = Web(stack.services.layout, stack.environment, free_port(), 1)
    web.environment = {**(web.environment or {}), **PRODUCTION, **settings}
    web.start(300)
    try:
        address = f"http://127.0.0.1:{web.port}/api/v1/posts/{post_id}"
        response = httpx.get(address, headers={**OVER_TLS, **reader.headers}, trust_env=False, timeout=30)
        assert response.status_code == 200, response.text
        (picture,) = response.json()["media"]
        return str(picture["url"])
    finally:
        web.stop()


def test_amazon_s3_urls(bucket_stack: LiveStack, recluse: HttpUser, private_post: str, s3: str) -> None:
    url = picture_url_with(bucket_stack, recluse, private_post, AWS_S3_REGION_NAME="eu-central-1")
    parts = urlsplit(url)
    assert parts.scheme == "https"
    assert parts.netloc == f"{BUCKET}.s3.eu-central-1.amazonaws.com"
    assert parts.path.startswith("/private/")
    assert is_valid_presigned_url(url, SECRET, datetime.now(UTC))
    assert not is_valid_presigned_url(url, SECRET, datetime.now(UTC), host=urlsplit(s3).netloc)


def test_cloudfront_urls_verify_with_the_public_key(
    bucket_stack: LiveStack, recluse: HttpUser, private_post: str
) -> None:
    asked = datetime.now(UTC).timestamp()
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    url = picture_url_with(
        bucket_stack,
        recluse,
        private_post,
        AWS_S3_REGION_NAME="eu-central-1",
        MEDIA_CDN_DOMAIN="media.example.org",
        CLOUDFRONT_KEY_ID="K2EXAMPLE",
        CLOUDFRONT_PRIVATE_KEY=pem.replace("\n", "\\n"),
    )
    statement = cloudfront_policy(url, key)
    folder = url.partition("?")[0].rpartition("/")[0]
    assert folder.startswith("https://media.example.org/private/")
    assert statement["Resource"] == f"{folder}/*"
    ends = statement["Condition"]["DateLessThan"]["AWS:EpochTime"]
    assert asked + TTL - 1 <= ends <= datetime.now(UTC).timestamp() + 2 * TTL


def cloudfront_policy(url: str, key: RSAPrivateKey) -> dict[str, Any]:
    """Return the single statement of a URL's policy. Raises InvalidSignature."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    assert query["Key-Pair-Id"] == "K2EXAMPLE"
    plain = {name: query[name].translate(str.maketrans("-_~", "+=/")) for name in ("Policy", "Signature")}
    policy = base64.b64decode(plain["Policy"], validate=True)
    key.public_key().verify(base64.b64decode(plain["Signature"], validate=True), policy, PKCS1v15(), SHA1())
    (statement,) = json.loads(policy)["Statement"]
    return dict(statement)
