"""Pictures lose their public URLs before a moderator's request returns, unless the storage is slow or unavailable.

A thread with a connection of its own unpublishes them, so it sees committed rows only.
"""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.test import Client

from accounts import services as accounts
from media import relocation, storage, tasks, unpublish
from media.models import FileDeletion, Media, Relocation
from posts import services
from tests.db.media.lifecycle import create_post, delete_due_files, reload, relocate, relocate_all, stored_paths
from tests.support.api_user import ApiUser
from tests.support.concurrency import run_concurrently
from tests.support.leased_jobs import lose_tasks
from tests.support.pictures import expected_paths, ready_media
from tests.support.staff import StaffMember

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]


TIMEOUT = 60  # seconds; protects against a test that hangs


@pytest.fixture(autouse=True)
def patient(served_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait long enough on a slow machine."""
    monkeypatch.setattr(unpublish, "JOIN_TIMEOUT", float(TIMEOUT))


def let_requests_return_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait only briefly. The thread's own time, which is as short, does not run out on a slow machine."""
    monkeypatch.setattr(unpublish, "JOIN_TIMEOUT", 0.1)
    monkeypatch.setattr(unpublish, "time", SimpleNamespace(monotonic=lambda: 0.0))


def running_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "unpublish"]


@pytest.fixture
def moderator() -> StaffMember:
    return StaffMember("Moderator")


def picture_urls(caller: ApiUser, post: str) -> list[str]:
    return [shown["url"] for shown in caller.get(f"/posts/{post}")["media"]]


def is_served(url: str) -> bool:
    answer = Client().get(url)
    answer.close()
    assert answer.status_code in (200, 403, 404)
    return answer.status_code == 200


@pytest.mark.parametrize("action", ["hide", "delete"])
def test_moderated_post_loses_its_public_urls_at_once(action: str, moderator: StaffMember, author: ApiUser) -> None:
    post, other = (
        create_post(author, ready_media(author.user), ready_media(author.user)),
        create_post(author, ready_media(author.user)),
    )
    urls, kept = picture_urls(author, post), picture_urls(author, other)
    assert all(is_served(url) for url in urls + kept)
    moderator.run_action("posts_post", action, post, reason="nudity")
    assert not any(is_served(url) for url in urls)
    assert all(is_served(url) for url in kept)
    assert picture_urls(author, other) == kept
    if action == "hide":
        moderator.run_action("posts_post", "restore", post)
        assert all(is_served(url) for url in picture_urls(author, post)), "by signed URLs until a worker has moved them"
        relocate_all(author.user)
        assert all(is_served(url) and "?" not in url for url in picture_urls(author, post))
        assert not any(is_served(url) for url in urls)


@pytest.mark.parametrize("model", ["accounts_user", "posts_post"])
def test_suspended_author_loses_public_urls_at_once(model: str, moderator: StaffMember, author: ApiUser) -> None:
    posts = [create_post(author, ready_media(author.user)) for _ in range(12)]
    urls = [url for post in posts for url in picture_urls(author, post)]
    about = author.id if model == "accounts_user" else posts[0]
    moderator.run_action(model, "suspend", about, reason="nudity", length="")
    assert not any(is_served(url) for url in urls)
    moderator.run_action(model, "lift", about)
    relocate_all(author.user)
    assert all(is_served(url) for post in posts for url in picture_urls(author, post))


@pytest.mark.parametrize(
    ("model", "action"), [("accounts_user", "suspend"), ("accounts_user", "remove_avatar"), ("posts_post", "hide")]
)
def test_avatar_loses_its_public_url_at_once(model: str, action: str, moderator: StaffMember, author: ApiUser) -> None:
    picture = ready_media(author.user)
    post = create_post(author, picture)
    author.call("patch", "/me", {"avatar": str(picture.pk)})
    url = author.get("/me")["avatar_url"]
    assert is_served(url)
    moderator.run_action(model, action, author.id if model == "accounts_user" else post, reason="nudity")
    assert not is_served(url)


def test_bulk_action_unpublishes_all_posts(moderator: StaffMember) -> None:
    authors = [ApiUser() for _ in range(3)]
    posts = [create_post(author, ready_media(author.user)) for author in authors]
    urls = [url for author, post in zip(authors, posts, strict=True) for url in picture_urls(author, post)]
    moderator.run_action("posts_post", "hide", *posts, reason="nudity")
    assert not any(is_served(url) for url in urls)


def test_concurrent_workers_do_no_harm(author: ApiUser) -> None:
    post = create_post(author, *(ready_media(author.user) for _ in range(4)))
    urls = picture_urls(author, post)
    services.hide_post(int(post))
    withdrawn = partial(unpublish.unpublish_files, [author.id])
    answers = run_concurrently([withdrawn, withdrawn, relocation.relocate_next, delete_due_files])
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert not any(is_served(url) for url in urls)
    relocate_all(author.user)
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {each for media in Media.objects.all() for each in expected_paths(media)}


