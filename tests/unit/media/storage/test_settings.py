"""Settings of the object storage: incomplete ones stop the start with one line that names the variable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pytest_django import Settings

from instafeed.core import env, storage_settings
from media import storage
from tests.support.rsa_keys import signing_key, to_pem

BUCKET = {"AWS_STORAGE_BUCKET_NAME": "media", "AWS_S3_REGION_NAME": "eu-central-1"}
CDN = {**BUCKET, "MEDIA_CDN_DOMAIN": "cdn.example.org"}
NAMES = (
    *storage_settings.BUCKET_DEPENDENT_VARIABLES,
    *("AWS_STORAGE_BUCKET_NAME", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def read_settings(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> dict[str, object]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    entry = storage_settings.default_storage()
    return {"BACKEND": entry["BACKEND"], **entry.get("OPTIONS", {})}


def test_default_is_the_local_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(monkeypatch, {}) == {"BACKEND": "media.storage.local.filesystem.FileStorage"}


def test_bucket_only(monkeypatch: pytest.MonkeyPatch) -> None:
    options = read_settings(monkeypatch, BUCKET)
    assert options["BACKEND"] == "media.storage.s3.BucketStorage"
    assert (options["region_name"], options["addressing_style"]) == ("eu-central-1", "virtual")
    assert not options["cdn_domain"]
    assert not options["signing_key"]


def test_custom_endpoint_uses_path_style_and_a_default_region(monkeypatch: pytest.MonkeyPatch) -> None:
    options = read_settings(
        monkeypatch, {"AWS_STORAGE_BUCKET_NAME": "media", "AWS_S3_ENDPOINT_URL": "http://127.0.0.1:9000/"}
    )
    assert options["endpoint_url"] == "http://127.0.0.1:9000"
    assert (options["region_name"], options["addressing_style"]) == ("us-east-1", "path")


def test_private_key_as_escaped_text_or_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pem = to_pem(signing_key())
    environment = {**CDN, "CLOUDFRONT_KEY_ID": "K2EXAMPLE", "CLOUDFRONT_DISTRIBUTION_ID": "E2EXAMPLE"}
    escaped = read_settings(monkeypatch, {**environment, "CLOUDFRONT_PRIVATE_KEY": pem.replace("\n", "\\n")})
    assert str(escaped["signing_key"]).strip() == pem.strip()
    monkeypatch.delenv("CLOUDFRONT_PRIVATE_KEY")
    (tmp_path / "key.pem").write_text(pem)
    from_file = read_settings(monkeypatch, {**environment, "CLOUDFRONT_PRIVATE_KEY_FILE": str(tmp_path / "key.pem")})
    assert from_file["signing_key"] == pem
    assert from_file["distribution_id"] == "E2EXAMPLE"


def test_storage_with_bucket_and_cdn_gives_urls_of_the_cdn(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    cdn = {**CDN, "CLOUDFRONT_KEY_ID": "K2EXAMPLE", "CLOUDFRONT_PRIVATE_KEY": to_pem(signing_key())}
    for name, value in cdn.items():
        monkeypatch.setenv(name, value)
    settings.STORAGES = {**settings.STORAGES, "default": storage_settings.default_storage()}
    avatar = f"avatars/{storage.new_key()}.webp"
    assert storage.url(avatar) == f"https://cdn.example.org/{avatar}"


PLACEHOLDERS = {
    "PEM": lambda: to_pem(signing_key()),
    "ELLIPTIC": lambda: to_pem(ec.generate_private_key(ec.SECP256R1())),
    "LOCKED": lambda: to_pem(signing_key(), "password"),
    "SHORT": lambda: to_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"AWS_STORAGE_BUCKET_NAME": "media"}, "AWS_S3_REGION_NAME"),
        ({**BUCKET, "AWS_STORAGE_BUCKET_NAME": "Not A Bucket"}, "AWS_STORAGE_BUCKET_NAME"),
        ({**BUCKET, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY"),
        ({**BUCKET, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "x"}, "AWS_ACCESS_KEY_ID"),
        ({**BUCKET, "AWS_S3_ADDRESSING_STYLE": "auto"}, "AWS_S3_ADDRESSING_STYLE"),
        ({**BUCKET, "AWS_S3_ENDPOINT_URL": "minio:9000"}, "AWS_S3_ENDPOINT_URL"),
        ({**BUCKET, "MEDIA_CDN_DOMAIN": "https://cdn.example.org"}, "MEDIA_CDN_DOMAIN"),
        ({**BUCKET, "CLOUDFRONT_KEY_ID": "K2"}, "CLOUDFRONT_KEY_ID"),
        ({**BUCKET, "CLOUDFRONT_DISTRIBUTION_ID": "E2"}, "CLOUDFRONT_DISTRIBUTION_ID"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2"}, "CLOUDFRONT_KEY_ID"),
        ({**CDN, "CLOUDFRONT_PRIVATE_KEY": "PEM"}, "CLOUDFRONT_KEY_ID"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2", "CLOUDFRONT_PRIVATE_KEY": "nonsense"}, "CLOUDFRONT_PRIVATE_KEY"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2", "CLOUDFRONT_PRIVATE_KEY": "ELLIPTIC"}, "CLOUDFRONT_PRIVATE_KEY"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2", "CLOUDFRONT_PRIVATE_KEY": "LOCKED"}, "CLOUDFRONT_PRIVATE_KEY"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2", "CLOUDFRONT_PRIVATE_KEY": "SHORT"}, "CLOUDFRONT_PRIVATE_KEY"),
        ({**CDN, "CLOUDFRONT_KEY_ID": "K2", "CLOUDFRONT_PRIVATE_KEY_FILE": "/nowhere"}, "CLOUDFRONT_PRIVATE_KEY_FILE"),
        (
            {**CDN, "CLOUDFRONT_PRIVATE_KEY": "PEM", "CLOUDFRONT_PRIVATE_KEY_FILE": "/nowhere"},
            "CLOUDFRONT_PRIVATE_KEY_FILE",
        ),
        *(({name: "https://x"}, name) for name in storage_settings.BUCKET_DEPENDENT_VARIABLES),
    ],
)
def test_incomplete_configuration_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str
) -> None:
    given = {
        variable: PLACEHOLDERS[value]() if value in PLACEHOLDERS else value for variable, value in environment.items()
    }
    with pytest.raises(env.SettingError) as caught:
        read_settings(monkeypatch, given)
    message = str(caught.value)
    assert message.startswith(f"instafeed: {name} ")
    assert "\n" not in message
    assert "PRIVATE KEY-----" not in message
