"""Pending posts: visible only to their author until their last picture is ready, then published."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from feeds import celebrity_transitions
from feeds.models import FanOut
from media import processing_job
from media.models import Media, Status
from posts import counter_repair, explore, services
from posts.models import Post
from tests.db.feeds.feed_setup import deliver_all, read_feed
from tests.db.media.lifecycle import (
    claim_media,
    create_post,
    delete_due_files,
    list_ids,
    make_variants,
    post_notifications,
    process,
    purge_deleted_posts,
    relocate_all,
    stored_paths,
    upload,
    upload_and_process,
)
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.pictures import expected_paths, jpeg, ready_media
from tests.support.populated_account import assert_counts_are_exact

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


def found_hashtags(caller: ApiUser) -> list[str]:
    return [tag["name"] for tag in caller.get("/hashtags?search=har")["results"]]


def post_ids_by_list(author: ApiUser, caller: ApiUser) -> dict[str, list[str]]:
    """Return the ids in every list that could contain the author's post with the caption "#harbour"."""
    profile, tag = f"/users/{author.username}/posts", "/hashtags/harbour/posts"
    return {path: list_ids(caller, path) for path in ("/feed", profile, tag, "/explore", "/me/saved")}


def test_pending_post_is_invisible_to_others(author: ApiUser, reader: ApiUser) -> None:
    caption = f"#harbour with @{reader.username}"
    post = create_post(author, ready_media(author.user), upload(author.user), caption=caption)
    deliver_all()
    explore.compute_ranking()
    for _ in ("cold", "warm"):
        for who in (reader, ApiUser()):
            for method, path, body in (
                ("get", f"/posts/{post}", None),
                ("patch", f"/posts/{post}", {"caption": "mine"}),
                ("delete", f"/posts/{post}", None),
                ("post", f"/posts/{post}/like", None),
                ("delete", f"/posts/{post}/like", None),
                ("get", f"/posts/{post}/likes", None),
                ("get", f"/posts/{post}/comments", None),
                ("post", f"/posts/{post}/comments", {"text": "nice"}),
                ("post", f"/posts/{post}/save", None),
                ("post", "/reports", {"target_type": "post", "target_id": post, "reason": "spam"}),
            ):
                answer = who.call(method, path, body)
                assert answer.status_code == 404, (method, path, answer.content)
            assert not any(post_ids_by_list(author, who).values())
            assert found_hashtags(who) == []
            assert who.get("/feed/unread-count?since=0")["count"] == 0
        assert_error(Client().get(f"/api/v1/posts/{post}"), 404)
        assert Client().get(f"/api/v1/users/{author.username}/posts").json()["results"] == []
    assert post_notifications(reader) == []


def test_author_can_use_a_pending_post_everywhere(author: ApiUser, reader: ApiUser) -> None:
    waiting = upload(author.user)
    post = create_post(author, ready_media(author.user), waiting, caption="#harbour")
    deliver_all()
    for path in ("/feed", f"/users/{author.username}/posts", "/hashtags/harbour/posts"):
        (shown,) = author.get(path)["results"]
        first, second = shown["media"]
        assert first["url"], path
        assert (second["id"], second["url"], second["variants"]) == (str(waiting.pk), None, {}), path
        assert (second["width"], second["blurhash"]) == (None, None), path
    assert author.like(post).status_code == 200
    author.create_comment(post, "soon")
    assert author.call("patch", f"/posts/{post}", {"caption": "#harbour, soon"}).status_code == 200
    assert author.get(f"/posts/{post}")["comment_count"] == 1
    assert found_hashtags(author) == ["harbour"]
    assert reader.get("/feed")["results"] == []


