"""An S3 over real HTTP (moto's server), one per test process, and storages that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from moto.server import ThreadedMotoServer
from pytest_django import Settings

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
def cached_service_descriptions() -> Iterator[None]:
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
    """A client of its own, to see what is really stored, and a bucket "media"."""
    client = boto3.client("s3", endpoint_url=s3_endpoint, **CLIENT)
    client.create_bucket(Bucket="media")
    return client


@pytest.fixture(scope="session")
def cloudfront(s3_endpoint: str) -> Any:
    return boto3.client("cloudfront", endpoint_url=s3_endpoint, **CLIENT)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def use_bucket(settings: Settings) -> UseStorage:
    def use(**options: Any) -> None:
        options = {**_OPTIONS, **options}
        settings.STORAGES = {
            **settings.STORAGES,
            "default": {"BACKEND": "media.storage.s3.BucketStorage", "OPTIONS": options},
        }

    return use


@pytest.fixture
def bucket(s3: Any, s3_endpoint: str, use_bucket: UseStorage) -> str:
    """Make this bucket, which tests share, the default storage."""
    use_bucket(endpoint_url=s3_endpoint)
    return "media"


@pytest.fixture
def directory(settings: Settings, tmp_path: Path) -> Path:
    """Make this empty directory the default storage."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "media.storage.local.filesystem.FileStorage"}}
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path
