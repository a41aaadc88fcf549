"""Relocation of files between public, with permanent URLs, and private, with signed URLs."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from instafeed.backoffice import sweeps
from instafeed.core.cache.client import get_client as cache
from instafeed.core.jobs.leased import Outcome
from media import avatars, relocation, storage, tasks
from media import services as media_services
from media.models import FileDeletion, Media, Relocation
from posts import services
from tests.db.feeds.feed_setup import deliver_all
from tests.db.media.lifecycle import (
    assert_files_in_place,
    create_post,
    delete_due_files,
    reload,
    relocate,
    relocate_all,
    set_private,
    stored_paths,
    upload_and_process,
)
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.leased_jobs import lose_tasks, make_due
from tests.support.pictures import expected_paths, ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


def picture_urls(caller: ApiUser, post: str) -> list[str]:
    """Return all URLs of a post's pictures."""
    media = caller.get(f"/posts/{post}")["media"]
    return [url for shown in media for url in (shown["url"], *(each["url"] for each in shown["variants"].values()))]


def fetch(url: str) -> bytes | None:
    """Return the content, or None if access is refused."""
    answer = Client().get(url)
    assert answer.status_code in (200, 403, 404), answer
    return b"".join(answer) if answer.status_code == 200 else None


# --- Both directions ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("served_files")
def test_turning_private_kills_old_urls_and_turning_public_gives_new_ones(author: ApiUser, reader: ApiUser) -> None:
    post = create_post(author, ready_media(author.user), ready_media(author.user))
    old_urls, keys = picture_urls(reader, post), set(Media.objects.values_list("key", flat=True))
    assert [fetch(url) for url in old_urls[:2]] == [b"1080.webp", b"150.webp"]
    assert not any("?" in url for url in old_urls)

    set_private(author, private=True)
    relocate_all(author.user)
    assert_files_in_place(author, public=False)
    assert keys.isdisjoint(Media.objects.values_list("key", flat=True))
    assert {fetch(url) for url in old_urls} == {None}
    for who in (author, reader):
        signed = picture_urls(who, post)
        assert [fetch(url) for url in signed[:2]] == [b"1080.webp", b"150.webp"]
        assert {fetch(url.partition("?")[0]) for url in signed} == {None}, "the signature is required"
        assert {fetch(url.replace("/private/", "/public/")) for url in signed} == {None}
    assert_error(ApiUser().call("get", f"/posts/{post}"), 404)

    set_private(author, private=False)
    relocate_all(author.user)
    assert_files_in_place(author, public=True)
    new_urls = picture_urls(ApiUser(), post)
    assert fetch(new_urls[0]) == b"1080.webp"
    assert set(new_urls).isdisjoint(old_urls), "old URLs are never valid again"
    assert {fetch(url) for url in signed} == {None}


def test_pictures_of_a_private_account_get_signed_urls(author: ApiUser, reader: ApiUser) -> None:
    set_private(author, private=True)
    post = create_post(author, upload_and_process(author.user))
    delete_due_files()
    assert_files_in_place(author, public=False)
    assert all("signature=" in url for url in picture_urls(reader, post))


def test_suspension_moves_files_to_private_and_back(author: ApiUser, reader: ApiUser) -> None:
    post = create_post(author, ready_media(author.user))
    old = picture_urls(reader, post)
    accounts.suspend(author.id)
    relocate_all(author.user)
    assert_files_in_place(author, public=False)
    accounts.reinstate(author.id)
    relocate_all(author.user)
    assert_files_in_place(author, public=True)
    assert set(picture_urls(reader, post)).isdisjoint(old)


def test_hiding_a_post_moves_only_its_own_pictures(author: ApiUser, reader: ApiUser) -> None:
    hidden, shown = ready_media(author.user), ready_media(author.user)
    post, other = create_post(author, hidden), create_post(author, shown)
    services.hide_post(int(post))
    relocate_all(author.user)
    assert [reload(media).is_public for media in (hidden, shown)] == [False, True]
    assert reload(shown).key == shown.key
    assert stored_paths() == {path for media in Media.objects.all() for path in expected_paths(media)}

    set_private(author, private=True)
    relocate_all(author.user)
    set_private(author, private=False)
    relocate_all(author.user)
    assert [reload(media).is_public for media in (hidden, shown)] == [False, True], "its post is still hidden"
    services.restore_post(int(post))
    relocate_all(author.user)
    assert_files_in_place(author, public=True)
    assert picture_urls(reader, post) != picture_urls(reader, other)


