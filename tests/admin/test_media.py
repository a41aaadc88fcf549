"""Pictures in the admin, and having them processed once more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from media import pipeline, placement, removal, reprocessing, storage
from media.models import Media, Removal, Status
from media.processing import ProcessingError
from posts.models import Post
from tests.factories import UserFactory
from tests.feeds.helpers import deliver, feed, follow
from tests.media.helpers import claimed, fresh, let_it_be_due, processed, remove_files, settle, stored, upload
from tests.media.pictures import jpeg, paths
from tests.media.test_waiting import share
from tests.posts.callers import Caller
from tests.staff import act, member, moderator, operator, signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_own_storage")]

LIST = "/admin/media/media/"


@pytest.fixture
def _own_storage(settings: Settings, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def owner() -> User:
    return UserFactory(username="maria")


def given_up(media: Media) -> Media:
    """One that killed every worker that took it."""
    for _ in range(pipeline.ATTEMPTS):
        claimed(media)
        let_it_be_due(media)
    pipeline.run(media.pk)
    remove_files()
    failed = fresh(media)
    assert failed.status == Status.FAILED
    return failed


def listed(**query: str) -> list[int]:
    answer = operator().get(LIST, query)
    assert answer.status_code == 200, answer.content
    return [media.pk for media in answer.context["cl"].result_list]


def why(media: Media) -> str:
    with pytest.raises(reprocessing.Impossible) as refused:
        reprocessing._again(media.pk, member())
    return str(refused.value)


def test_it_is_found_by_status_by_id_and_by_its_owners_whole_name(owner: User) -> None:
    ready, failed, waiting = processed(owner), upload(owner, jpeg()[:300]), upload(owner)
    pipeline.run(failed.pk)
    uploading = Media.objects.create(owner=UserFactory(), incoming="incoming/x")
    assert listed() == [uploading.pk, waiting.pk, failed.pk, ready.pk]
    for media in (ready, failed, waiting, uploading):
        assert listed(status=fresh(media).get_status_display()) == [media.pk]
        assert listed(q=str(media.pk)) == [media.pk]
    assert listed(q="MARIA") == [waiting.pk, failed.pk, ready.pk]
    assert listed(q="mari") == []


def test_failures_are_shown_with_their_reason_and_pictures_with_their_post(owner: User) -> None:
    author = Caller()
    failed = upload(owner, jpeg()[:300])
    pipeline.run(failed.pk)
    ready = processed(author.user)
    post = share(author, ready)
    client = operator()
    assert "The picture is damaged or incomplete." in client.get(LIST).content.decode()
    page = client.get(f"{LIST}{ready.pk}/change/").content.decode()
    assert post in page
    assert 'class="picture"' in page
    assert f"{ready.width} × {ready.height}" in page
    assert 'class="picture"' not in client.get(f"{LIST}{failed.pk}/change/").content.decode()


def test_a_storage_that_cannot_sign_leaves_the_page_without_a_picture(owner: User) -> None:
    media = processed(owner)
    with patch("media.storage.url", side_effect=storage.StorageError):
        assert operator().get(f"{LIST}{media.pk}/change/").status_code == 200
        assert operator().get(LIST).status_code == 200


def test_one_that_was_given_up_is_processed_again_and_its_post_appears(redis_broker: redis.Redis) -> None:
    author, reader = Caller(), UserFactory()
    follow(author.user, reader)
    media = upload(author.user)
    post = int(share(author, media))
    deliver()
    failed = given_up(media)
    assert failed.incoming == media.incoming
    assert feed(reader) == []
    redis_broker.delete("media")
    user = member("Operator", username="otto")
    assert act(signed_in(user), LIST, "reprocess", media.pk) == ["1 to be processed again."]
    assert redis_broker.llen("media") == 1
    again = fresh(media)
    assert (again.status, again.error, again.failures) == (Status.PROCESSING, "", 0)
    assert again.attempts == failed.attempts, "those who were overtaken must still know it"
    assert author.get(f"/media/{media.pk}")["status"] == "processing"
    pipeline.run(media.pk)
    assert fresh(media).status == Status.READY
    assert feed(reader) == [post]
    assert not Post.objects.get(pk=post).waiting
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.target_type, entry.target_id) == (
        *("otto", "reprocess", "media", media.pk),
    )
    assert (entry.user_id, entry.before) == (author.id, {"status": "failed"})
    remove_files(all_of_them=True)
    assert stored() == set(paths(fresh(media)))


def test_one_that_waited_for_a_storage_for_a_day_has_another_day(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    media = upload(owner)
    Media.objects.update(created_at=timezone.now() - timedelta(days=3), attempts=20)
    pipeline.run(media.pk)
    assert fresh(media).error == pipeline.GAVE_UP
    reprocessing.again([media.pk], member())
    with monkeypatch.context() as away:
        away.setattr(storage, "open", _raise(storage.StorageError))
        pipeline.run(media.pk)
    waiting = fresh(media)
    assert waiting.status == Status.PROCESSING, "it is waited for once more"
    assert waiting.due_at is not None
    assert waiting.due_at < timezone.now() + timedelta(seconds=6), "with pauses that begin anew"
    let_it_be_due(media)
    pipeline.run(media.pk)
    assert fresh(media).status == Status.READY


def test_without_a_broker_the_sweeper_takes_it_up(owner: User) -> None:
    media = given_up(upload(owner))
    with patch("media.tasks.process_media.apply_async", side_effect=redis.ConnectionError):
        assert reprocessing.again([media.pk], member()) == (1, {})
    assert pipeline.due(10) == [media.pk]


def test_an_original_that_was_kept_goes_with_its_row(owner: User) -> None:
    media = given_up(upload(owner))
    Media.objects.filter(pk=media.pk).update(id=1)  # long ago, and in no post
    assert removal.delete_orphans() == 1
    remove_files(all_of_them=True)
    assert stored() == set()


def test_what_cannot_be_processed_says_why(owner: User) -> None:
    bad, gone = upload(owner, jpeg()[:300]), given_up(upload(owner))
    pipeline.run(bad.pk)
    storage.delete([gone.incoming])
    assert why(bad) == "the picture itself was bad"
    assert why(gone) == "its original is not in the storage"
    assert why(processed(owner)) == "its original was not kept"
    assert why(upload(owner)) == "it is being processed"
    assert why(Media.objects.create(owner=owner, incoming="incoming/x")) == "it was never uploaded"
    assert why(Media(pk=1)) == "it is gone"
    assert not AuditEntry.objects.exists()
    messages = act(operator(), LIST, "reprocess", bad.pk, gone.pk)
    assert messages == [
        f"Picture {bad.pk} can't be: the picture itself was bad.",
        f"Picture {gone.pk} can't be: its original is not in the storage.",
    ]


def test_nobody_waits_for_a_storage_that_is_away_more_than_once(owner: User) -> None:
    media = [given_up(upload(owner)) for _ in range(3)]
    asked: list[str] = []

    def size(path: str) -> int:
        asked.append(path)
        if len(asked) > 1:
            raise storage.StorageError("away")
        return 1

    with patch("media.storage.size", size):
        started, refused = reprocessing.again([each.pk for each in media], member())
    assert (started, len(asked)) == (1, 2)
    assert refused == {each.pk: "the storage does not answer" for each in media[1:]}


def test_of_two_operators_one_has_it_processed(owner: User) -> None:
    media = given_up(upload(owner))
    stale = fresh(media)
    reprocessing.again([media.pk], member())
    with pytest.raises(reprocessing.Impossible, match="faster"):
        reprocessing._ask_for(stale, member())
    assert AuditEntry.objects.count() == 1


# --- Ready ones whose originals are kept -------------------------------------------------------------


@pytest.fixture
def kept(owner: User, settings: Settings) -> Media:
    settings.MEDIA_KEEP_ORIGINALS = True
    media = processed(owner)
    remove_files()
    assert media.incoming in stored()
    return media


def test_a_ready_one_is_made_anew_while_the_old_one_is_shown(
    kept: Media, settings: Settings, redis_broker: redis.Redis
) -> None:
    redis_broker.delete("media")
    assert reprocessing.again([kept.pk], member()) == (1, {})
    assert redis_broker.llen("media") == 1
    during = fresh(kept)
    assert (during.status, during.key, during.variants) == (Status.READY, kept.key, kept.variants)
    settings.MEDIA_JPEG = True
    reprocessing.remake(kept.pk)
    after = fresh(kept)
    assert after.status == Status.READY
    assert after.key != kept.key
    assert "jpeg" in after.variants["150"]
    remove_files(all_of_them=True)
    assert stored() == {*paths(after), after.incoming}


@pytest.mark.parametrize("error", [ProcessingError, storage.StorageError, OSError])
def test_a_failure_leaves_it_as_it_was(kept: Media, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.variants.process", _raise(error))
    reprocessing.remake(kept.pk)
    assert fresh(kept).key == kept.key
    remove_files(all_of_them=True)
    assert stored() == {*paths(kept), kept.incoming}


def test_one_that_is_moved_or_deleted_meanwhile_stays_so(kept: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    make = pipeline.make

    def turns_private(*args: Any) -> Any:
        User.objects.update(is_private=True)
        placement.relocate_later(kept.owner_id)
        settle(kept.owner)
        return make(*args)

    monkeypatch.setattr(pipeline, "make", turns_private)
    with patch("media.placement.transaction.on_commit"):
        reprocessing.remake(kept.pk)
    moved = fresh(kept)
    assert not moved.is_public
    monkeypatch.setattr(pipeline, "make", lambda *args: (Media.objects.all().delete(), make(*args))[1])
    reprocessing.remake(kept.pk)
    assert not Media.objects.exists()
    remove_files(all_of_them=True)
    assert stored() <= {*paths(moved), moved.incoming}, "what was made is nobody's"


def test_a_worker_that_dies_in_the_middle_leaves_nothing(kept: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    make = pipeline.make

    def dies(*args: Any) -> Any:
        make(*args)
        raise SystemExit

    monkeypatch.setattr(pipeline, "make", dies)
    with pytest.raises(SystemExit):
        reprocessing.remake(kept.pk)
    assert Removal.objects.exists()
    remove_files(all_of_them=True)
    assert stored() == {*paths(kept), kept.incoming}


def test_without_a_broker_the_operator_is_told_that_nothing_happens(kept: Media) -> None:
    with patch("media.tasks.remake_media.apply_async", side_effect=redis.ConnectionError):
        assert "broker" in why(kept)
    assert fresh(kept).again_at is None
    assert not AuditEntry.objects.exists()


def test_only_operators_have_pictures_processed_moderators_look(kept: Media) -> None:
    client = moderator()
    assert "Process again" not in client.get(f"{LIST}{kept.pk}/change/").content.decode()
    assert act(client, LIST, "reprocess", kept.pk) == []
    assert fresh(kept).again_at is None
    assert signed_in(member()).get(LIST).status_code == 403


def _raise(error: type[Exception]) -> Any:
    def raises(*_: Any, **__: Any) -> Any:
        raise error("no")

    return raises
