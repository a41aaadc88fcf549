"""An S3 with an internal endpoint for the app and a public one for clients (nginx in docker-compose.yml)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from instafeed.core import storage_settings
from media import storage
from media.storage.s3 import BucketStorage
from tests.db.media.storage.conftest import CLIENT, UseStorage
from tests.db.media.storage.sigv4 import is_valid_presigned_url


@pytest.fixture
def public(s3_endpoint: str, s3: Any, bucket: str, use_bucket: UseStorage) -> str:
    """The same server under another name. The default storage uses both."""
    public = s3_endpoint.replace("127.0.0.1", "localhost")
    use_bucket(endpoint_url=s3_endpoint, public_endpoint_url=public)
    return public


def save_file(path: str, content: bytes = b"a picture") -> str:
    storage.save(path, BytesIO(content), "image/webp")
    return path


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=60)


def test_urls_use_the_public_endpoint(public: str, bucket: str) -> None:
    key = storage.new_key()
    url = storage.url(save_file(f"public/{key}/150.webp"))
    assert url == f"{public}/{bucket}/public/{key}/150.webp"
    url = storage.url(save_file(f"private/{key}/150.webp"))
    assert url.startswith(f"{public}/{bucket}/private/{key}/150.webp?X-Amz-")
    assert fetch(url).content == b"a picture"


def test_signature_is_valid_for_the_public_endpoint_only(public: str, s3_endpoint: str) -> None:
    url = storage.url(f"private/{storage.new_key()}/150.webp")
    now, secret = datetime.now(UTC), CLIENT["aws_secret_access_key"]
    assert is_valid_presigned_url(url, secret, now)
    assert not is_valid_presigned_url(url, secret, now, host=urlsplit(s3_endpoint).netloc)
    assert not is_valid_presigned_url(url, secret, now + timedelta(hours=2))
    assert not is_valid_presigned_url(url.replace("150", "640"), secret, now)
    assert not is_valid_presigned_url(url, "another secret", now)


def test_forms_use_the_public_endpoint(public: str, s3: Any, bucket: str) -> None:
    content = b"an original"
    path = f"incoming/{storage.new_key()}"
    upload = storage.direct_upload(path, "image/jpeg", len(content))
    assert upload.url == f"{public}/{bucket}"
    sent = httpx.post(upload.url, data=upload.fields, files={"file": content}, trust_env=False, timeout=60)
    assert sent.status_code == 204, sent.text
    assert s3.get_object(Bucket=bucket, Key=path)["Body"].read() == content


def test_app_itself_uses_the_internal_endpoint(s3_endpoint: str, bucket: str, use_bucket: UseStorage) -> None:
    use_bucket(endpoint_url=s3_endpoint, public_endpoint_url="http://127.0.0.1:1")
    path = save_file(f"public/{storage.new_key()}/150.webp")
    assert storage.size(path) == len(b"a picture")
    storage.delete([path])
    assert storage.size(path) is None


def test_csp_allows_the_public_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_STORAGE_BUCKET_NAME": "media",
        "AWS_S3_ENDPOINT_URL": "http://minio:9000",
        "AWS_S3_PUBLIC_ENDPOINT_URL": "https://example.org/",
    }.items():
        monkeypatch.setenv(name, value)
    assert storage_settings.public_origins() == ["https://example.org"]
    backend = BucketStorage(**storage_settings.default_storage()["OPTIONS"])
    assert backend.url("public/k/150.webp") == "https://example.org/media/public/k/150.webp"


def test_public_endpoint_requires_the_internal_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_STORAGE_BUCKET_NAME", "media")
    monkeypatch.setenv("AWS_S3_PUBLIC_ENDPOINT_URL", "https://example.org")
    with pytest.raises(SystemExit, match="AWS_S3_PUBLIC_ENDPOINT_URL needs AWS_S3_ENDPOINT_URL"):
        storage_settings.default_storage()
