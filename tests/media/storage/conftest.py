"""An S3 over real HTTP (moto's server), one for each process of the suite, and storages that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.server import ThreadedMotoServer

CDN = "cdn.example.org"
CLIENT = {"region_name": "us-east-1", "aws_access_key_id": "test-id", "aws_secret_access_key": "test-secret"}

UseStorage = Callable[..., None]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3(s3_endpoint: str) -> Any:
    """A client of the tests' own, to see what is really stored."""
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
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def bucket(s3: Any, s3_endpoint: str, use_bucket: UseStorage) -> str:
    """The default storage is this new bucket."""
    name = f"media-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    use_bucket(bucket_name=name, endpoint_url=s3_endpoint)
    return name


@pytest.fixture
def use_bucket(settings: Any) -> UseStorage:
    def use(**options: Any) -> None:
        options = {"bucket_name": "media", "region_name": "us-east-1", **options}
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {"BACKEND": "media.storage.s3.BucketStorage", "OPTIONS": options},
        }

    return use


@pytest.fixture
def directory(settings: Any, tmp_path: Path) -> Path:
    """The default storage is this empty directory."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "media.storage.files.FileStorage"}}
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path
