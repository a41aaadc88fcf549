"""An S3 over real HTTP (moto's server), one per test process, and storages that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.files.storage import default_storage
from moto.server import ThreadedMotoServer

from media.storage.s3 import BucketStorage

CDN = "cdn.example.org"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test-id",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_OPTIONS = {"bucket_name": "media", "region_name": "us-east-1", "addressing_style": "path"}
CLIENT = {"region_name": "us-east-1", "aws_access_key_id": "test-id", "aws_secret_access_key": "test-secret"}

UseStorage = Callable[..., None]


@pytest.fixture(scope="session", autouse=True)
def _cached_service_descriptions() -> Iterator[None]:
    """Cache boto3's description of S3, a megabyte: reading it is most of the time that a new client takes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3(s3_endpoint: str) -> Any:
    """A separate client, to see what is really stored."""
    return boto3.client("s3", endpoint_url=s3_endpoint, **CLIENT)


@pytest.fixture(scope="session")
def cloudfront(s3_endpoint: str) -> Any:
    return boto3.client("cloudfront", endpoint_url=s3_endpoint, **CLIENT)


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def signing_pem(signing_key: rsa.RSAPrivateKey) -> str:
    return signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def _bucket_storage(s3: Any, s3_endpoint: str) -> Iterator[BucketStorage]:
    """One storage for all tests, as making boto3's client takes a third of a second."""
    s3.create_bucket(Bucket="media")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in _CREDENTIALS.items():
            environment.setenv(name, value)
        storage = BucketStorage(**_OPTIONS, endpoint_url=s3_endpoint)
        storage.url("x")
        yield storage


@pytest.fixture
def bucket(_bucket_storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this bucket, which tests share, the default storage."""
    monkeypatch.setattr(default_storage, "_wrapped", _bucket_storage)
    return "media"


@pytest.fixture
def use_bucket(settings: Any) -> UseStorage:
    def use(**options: Any) -> None:
        options = {**_OPTIONS, **options}
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {"BACKEND": "media.storage.s3.BucketStorage", "OPTIONS": options},
        }

    return use


@pytest.fixture
def directory(settings: Any, tmp_path: Path) -> Path:
    """Make this empty directory the default storage."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "media.storage.local.filesystem.FileStorage"}}
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path