@pytest.mark.parametrize("pulled", [False, True])
def test_last_ready_picture_publishes_the_post_once_at_its_place(
    author: ApiUser, reader: ApiUser, pulled: bool
) -> None:
    if pulled:
        User.objects.filter(pk=author.id).update(celebrity_pin=True)
        celebrity_transitions.promote([author.id])
    stranger = ApiUser()
    older = author.create_post("#harbour")
    pictures = [upload(author.user) for _ in range(2)]
    post = create_post(author, *pictures, caption="#harbour")
    newer = author.create_post("#harbour")
    deliver_all()
    explore.compute_ranking()
    public = ["/feed", f"/users/{author.username}/posts", "/hashtags/harbour/posts"]
    for picture in reversed(pictures):
        for path in public:
            assert list_ids(reader, path) == [newer, older], path
        assert list_ids(stranger, public[1]) == list_ids(stranger, public[2]) == [newer, older]
        assert read_feed(reader.user) == [int(newer), int(older)]
        process(picture.pk)
    for path in public:
        assert list_ids(reader, path) == [newer, post, older], path
    assert read_feed(reader.user) == [int(newer), int(post), int(older)]
    assert set(list_ids(stranger, "/explore")) == {newer, post, older}
    shown = stranger.get(f"/posts/{post}")["media"]
    assert [media["id"] for media in shown] == [str(picture.pk) for picture in pictures]
    assert all(media["url"] and media["blurhash"] for media in shown)
    assert stranger.like(post).status_code == 200
    assert not Post.objects.filter(media_pending=True).exists()


def test_later_followers_and_rebuilt_timelines_contain_the_post(author: ApiUser, reader: ApiUser) -> None:
    picture = upload(author.user)
    post = create_post(author, picture)
    assert list_ids(reader, "/feed") == [], "built from the database while the post is pending"
    late = ApiUser()
    late.follow(author)
    assert list_ids(late, "/feed") == []
    process(picture.pk)
    deliver_all()
    assert list_ids(reader, "/feed") == list_ids(late, "/feed") == [post]


def test_mentions_are_notified_once_at_publication(author: ApiUser, reader: ApiUser) -> None:
    pictures = [upload(author.user) for _ in range(2)]
    other = ApiUser()
    post = create_post(author, *pictures, caption=f"with @{reader.username}")
    assert author.call("patch", f"/posts/{post}", {"caption": f"with @{other.username}"}).status_code == 200
    process(pictures[0].pk)
    assert post_notifications(other) == post_notifications(reader) == []
    process(pictures[1].pk)
    assert post_notifications(other) == [("mention", post)]
    assert post_notifications(reader) == [], "the mention was edited out"
    assert (
        author.call("patch", f"/posts/{post}", {"caption": f"@{other.username} @{reader.username}"}).status_code == 200
    )
    assert (post_notifications(other), post_notifications(reader)) == ([("mention", post)], [("mention", post)])


def test_failure_notifies_the_author_once_and_keeps_the_post_private(author: ApiUser, reader: ApiUser) -> None:
    good, bad, worse = (upload(author.user, content) for content in (None, jpeg()[:300], jpeg()[:250]))
    post = create_post(author, good, bad, worse, caption=f"with @{reader.username}")
    deliver_all()
    for picture in (bad, good, worse):
        process(picture.pk)
        assert post_notifications(author) == [("media_failed", post)]
    assert post_notifications(reader) == []
    assert list_ids(author, "/feed") == list_ids(author, f"/users/{author.username}/posts") == [post]
    assert list_ids(reader, "/feed") == list_ids(reader, f"/users/{author.username}/posts") == []
    assert [bool(media["url"]) for media in author.get(f"/posts/{post}")["media"]] == [True, False, False]
    assert author.call("delete", f"/posts/{post}").status_code == 204
    assert post_notifications(author) == []
    purge_deleted_posts()
    delete_due_files()
    assert stored_paths() == set()


def test_post_is_counted_once_it_is_published(author: ApiUser) -> None:
    def count() -> int:
        assert_counts_are_exact()
        return int(author.get("/me")["post_count"])

    pictures = [upload(author.user) for _ in range(2)]
    published, deleted = (create_post(author, picture) for picture in pictures)
    assert count() == 0
    process(pictures[0].pk)
    assert count() == 1
    assert author.call("delete", f"/posts/{deleted}").status_code == 204
    assert count() == 1
    assert author.call("delete", f"/posts/{published}").status_code == 204
    assert count() == 0


