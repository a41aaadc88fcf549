"""S3 and compatible storages: django-storages' backend with the layout's headers and URLs.

One client per process, shared by its threads; django-storages would keep one per thread, each of some megabytes. No
ACLs are used: the bucket's policy says what may be read (docs/media.md).

The app connects to `endpoint_url`. URLs and forms for clients are signed for `public_endpoint_url`, because a signature
is valid for one host only.
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import IO, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from django.conf import settings
from django.utils.encoding import filepath_to_uri
from storages.backends.s3 import S3Storage

from media.storage.backend import (
    UPLOAD_TTL,
    FileMissing,
    Part,
    StorageError,
    Upload,
    UploadLost,
    link_expiry,
)
from media.storage.cloudfront import UrlSigner, invalidate
from media.storage.paths import cache_control_of, content_type_of
from media.storage.s3_signed_urls import presign

DELETE_BATCH_SIZE = 1000  # the most objects that one call deletes
_NETWORK_CONFIG: dict[str, Any] = {
    "connect_timeout": 2,  # seconds
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 2},  # low, as requests wait for it; tasks are retried anyway
}
_NOT_FOUND_CODES = frozenset({"404", "NoSuchKey"})
_LOST_UPLOAD_CODES = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})


class BucketStorage(S3Storage):
    """A bucket, optionally behind CloudFront."""

    failures = (OSError, BotoCoreError, Boto3Error, ClientError)
    min_part_size = 5 * 2**20  # S3 refuses smaller ones

    public_endpoint_url: str | None
    cdn_domain: str
    signing_key_id: str
    signing_key: str
    distribution_id: str

    def get_default_settings(self) -> dict[str, Any]:
        defaults: dict[str, Any] = super().get_default_settings()
        # boto3 finds the credentials and renews them.
        credentials = dict.fromkeys(("access_key", "secret_key", "security_token", "session_profile"))
        ours = dict.fromkeys(("cdn_domain", "signing_key_id", "signing_key", "distribution_id"), "")
        return defaults | credentials | ours | {"public_endpoint_url": None}

    def __init__(self, **options: Any) -> None:
        style = options["addressing_style"]
        options["client_config"] = Config(signature_version="s3v4", s3={"addressing_style": style}, **_NETWORK_CONFIG)
        super().__init__(**options)

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(region_name=self.region_name)

    @cached_property
    def _client(self) -> Any:
        return self._session.client("s3", endpoint_url=self.endpoint_url, config=self.client_config)

    @cached_property
    def _signing_client(self) -> Any:
        """A client for the public endpoint. It only signs and sends nothing."""
        if self.public_endpoint_url in (None, self.endpoint_url):
            return self._client
        return self._session.client("s3", endpoint_url=self.public_endpoint_url, config=self.client_config)

    # --- URLs ----------------------------------------------------------------------------------------

    def url(self, name: str, *args: Any, **kwargs: Any) -> str:
        if name.startswith("private/"):
            _, key, file = name.split("/")
            return self.sign_urls(key, [file])[0]
        return f"{self._public_base}/{filepath_to_uri(name)}"

    def sign_urls(self, key: str, names: Sequence[str]) -> list[str]:
        expires = link_expiry(key)
        if self._signer:
            query = self._signer.query(key, expires)
            return [f"{self._public_base}/private/{key}/{name}?{query}" for name in names]
        credentials, lifetime = self._credentials(), 2 * settings.MEDIA_URL_TTL
        return [
            presign(f"{self._bucket_url}/private/{key}/{name}", self.region_name, credentials, expires, lifetime)
            for name in names
        ]

    @cached_property
    def _signer(self) -> UrlSigner | None:
        return UrlSigner(self.cdn_domain, self.signing_key_id, self.signing_key) if self.signing_key else None

    @property
    def _public_base(self) -> str:
        return f"https://{self.cdn_domain}" if self.cdn_domain else self._bucket_url

    @cached_property
    def _bucket_url(self) -> str:
        """The bucket's own URL, by boto3's rules for regions and addressing styles."""
        url: str = self._signing_client.generate_presigned_url("get_object", {"Bucket": self.bucket_name, "Key": "x"})
        return url.partition("?")[0].removesuffix("/x")

    def sign_download(self, path: str, filename: str, expires: int) -> str:
        """Return a URL of the bucket itself, also behind CloudFront, which does not read exports."""
        disposition = f'attachment; filename="{filename}"'
        parameters = {**self._object(path), "ResponseContentDisposition": disposition}
        lifetime = max(expires - math.ceil(time.time()), 1)
        url: str = self._signing_client.generate_presigned_url("get_object", parameters, ExpiresIn=lifetime)
        return url

    def _credentials(self) -> ReadOnlyCredentials:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen: ReadOnlyCredentials = credentials.get_frozen_credentials()
        return frozen

    def upload_form(self, path: str, content_type: str, size: int) -> Upload:
        post = self._signing_client.generate_presigned_post(
            self.bucket_name,
            path,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", size, size]],
            ExpiresIn=UPLOAD_TTL,
        )
        return Upload("POST", post["url"], post["fields"])

    # --- Files ---------------------------------------------------------------------------------------

    def put(self, path: str, file: IO[bytes], content_type: str) -> None:
        self._client.put_object(
            **self._object(path), Body=file, ContentType=content_type, CacheControl=cache_control_of(path)
        )

    @contextmanager
    def get(self, path: str) -> Iterator[IO[bytes]]:
        with tempfile.TemporaryFile() as file:
            with _translate_not_found(path):
                shutil.copyfileobj(self._client.get_object(**self._object(path))["Body"], file)
            file.seek(0)
            yield file

    def read_start(self, path: str, size: int) -> bytes:
        try:
            with _translate_not_found(path):
                body = self._client.get_object(**self._object(path), Range=f"bytes=0-{size - 1}")["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "InvalidRange":  # an empty file has no first byte
                return b""
            raise
        content: bytes = body.read(size)  # a storage that ignores the range sends everything
        body.close()
        return content

    def file_size(self, path: str) -> int | None:
        try:
            with _translate_not_found(path):
                size: int = self._client.head_object(**self._object(path))["ContentLength"]
        except FileMissing:
            return None
        return size

    def copy_file(self, source: str, target: str) -> None:
        with _translate_not_found(source):
            self._client.copy_object(
                **self._object(target),
                CopySource=self._object(source),
                # Otherwise a copy from public/ to private/ would keep the headers that allow caching for a year.
                MetadataDirective="REPLACE",
                ContentType=content_type_of(target),
                CacheControl=cache_control_of(target),
            )

    def remove(self, paths: Sequence[str]) -> None:
        for start in range(0, len(paths), DELETE_BATCH_SIZE):
            objects = [{"Key": path} for path in paths[start : start + DELETE_BATCH_SIZE]]
            response = self._client.delete_objects(Bucket=self.bucket_name, Delete={"Objects": objects, "Quiet": True})
            if errors := response.get("Errors"):
                raise StorageError(f"{len(errors)} not deleted, first {errors[0].get('Key')}: {errors[0].get('Code')}")

    def begin_parts(self, path: str) -> str:
        created = self._client.create_multipart_upload(
            **self._object(path), ContentType=content_type_of(path), CacheControl=cache_control_of(path)
        )
        return str(created["UploadId"])

    def put_part(self, path: str, upload_id: str, number: int, file: IO[bytes]) -> Part:
        with _translate_lost_upload(path):
            stored = self._client.upload_part(**self._object(path), UploadId=upload_id, PartNumber=number, Body=file)
        # With the checksum that boto3 sent, where the storage wants to see it again.
        checksums = {name: value for name, value in stored.items() if re.fullmatch("Checksum[A-Z0-9]+", name)}
        return {"PartNumber": number, "ETag": stored["ETag"], **checksums}

    def complete_parts(self, path: str, upload_id: str, parts: Sequence[Part]) -> None:
        with _translate_lost_upload(path):
            self._client.complete_multipart_upload(
                **self._object(path), UploadId=upload_id, MultipartUpload={"Parts": list(parts)}
            )

    def abort_parts(self, path: str, upload_id: str) -> None:
        with suppress(UploadLost), _translate_lost_upload(path):
            self._client.abort_multipart_upload(**self._object(path), UploadId=upload_id)

    def purge(self, keys: Sequence[str]) -> None:
        self.purge_files([f"public/{key}/*" for key in keys])

    def purge_files(self, paths: Sequence[str]) -> None:
        if self.distribution_id:
            invalidate(self._session, Config(**_NETWORK_CONFIG), self.distribution_id, [f"/{path}" for path in paths])

    def _object(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": path}


@contextmanager
def _translate_lost_upload(path: str) -> Iterator[None]:
    """Raise UploadLost if S3 answers that it does not have an upload, or other parts than those named."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _LOST_UPLOAD_CODES:
            raise UploadLost(path) from error
        raise


@contextmanager
def _translate_not_found(path: str) -> Iterator[None]:
    """Raise FileMissing if S3 answers that an object is missing. Without s3:ListBucket it would answer 403."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NOT_FOUND_CODES:
            raise FileMissing(path) from error
        raise