def test_files_moved_by_a_worker_are_deleted_at_once(author: ApiUser) -> None:
    post = create_post(author, ready_media(author.user))
    urls = picture_urls(author, post)
    services.hide_post(int(post))
    relocate(author.id)
    assert all(is_served(url) for url in urls)
    unpublish.unpublish_files([author.id])
    assert not any(is_served(url) for url in urls)


# --- Slow and unavailable storage --------------------------------------------------------------------------


def test_unavailable_storage_leaves_the_work_to_the_workers(
    moderator: StaffMember, author: ApiUser, monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    def unavailable(*_: Any) -> None:
        raise storage.StorageError("unavailable")

    picture = ready_media(author.user)
    post = create_post(author, picture)
    urls = picture_urls(author, post)
    lose_tasks(redis_broker)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "copy", unavailable)
        assert moderator.run_action("posts_post", "hide", post, reason="nudity") == ["hidden."]
    assert is_served(urls[0])
    assert reload(picture).key == picture.key
    assert Relocation.objects.filter(pk=author.id).exists()
    assert "relocate_media" in str(redis_broker.lrange("bulk", 0, -1))
    tasks.relocate_media()
    delete_due_files()
    assert not is_served(urls[0])


def test_slow_storage_delays_the_request_only_briefly(
    moderator: StaffMember, author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, copy = threading.Event(), storage.copy

    def slow(source: str, target: str) -> None:
        assert go_on.wait(TIMEOUT)
        copy(source, target)

    post = create_post(author, ready_media(author.user))
    urls = picture_urls(author, post)
    let_requests_return_at_once(monkeypatch)
    monkeypatch.setattr(storage, "copy", slow)
    moderator.run_action("posts_post", "hide", post, reason="nudity")
    (thread,) = running_threads()  # the request has not waited for it
    assert author.call("get", f"/posts/{post}").status_code == 404, "the post is hidden"
    go_on.set()
    thread.join(TIMEOUT)
    assert not any(is_served(url) for url in urls), "the thread finishes its work"


def test_only_one_thread_unpublishes_and_it_releases_its_lock_and_connection(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    post = create_post(author, ready_media(author.user))
    urls = picture_urls(author, post)
    services.hide_post(int(post))

    def waits_and_fails(*_: Any) -> None:
        at_work.set()
        assert go_on.wait(TIMEOUT)
        raise RuntimeError("unexpected")

    close = unpublish.connections.close_all

    def close_all() -> None:
        close()
        closed.set()
        raise RuntimeError("unexpected")

    with monkeypatch.context() as patch:
        let_requests_return_at_once(patch)
        patch.setattr(relocation, "move_media", waits_and_fails)
        unpublish.unpublish_files([author.id])
        assert at_work.wait(TIMEOUT)
        unpublish.unpublish_files([author.id])
        (thread,) = running_threads()
        patch.setattr(unpublish.connections, "close_all", close_all)
        patch.setattr(threading, "excepthook", lambda _: None)
        go_on.set()
        thread.join(TIMEOUT)
        assert closed.is_set()
    assert is_served(urls[0])
    unpublish.unpublish_files([author.id])
    assert not is_served(urls[0])


def test_failing_thread_start_leaves_the_work_to_the_workers(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    post = create_post(author, ready_media(author.user))
    urls = picture_urls(author, post)
    services.hide_post(int(post))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        unpublish.unpublish_files([author.id])
    assert is_served(urls[0])
    unpublish.unpublish_files([author.id])
    assert not is_served(urls[0])


def test_failing_file_deletion_does_not_block_others(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = storage.delete

    def refuse(wanted: list[str]) -> None:
        if "public/stuck/1.webp" in wanted:
            raise storage.StorageError("refused")
        delete(wanted)

    post = create_post(author, ready_media(author.user))
    urls = picture_urls(author, post)
    FileDeletion.objects.create(paths=["public/stuck/1.webp"], public_key="stuck")
    services.hide_post(int(post))
    monkeypatch.setattr(storage, "delete", refuse)
    unpublish.unpublish_files([author.id])
    assert not any(is_served(url) for url in urls)


def test_moderated_pictures_are_moved_first(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matters when an author has more pictures than there is time for."""
    pictures = [ready_media(author.user) for _ in range(4)]
    accounts.suspend(author.id)
    moved: list[int] = []
    monkeypatch.setattr(relocation, "move_media", lambda media: moved.append(media.pk))
    unpublish.unpublish_files([author.id], first=[pictures[2].pk])
    assert moved == [pictures[place].pk for place in (2, 3, 1, 0)]