def test_post_with_failed_pictures_is_not_counted(author: ApiUser) -> None:
    bad = upload(author.user, jpeg()[:300])
    post = create_post(author, bad, caption="with a broken picture")
    process(bad.pk)
    assert_counts_are_exact()
    assert author.get("/me")["post_count"] == 0
    User.objects.filter(pk=author.id).update(post_count=1)
    (repair,) = (repair for repair in counter_repair.COUNTER_REPAIRS if repair.name == "post counts")
    repair.correct(repair.find_wrong([author.id]))
    assert author.get("/me")["post_count"] == 0
    assert author.call("delete", f"/posts/{post}").status_code == 204
    assert author.get("/me")["post_count"] == 0


def test_post_with_unusable_pictures_is_refused(author: ApiUser) -> None:
    failed = upload(author.user, jpeg()[:300])
    process(failed.pk)
    uploading = Media.objects.create(owner=author.user, original_path="", status=Status.UPLOADING)
    used = ready_media(author.user)
    create_post(author, used)
    foreign, free = ready_media(ApiUser().user), ready_media(author.user)
    for media, status, code in (
        (failed, 409, "media_used"),
        (uploading, 409, "media_used"),
        (used, 409, "media_used"),
        (foreign, 404, "not_found"),
        (Media(pk=12345), 404, "not_found"),
    ):
        answer = author.call("post", "/posts", {"caption": "x", "media": [str(free.pk), str(media.pk)]})
        assert_error(answer, status)
        assert answer.json()["errors"][0]["code"] == code
    assert Post.objects.count() == FanOut.objects.count() == 1
    assert author.get(f"/users/{author.username}")["post_count"] == 1
    create_post(author, free)


def test_deleting_a_pending_post_deletes_its_pictures(author: ApiUser, reader: ApiUser) -> None:
    claim, waiting = claim_media(upload(author.user)), upload(author.user)
    picture = make_variants(claim)
    post = create_post(author, claim.media, waiting)
    assert author.call("delete", f"/posts/{post}").status_code == 204
    processing_job.mark_ready(claim, picture)
    process(waiting.pk)
    assert_error(author.call("get", f"/posts/{post}"), 404)
    deliver_all()
    assert list_ids(reader, "/feed") == []
    purge_deleted_posts()
    delete_due_files()
    assert (Media.objects.count(), stored_paths()) == (0, set())


def test_edits_while_pending_are_published(author: ApiUser, reader: ApiUser) -> None:
    picture = upload(author.user)
    post = create_post(author, picture, caption="#first")
    assert author.call("patch", f"/posts/{post}", {"caption": ""}).json()["media"][0]["url"] is None
    assert author.call("patch", f"/posts/{post}", {"caption": "#second"}).status_code == 200
    process(picture.pk)
    assert reader.get(f"/posts/{post}")["caption"] == "#second"
    assert (list_ids(reader, "/hashtags/first/posts"), list_ids(reader, "/hashtags/second/posts")) == ([], [post])


def test_idempotent_replay_returns_the_pending_answer(author: ApiUser) -> None:
    picture = upload(author.user)
    body: dict[str, Any] = {"caption": "x", "media": [str(picture.pk)]}
    first = author.call("post", "/posts", body, **{"Idempotency-Key": "k"})
    process(picture.pk)
    again = author.call("post", "/posts", body, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code, again["Idempotency-Replayed"]) == (201, 201, "true")
    assert first.content == again.content
    assert first.json()["media"][0]["url"] is None
    assert Post.objects.count() == 1


def test_hidden_pending_post_appears_after_restore(author: ApiUser, reader: ApiUser) -> None:
    picture = upload(author.user)
    post = create_post(author, picture)
    deliver_all()
    services.hide_post(int(post))
    assert_error(author.call("get", f"/posts/{post}"), 404)
    process(picture.pk)
    assert list_ids(reader, "/feed") == []
    services.restore_post(int(post))
    assert list_ids(reader, "/feed") == [post]
    relocate_all(author.user)
    assert stored_paths() == set(expected_paths(Media.objects.get()))


def test_posts_with_ready_pictures_are_published_at_once(author: ApiUser, reader: ApiUser) -> None:
    post = create_post(
        author, upload_and_process(author.user), ready_media(author.user), caption=f"with @{reader.username}"
    )
    deliver_all()
    assert list_ids(reader, "/feed") == [post]
    assert post_notifications(reader) == [("mention", post)]
