"""The life of a picture on S3 over HTTP through the API: upload, processing, URLs, relocation, deletion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from instafeed.core.jobs.leased import Outcome
from instafeed.devstack.state import PROJECT_ROOT
from media import file_deletion
from media.models import Media
from posts import purge
from tests.db.media.lifecycle import process, relocate
from tests.support.api_user import ApiUser
from tests.support.pictures import jpeg

DOCS = PROJECT_ROOT / "docs" / "media.md"
pytestmark = [pytest.mark.django_db, pytest.mark.urls("instafeed.urls")]


@pytest.fixture(autouse=True)
def documented_bucket(s3: Any, bucket: str) -> Iterator[None]:
    """An empty bucket with the policy of docs/media.md for a set-up without CloudFront."""
    for path in stored_paths(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=path)
    (policy,) = re.findall(r"```json\n([^`]*PublicPicturesOnly[^`]*)```", DOCS.read_text())
    s3.put_bucket_policy(Bucket=bucket, Policy=policy.replace("BUCKET", bucket))
    yield
    s3.delete_bucket_policy(Bucket=bucket)


def stored_paths(s3: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def run_workers(owner: ApiUser) -> None:
    """Do all due work of the workers."""
    for media in Media.objects.all():
        process(media.pk)
    while relocate(owner.id) is Outcome.CONTINUED:
        pass
    while file_deletion.delete_due_files():
        pass


def test_direct_upload_to_deletion(s3: Any, bucket: str) -> None:
    owner, content = ApiUser(), jpeg(700, 500)
    announced = {"filename": "a.jpg", "content_type": "image/jpeg", "size": len(content)}
    begun = owner.call("post", "/media/uploads", announced).json()
    form = begun["upload"]
    assert owner.call("post", f"/media/{begun['id']}/complete").status_code == 409
    sent = httpx.post(form["url"], data=form["fields"], files={"file": content}, trust_env=False, timeout=60)
    assert sent.status_code == 204, sent.text
    assert owner.call("post", f"/media/{begun['id']}/complete").status_code == 202
    run_workers(owner)
    post_id = owner.call("post", "/posts", {"media": [begun["id"]]}).json()["id"]
    (picture,) = owner.get(f"/posts/{post_id}")["media"]
    files = stored_paths(s3, bucket)
    # The picture is smaller than 1080, so its largest variant is the smallest size that holds all of it.
    assert sorted(re.sub(r"/.*/", "/*/", path) for path in files) == sorted(
        f"public/*/{size}.webp" for size in (150, 320, 640, 1080)
    )
    assert httpx.get(picture["variants"]["320"]["url"], trust_env=False, timeout=60).content[8:12] == b"WEBP"
    head = s3.head_object(Bucket=bucket, Key=files[0])
    assert (head["ContentType"], head["CacheControl"]) == ("image/webp", "public, max-age=31536000, immutable")

    assert owner.call("patch", "/me", {"is_private": True}).status_code == 200
    run_workers(owner)
    (picture,) = owner.get(f"/posts/{post_id}")["media"]
    moved = stored_paths(s3, bucket)
    assert {path.partition("/")[0] for path in moved} == {"private"}
    assert len(moved) == 4
    assert "X-Amz-Signature=" in picture["url"]
    assert httpx.get(picture["url"], trust_env=False, timeout=60).status_code == 200
    assert httpx.get(picture["url"].partition("?")[0], trust_env=False, timeout=60).status_code == 403

    assert owner.call("delete", f"/posts/{post_id}").status_code == 204
    while purge.purge_batch():
        pass
    run_workers(owner)
    assert stored_paths(s3, bucket) == []


def test_upload_through_the_app_to_deletion(s3: Any, bucket: str) -> None:
    owner = ApiUser()
    form = {"file": SimpleUploadedFile("a.jpg", jpeg(200, 100), "image/jpeg")}
    taken = owner.client.post("/api/v1/media", form, headers=owner.headers).json()
    (original,) = stored_paths(s3, bucket)
    assert original.startswith("incoming/")
    run_workers(owner)
    assert owner.get(f"/media/{taken['id']}")["status"] == "ready"
    avatar = owner.call("patch", "/me", {"avatar": taken["id"]}).json()["avatar_url"]
    assert httpx.get(avatar, trust_env=False, timeout=60).status_code == 200
    assert owner.call("delete", f"/media/{taken['id']}").status_code == 204
    run_workers(owner)
    assert [path.partition("/")[0] for path in stored_paths(s3, bucket)] == ["avatars"]
