"""A picture in the whole stack: upload, processing by a worker, posts and access."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg


def upload(actor: HttpUser, content: bytes) -> str:
    answer = actor.call("POST", "/media", files={"file": ("IMG_1.JPG", content, "image/jpeg")})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def upload_directly(actor: HttpUser, content: bytes) -> str:
    announced = {"filename": "a.jpg", "content_type": "image/jpeg", "size": len(content)}
    begun = actor.call("POST", "/media/uploads", json=announced).json()
    form = begun["upload"]
    sent = httpx.request(
        form["method"], form["url"], data=form["fields"], files={"file": content}, trust_env=False, timeout=30
    )
    assert sent.is_success, sent.text
    assert actor.call("POST", f"/media/{begun['id']}/complete").status_code == 202
    return str(begun["id"])


def status(actor: HttpUser, media_id: str) -> str:
    return str(actor.get(f"/media/{media_id}")["status"])


def picture_of(reader: HttpUser, post_id: str) -> dict[str, Any]:
    (picture,) = reader.get(f"/posts/{post_id}")["media"]
    return dict(picture)


def fetched(url: str) -> int:
    return httpx.get(url, trust_env=False, timeout=30).status_code


def test_post_reaches_the_feed_when_its_picture_is_ready(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    assert reader.feed() == []
    media_id = upload(author, jpeg(2_000, 1_500))
    post = author.call("POST", "/posts", json={"caption": "soon", "media": [media_id]}).json()
    eventually(lambda: reader.feed() == [post["id"]])
    picture = picture_of(reader, post["id"])
    assert (picture["width"], picture["height"]) == (2_000, 1_500)
    assert {size: variant["width"] for size, variant in picture["variants"].items()} == {
        "150": 150,
        "320": 320,
        "640": 640,
        "1080": 1_080,
    }
    assert {fetched(variant["url"]) for variant in picture["variants"].values()} == {200}


def test_failed_picture_notifies_only_the_author(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    with live_stack.paused("worker"):  # so that the picture cannot fail before the post exists
        media_id = upload(author, jpeg(400, 300)[:2_000])
        assert author.call("POST", "/posts", json={"media": [media_id]}).status_code == 201
    eventually(lambda: status(author, media_id) == "failed")
    eventually(lambda: [entry["kind"] for entry in author.get("/notifications")["results"]][:1] == ["media_failed"])
    assert reader.feed() == []


def test_turning_private_ends_the_old_urls(live_stack: LiveStack) -> None:
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    media_id = upload_directly(author, jpeg(300, 300))
    eventually(lambda: status(author, media_id) == "ready")
    post = author.call("POST", "/posts", json={"media": [media_id]}).json()
    before = picture_of(follower, post["id"])["url"]
    assert fetched(before) == 200
    assert author.call("PATCH", "/me", json={"is_private": True}).status_code == 200
    eventually(lambda: fetched(before) == 404)
    # The old file may be gone a moment before the post that Redis holds, with the old URL.
    eventually(lambda: fetched(picture_of(follower, post["id"])["url"]) == 200)
    after = picture_of(follower, post["id"])["url"]
    assert fetched(after.partition("?")[0]) == 403
    assert live_stack.get(f"/api/v1/posts/{post['id']}").status_code == 404
