"""Races of workers, requests and clean-up for the same pictures, on real connections: no deadlocks, no leftovers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest

from instafeed.core.jobs.leased import Outcome
from media import file_deletion, processing_job, relocation, storage, tasks
from media import services as media_services
from media.models import FileDeletion, Media, ProcessingJob, Status
from media.processing import Picture
from media.services import MediaInUse, UnknownMedia
from posts import purge, services
from posts.models import Post, PostMedia
from tests.db.feeds.feed_setup import deliver_all
from tests.db.media.lifecycle import (
    assert_consistent,
    assert_files_in_place,
    claim_media,
    create_post,
    delete_due_files,
    list_ids,
    make_old,
    make_variants,
    post_notifications,
    purge_deleted_posts,
    reload,
    relocate,
    relocate_all,
    set_private,
    stored_paths,
    upload,
)
from tests.support.api_user import ApiUser
from tests.support.concurrency import run_concurrently
from tests.support.pictures import expected_paths, ready_media

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_storage")]

DAY, MINUTE = timedelta(hours=24), timedelta(minutes=1)


def unexpected_errors(answers: list[Any], *expected: type[Exception]) -> list[Exception]:
    return [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, expected)]


# --- Processing --------------------------------------------------------------------------------------


def test_only_one_of_concurrent_workers_processes_a_picture(author: ApiUser) -> None:
    media = upload(author.user)
    outcomes = run_concurrently([processing_job.process_next] * 3)
    assert sorted(outcomes) == [Outcome.FINISHED, Outcome.UNCLAIMED, Outcome.UNCLAIMED]
    assert reload(media).status == Status.READY
    delete_due_files()
    assert stored_paths() == set(expected_paths(reload(media)))


def test_two_pictures_ready_at_once_publish_exactly_once(author: ApiUser, reader: ApiUser) -> None:
    for _ in range(3):
        claims = [claim_media(upload(author.user)) for _ in range(3)]
        post = create_post(author, *(claim.media for claim in claims), caption=f"with @{reader.username}")
        made = [make_variants(claim) for claim in claims]
        ends = [partial(processing_job.mark_ready, claim, picture) for claim, picture in zip(claims, made, strict=True)]
        assert run_concurrently(ends) == [Outcome.FINISHED] * 3
        assert not Post.objects.get(pk=post).media_pending
        assert post_notifications(reader)[0] == ("mention", post)
    assert len(post_notifications(reader)) == 3
    deliver_all()
    assert len(set(list_ids(reader, "/feed"))) == 3


def test_post_created_while_its_last_picture_becomes_ready_is_published(author: ApiUser, reader: ApiUser) -> None:
    for _ in range(5):
        claim = claim_media(upload(author.user))
        picture = make_variants(claim)
        share = partial(create_post, author, claim.media)
        assert not unexpected_errors(run_concurrently([share, partial(processing_job.mark_ready, claim, picture)]))
        assert not Post.objects.filter(media_pending=True).exists()
    deliver_all()
    assert len(list_ids(reader, "/feed")) == 5


# --- Relocation --------------------------------------------------------------------------------------


def test_concurrent_workers_move_each_picture_once(author: ApiUser) -> None:
    pictures = [ready_media(author.user) for _ in range(4)]
    set_private(author, private=True)
    movers: list[Callable[[], object]] = [relocation.relocate_next] * 3
    assert not unexpected_errors(run_concurrently([*movers, delete_due_files, delete_due_files]))
    relocate_all(author.user)
    delete_due_files(ahead_of_time=True)
    assert_files_in_place(author, public=False)
    assert all(reload(media).key != media.key for media in pictures)


def test_rapid_privacy_changes_end_in_the_right_place(author: ApiUser) -> None:
    for _ in range(3):
        ready_media(author.user)

    def flip() -> None:
        for private in (True, False) * 4:
            set_private(author, private=private)
        set_private(author, private=True)

    def move() -> None:
        for _ in range(12):
            relocate(author.id)
            delete_due_files()

    assert not unexpected_errors(run_concurrently([flip, move, move]))
    relocate_all(author.user)
    delete_due_files(ahead_of_time=True)
    assert_files_in_place(author, public=False)


def test_processing_and_relocation_at_the_same_time(author: ApiUser) -> None:
    for private in (True, False):
        claims = [claim_media(upload(author.user)) for _ in range(2)]
        made = [make_variants(claim) for claim in claims]
        ends = [partial(processing_job.mark_ready, claim, picture) for claim, picture in zip(claims, made, strict=True)]
        mover = relocation.relocate_next
        answers = run_concurrently([*ends, partial(set_private, author, private=private), mover, mover])
        assert not unexpected_errors(answers)
        relocate_all(author.user)
        delete_due_files(ahead_of_time=True)
        assert_files_in_place(author, public=not private)


# --- Deletion ----------------------------------------------------------------------------------------


def test_concurrent_workers_delete_everything_once(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_deletion, "DELETION_BATCH_SIZE", 2)
    for _ in range(12):
        media_services.delete(author.id, ready_media(author.user).pk)
    assert not unexpected_errors(run_concurrently([tasks.remove_files] * 3))
    tasks.remove_files()
    assert (stored_paths(), FileDeletion.objects.count()) == (set(), 0)


@pytest.mark.parametrize("deletes", ["orphans", "by hand"])
def test_delete_and_post_at_the_same_time(author: ApiUser, deletes: str) -> None:
    for number in range(6):
        media = make_old(ready_media(author.user), DAY + MINUTE)
        delete: Callable[[], object] = partial(media_services.delete, author.id, media.pk)
        if deletes == "orphans":
            delete = file_deletion.delete_orphans
        share = partial(services.create_post, author.id, "", [media.pk])
        answers = run_concurrently([share, delete] if number % 2 else [delete, share])
        assert not unexpected_errors(answers, UnknownMedia, MediaInUse)
        posted = any(isinstance(answer, Post) for answer in answers)
        assert posted == Media.objects.filter(pk=media.pk).exists()
    assert_consistent()
    assert Post.objects.count() == PostMedia.objects.count()


def test_two_posts_with_the_same_picture_at_the_same_time(author: ApiUser) -> None:
    for _ in range(5):
        media = [ready_media(author.user) for _ in range(3)]
        ids = [picture.pk for picture in media]
        answers = run_concurrently([partial(services.create_post, author.id, "", order) for order in (ids, ids[::-1])])
        assert len([answer for answer in answers if isinstance(answer, Post)]) == 1
        assert not unexpected_errors(answers, media_services.UnusableMedia)
    assert_consistent()


def test_concurrent_changes_of_one_account_neither_deadlock_nor_leak_files(author: ApiUser) -> None:
    """Locks must be taken in the order owner, media, posts. Any other order deadlocks here."""
    random = Random(4)
    pool = [services.create_post(author.id, "", [ready_media(author.user).pk]).pk for _ in range(6)]
    claims = [claim_media(upload(author.user)) for _ in range(6)]
    made = make_variants(claims[0])
    for claim in claims[1:]:
        for name in {variant.filename for variant in made.variants}:
            storage.copy(f"public/{claims[0].media.key}/{name}", f"public/{claim.media.key}/{name}")
    pool += [services.create_post(author.id, "", [claim.pk]).pk for claim in claims]

    def rounds(*steps: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for step in steps:
                step()

        return run

    posts = random.sample(pool, len(pool))
    steps_of_threads = [
        rounds(*(partial(processing_job.mark_ready, claim, made) for claim in claims[:4])),
        rounds(*(partial(processing_job.mark_failed, claim, "no") for claim in claims[4:])),
        rounds(*(partial(services.delete_post, post, author.id) for post in posts[:8])),
        rounds(
            *(partial(services.hide_post, post) for post in pool),
            *(partial(services.restore_post, post) for post in posts),
        ),
        rounds(*(partial(services.edit_post, post, f"#tag{post % 3}") for post in posts)),
        rounds(*[relocation.relocate_next] * 8),
        rounds(*[purge.purge_batch, file_deletion.delete_orphans, file_deletion.delete_due_files] * 6),
        rounds(*(partial(set_private, author, private=private) for private in [True, False] * 4)),
        rounds(*(lambda: services.create_post(author.id, "", [ready_media(author.user).pk]) for _ in range(4))),
    ]
    assert not unexpected_errors(run_concurrently(steps_of_threads))
    purge_deleted_posts()
    relocate_all(author.user)
    assert_consistent()
    assert all(media.is_public != media.is_withheld for media in Media.objects.filter(status=Status.READY))
    assert not Post.objects.filter(media_pending=True).exclude(media__status=Status.FAILED).exists()


def test_processing_that_ends_during_a_purge_does_not_deadlock(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The purge locks the post, then the picture. Processing locks the picture and must not lock the post."""
    release = media_services.delete_for_posts

    for _ in range(3):
        claim = claim_media(upload(author.user))
        picture = make_variants(claim)
        post = services.create_post(author.id, "", [claim.pk])
        services.delete_post(post.pk, author.id)

        def meanwhile(media_ids: list[int], claim: ProcessingJob = claim, picture: Picture = picture) -> None:
            assert not unexpected_errors(run_concurrently([partial(processing_job.mark_ready, claim, picture)]))
            release(media_ids)

        with monkeypatch.context() as patch:
            patch.setattr(media_services, "delete_for_posts", meanwhile)
            purge_deleted_posts()
    assert not Media.objects.exists()
    assert_consistent()