def test_relocation_works_in_batches(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    monkeypatch.setattr(relocation, "RELOCATION_BATCH_SIZE", 2)
    for _ in range(5):
        ready_media(author.user)
    lose_tasks(redis_broker)
    set_private(author, private=True)
    assert redis_broker.llen("bulk") == 1
    for left in (3, 1, 0):
        tasks.relocate_media()
        assert Media.objects.filter(is_public=True).count() == left
    assert Relocation.objects.exists(), "deleted by the next batch, which finds nothing to move"
    relocate_all(author.user)
    assert_files_in_place(author, public=False)


# --- Failures ----------------------------------------------------------------------------------------


def test_sweep_sends_a_lost_task_again(author: ApiUser, redis_broker: redis.Redis) -> None:
    ready_media(author.user)
    set_private(author, private=True)
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert "relocate_media" in str(redis_broker.lrange("bulk", 0, -1))


def test_unavailable_storage_delays_the_relocation(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> None:
        raise storage.StorageError("unavailable")

    pictures = [ready_media(author.user) for _ in range(3)]
    set_private(author, private=True)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "copy", unavailable)
        assert relocate(author.id) is Outcome.POSTPONED
    assert Relocation.objects.get().due_at > timezone.now()
    assert not relocation.queue.has_due()
    assert all(reload(media).key == media.key for media in pictures)
    make_due(Relocation, author.id)
    relocate_all(author.user)
    delete_due_files(ahead_of_time=True)
    assert_files_in_place(author, public=False)


def test_picture_that_cannot_be_moved_does_not_keep_the_others_public(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, *others = [ready_media(author.user) for _ in range(3)]
    set_private(author, private=True)
    copy = storage.copy

    def fail_for_one(source: str, target: str) -> None:
        if broken.key in source:
            raise storage.StorageError("refused")
        copy(source, target)

    monkeypatch.setattr(storage, "copy", fail_for_one)
    monkeypatch.setattr(relocation, "RELOCATION_BATCH_SIZE", 1)
    monkeypatch.setattr(relocation, "MAX_FAILURES", 1)
    assert relocate(author.id) is Outcome.POSTPONED
    make_due(Relocation, author.id)
    assert [relocate(author.id) for _ in others] == [Outcome.CONTINUED] * 2
    assert relocate(author.id) is Outcome.POSTPONED, "the broken one, again"
    assert reload(broken).is_public
    assert not any(reload(media).is_public for media in others)
    assert Relocation.objects.filter(pk=author.id).exists(), "and it is retried"


def test_avatar_that_cannot_be_moved_does_not_delay_the_pictures(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(owner: User) -> None:
        raise storage.StorageError("refused")

    for _ in range(2):
        ready_media(author.user)
    set_private(author, private=True)
    monkeypatch.setattr(avatars, "move_avatar", fail)
    monkeypatch.setattr(relocation, "RELOCATION_BATCH_SIZE", 1)
    assert [relocate(author.id) for _ in range(3)] == [Outcome.CONTINUED, Outcome.CONTINUED, Outcome.POSTPONED]
    delete_due_files()
    assert_files_in_place(author, public=False)


def test_cause_during_a_batch_is_not_lost(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = relocation.queue.delete

    def meanwhile(jobs: list[Relocation]) -> int:
        ready_media(author.user)  # in public, although the account is private
        relocation.schedule_relocation(author.id)
        return delete(jobs)

    set_private(author, private=True)
    with monkeypatch.context() as patch:
        patch.setattr(relocation.queue, "delete", meanwhile)
        assert relocate(author.id) is Outcome.OVERTAKEN
    relocate_all(author.user)
    assert_files_in_place(author, public=False)


def test_missing_file_does_not_block_the_others(author: ApiUser) -> None:
    pictures = [ready_media(author.user) for _ in range(3)]
    storage.delete(expected_paths(pictures[0])[1:])
    set_private(author, private=True)
    relocate_all(author.user)
    assert not Media.objects.filter(is_public=True).exists()
    assert len(stored_paths()) == 9
    assert all(path.startswith("private/") for path in stored_paths())


def test_copies_of_a_dead_worker_are_deleted(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    media = ready_media(author.user)
    set_private(author, private=True)
    with monkeypatch.context() as patch:
        patch.setattr(User.objects, "select_for_update", die)
        with pytest.raises(Killed):
            relocate(author.id)
    assert reload(media).key == media.key
    assert len(stored_paths()) == 8
    make_due(Relocation, author.id)  # the lease expires
    relocate_all(author.user)
    assert len(stored_paths()) == 8, "they could belong to a worker that still runs"
    delete_due_files(ahead_of_time=True)
    assert_files_in_place(author, public=False)


def test_expired_copies_are_not_used(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = storage.copy

    def slow(source: str, target: str) -> None:
        copy(source, target)
        if target.endswith("320.webp"):
            delete_due_files(ahead_of_time=True)

    media = ready_media(author.user)
    set_private(author, private=True)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "copy", slow)
        relocate(author.id)
    assert reload(media).key == media.key
    delete_due_files()
    assert stored_paths() == set(expected_paths(media))
    relocate_all(author.user)
    assert_files_in_place(author, public=False)


@pytest.mark.parametrize("ends_private", [True, False])
def test_late_worker_does_not_undo_a_newer_state(
    author: ApiUser, ends_private: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner switches back while a picture is copied, and another worker finds it in the right place."""
    copy, turned = storage.copy, list[bool]()

    def meanwhile(source: str, target: str) -> None:
        if not turned:
            turned.append(True)
            set_private(author, private=ends_private)
            assert relocate(author.id) is Outcome.FINISHED, "nothing to move"
        copy(source, target)

    set_private(author, private=ends_private)
    relocate_all(author.user)
    media = ready_media(author.user, is_public=not ends_private)
    set_private(author, private=not ends_private)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "copy", meanwhile)
        assert relocate(author.id) is Outcome.OVERTAKEN
    assert not Relocation.objects.exists(), "no further batch will run"
    delete_due_files()
    assert_files_in_place(author, public=not ends_private)
    assert reload(media).key == media.key


@pytest.mark.parametrize("gone", ["deleted", "erased"])
def test_picture_deleted_while_it_moves_leaves_nothing(
    author: ApiUser, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, media = storage.copy, ready_media(author.user)

    def meanwhile(source: str, target: str) -> None:
        copy(source, target)
        if target.endswith("1080.webp"):
            if gone == "deleted":
                media_services.delete(author.id, media.pk)
            else:
                Media.objects.all().delete()
                User.objects.filter(pk=author.id).delete()
                storage.delete(expected_paths(media))

    set_private(author, private=True)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "copy", meanwhile)
        relocate(author.id)
    relocate_all(author.user)
    assert stored_paths() == set()
    assert not FileDeletion.objects.exists()


# --- Cached posts -------------------------------------------------------------------------------------------


def test_redis_never_holds_a_signature(author: ApiUser, reader: ApiUser) -> None:
    set_private(author, private=True)
    relocate_all(author.user)
    post = create_post(author, upload_and_process(author.user))
    deliver_all()
    for _ in range(2):
        assert "signature=" in reader.get(f"/posts/{post}")["media"][0]["url"]
        assert "signature=" in reader.get("/feed")["results"][0]["media"][0]["url"]
        assert "signature=" in reader.get(f"/users/{author.username}/posts")["results"][0]["media"][0]["url"]
    client = cache()
    kinds = {key: client.type(key) for key in client.scan_iter()}
    values = [client.dump(key) or b"" for key in kinds]
    texts = [client.get(key) or b"" for key, kind in kinds.items() if kind == b"string"]
    assert any(b"private/" in text for text in texts), "the post is cached"
    assert not any(b"signature" in value for value in [*values, *texts])


@pytest.mark.parametrize("private", [False, True])
def test_query_counts_do_not_grow_with_the_number_of_pictures(author: ApiUser, reader: ApiUser, private: bool) -> None:
    set_private(author, private=private)
    relocate_all(author.user)

    def costs() -> list[int]:
        found = []
        for url in ("/feed", f"/users/{author.username}/posts", f"/posts/{post}"):
            reader.get("/me")
            for state in ("cold", "warm"):
                if state == "cold":
                    cache().delete(*cache().keys("if1:card:*"))
                with CaptureQueriesContext(connection) as queries:
                    reader.get(url)
                found.append(len(queries))
        return found

    post = create_post(author, ready_media(author.user, is_public=not private))
    deliver_all()
    reader.get("/feed")
    one = costs()
    post = create_post(author, *(ready_media(author.user, is_public=not private) for _ in range(10)))
    deliver_all()
    reader.get("/feed")
    assert costs() == one
