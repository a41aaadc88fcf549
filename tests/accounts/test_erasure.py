"""DELETE /me, and the erasure that follows in the background"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts import cards, eraser, erasure, personal_data, second_factor, services, sessions, tasks
from accounts.models import Erasure, Session, User
from accounts.signals import access_changed
from accounts.tokens import TokenRefused
from instafeed import keys
from instafeed.models import Invalidation
from media import storage
from media.models import Media
from media.removal import remove_slice
from posts.models import Comment, Like, Post, Report
from social import services as social
from social.errors import RelationError
from social.models import Follow, Mute
from tests.accounts.calls import PASSWORD, bearer, get, post, refresh, signed_in, works
from tests.accounts.lives import assert_counts_are_exact, live, mentions
from tests.api.shape import check_shape
from tests.factories import FollowFactory, UserFactory
from tests.media.pictures import paths
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db(transaction=True)  # caches are dropped, and constraints checked, on commit


def delete_me(access: str | None, body: Any = None) -> Any:
    data = {"password": PASSWORD} if body is None else body
    return Client().delete("/api/v1/me", data, content_type="application/json", headers=bearer(access))


def erase_all() -> int:
    """Run the background work to its end, as if the last requests were long over; how many slices that took."""
    User.objects.filter(deleted_at__isnull=False).update(deleted_at=timezone.now() - eraser.LAST_WRITES)
    slices = 1
    while eraser.erase_slice():
        slices += 1
    return slices


def delete(user: User) -> None:
    erasure.delete_account(user.pk)


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", password=PASSWORD)


@pytest.fixture
def others(alice: User) -> list[User]:
    return live(alice)


DELETION = 13  # statements, those of transactions and of dropping cache keys included


# --- The call ----------------------------------------------------------------------------------------


def test_the_account_is_gone_at_once_for_itself_and_for_others(alice: User) -> None:
    tokens, others = signed_in(alice), signed_in(alice)
    bob = signed_in(UserFactory()).access
    assert works(tokens.access)
    assert get("users/alice", bob).status_code == 200
    answer = delete_me(tokens.access)
    assert (answer.status_code, answer.content) == (204, b"")
    for access in (tokens.access, others.access):
        assert not works(access)
        check_shape(delete_me(access), 401)
    for token in (tokens.refresh, others.refresh):
        check_shape(refresh(token), 401)
    unknown = get("users/nobody", bob)
    assert (get("users/alice", bob).status_code, get("users/alice", bob).content) == (404, unknown.content)
    assert cards.people([alice.pk]) == {}


def test_signing_in_is_answered_as_for_an_unknown_user(alice: User) -> None:
    delete(alice)
    unknown = post("auth/token", {"username": "nobody", "password": PASSWORD})
    answer = post("auth/token", {"username": "alice", "password": PASSWORD})
    assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content)
    assert answer.status_code == 401


def test_a_wrong_password_changes_nothing(alice: User) -> None:
    access = signed_in(alice).access
    error = check_shape(delete_me(access, {"password": "wrong"}), 400, "wrong_password")
    assert error["attr"] == "password"
    assert works(access)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 5}, {"password": ""}, {"password": "x" * 1_025}])
def test_a_bad_body_is_a_400_of_the_password(alice: User, body: Any) -> None:
    access = signed_in(alice).access
    assert check_shape(delete_me(access, body), 400)["attr"] == "password"
    assert works(access)


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_body_that_is_no_object_is_a_400(alice: User, body: Any) -> None:
    access = signed_in(alice).access
    data = "null" if body is None else body
    check_shape(delete_me(access, data), 400)
    assert works(access)


def test_it_needs_a_token() -> None:
    check_shape(delete_me(None), 401, "not_authenticated")


def test_tries_are_throttled_with_those_of_signing_in_and_reading_is_not(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "2/minute"}
    access = signed_in(alice).access
    for _ in range(2):
        check_shape(delete_me(access, {"password": "wrong"}), 400)
    answer = delete_me(access)
    check_shape(answer, 429)
    assert int(answer["Retry-After"]) > 0
    check_shape(post("auth/token", {"username": "alice", "password": PASSWORD}), 429)
    assert get("me", access).status_code == 200


@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_staff_keep_their_accounts_until_they_are_no_staff(alice: User, power: str) -> None:
    access = signed_in(alice).access
    User.objects.filter(pk=alice.pk).update(**{power: True})
    check_shape(delete_me(access), 403, "staff_account")
    assert works(access)
    User.objects.filter(pk=alice.pk).update(**{power: False})
    assert delete_me(access).status_code == 204


def test_name_and_address_stay_taken_until_the_account_is_erased(alice: User) -> None:
    delete(alice)
    again = {"username": "Alice", "email": "x@example.org", "password": PASSWORD}
    same_address = {"username": "alice2", "email": "Alice@example.org", "password": PASSWORD}
    assert check_shape(post("auth/register", again), 400, "unique")["attr"] == "username"
    assert check_shape(post("auth/register", same_address), 400, "unique")["attr"] == "email"
    erase_all()
    assert post("auth/register", again).status_code == 201
    assert post("auth/register", same_address).status_code == 201


def test_two_deletions_at_once_are_one(alice: User) -> None:
    access = signed_in(alice).access
    answers = at_once([lambda: delete_me(access).status_code] * 4)
    assert set(answers) <= {204, 401}
    assert 204 in answers
    assert Erasure.objects.count() == 1


def test_a_password_changed_in_the_meantime_is_not_the_one_that_was_given(alice: User) -> None:
    check = User.check_password

    def overtaken(self: User, raw: str) -> bool:
        right = check(self, raw)
        changed = User.objects.get(pk=self.pk)
        changed.set_password("another one")
        changed.save(update_fields=["password"])
        return right

    with patch.object(User, "check_password", overtaken), pytest.raises(services.WrongPassword):
        erasure.delete_own_account(alice.pk, PASSWORD)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("ends", ["deletion", "password"])
def test_tokens_that_are_refreshed_at_the_same_moment_make_no_deadlock(ends: str) -> None:
    for _ in range(8):
        user = UserFactory(password=PASSWORD)
        refreshed = [sessions.start(user).refresh for _ in range(4)]

        def rotate(token: str) -> None:
            for _ in range(5):
                token = sessions.rotate(token)[1].refresh

        change = partial(services.change_password, user.pk, PASSWORD, "another one", keep_session=None)
        end = partial(delete, user) if ends == "deletion" else change
        answers = at_once([end, *(partial(rotate, token) for token in refreshed)])
        assert {type(answer) for answer in answers if answer is not None} <= {TokenRefused}
        assert not Session.objects.filter(user=user, ended_at=None).exists()


def test_others_are_told_once(alice: User) -> None:
    heard: list[Any] = []

    def listen(**told: Any) -> None:
        heard.append((told["user_id"], told["is_active"]))

    access_changed.connect(listen)
    try:
        assert erasure.delete_account(alice.pk)
        assert not erasure.delete_account(alice.pk)
    finally:
        access_changed.disconnect(listen)
    assert heard == [(alice.pk, False)]


def test_a_suspended_account_can_be_deleted_and_is_not_reinstated(alice: User) -> None:
    services.suspend(alice.pk)
    assert erasure.delete_account(alice.pk)
    assert not services.reinstate(alice.pk)
    assert not User.objects.get(pk=alice.pk).is_active


@pytest.mark.parametrize("size", [2, 50])
def test_a_deletion_costs_the_same_whatever_the_account_holds(alice: User, size: int) -> None:
    for _ in range(size):
        FollowFactory(followee=alice)
        FollowFactory(follower=alice)
        sessions.start(alice)
    access = signed_in(alice).access
    assert works(access)
    with CaptureQueriesContext(connection) as queries, patch.object(erasure.dispatch, "nudge"):
        assert delete_me(access).status_code == 204
    assert len(queries) == DELETION


def test_a_worker_is_nudged_and_a_dead_broker_is_nobodys_trouble(alice: User, redis_broker: redis.Redis) -> None:
    delete(alice)
    assert redis_broker.llen("maintenance") == 2  # the erasure, and public files that move to a secret place
    with patch.object(tasks.erase_accounts, "apply_async", side_effect=redis.ConnectionError):
        assert erasure.delete_account(UserFactory().pk)


# --- The work ----------------------------------------------------------------------------------------


def test_nothing_is_left_and_the_others_counts_are_exact(alice: User, others: list[User]) -> None:
    alice.groups.add(Group.objects.create(name="moderators"))
    second_factor.enroll(alice.pk, replace=False)
    untried = {"accounts.User_user_permissions.user", "admin.LogEntry.user", "accounts.Erasure.user"}
    assert {column for column in declared() if column not in mentions(alice.pk)} <= untried
    rows = rows_of_others()
    files = [path for media in Media.objects.filter(owner=alice) for path in paths(media)]
    delete(alice)
    erase_all()
    assert mentions(alice.pk) == {}
    assert not User.objects.filter(pk=alice.pk).exists()
    assert_counts_are_exact()
    assert rows_of_others() == rows
    while remove_slice():
        pass
    assert files
    assert not any(default_storage.exists(path) for path in files)
    assert all(default_storage.exists(path) for media in Media.objects.all() for path in paths(media))


def rows_of_others() -> dict[str, int]:
    """What alice has no part in."""
    return {
        "follows": Follow.objects.exclude(follower__username="alice").exclude(followee__username="alice").count(),
        "mutes": Mute.objects.exclude(muter__username="alice").exclude(muted__username="alice").count(),
        "posts": Post.objects.exclude(author__username="alice").count(),
        "pictures": Media.objects.exclude(owner__username="alice").count(),
        "answers": Comment.objects.exclude(author__username="alice").exclude(post__author__username="alice").count(),
        "likes": Like.objects.exclude(user__username="alice").exclude(post__author__username="alice").count(),
        "reports": Report.objects.exclude(reporter__username="alice").exclude(target_type="user").count(),
    }


@pytest.mark.parametrize("chunk", [1, 3])
def test_it_goes_on_slice_by_slice_and_stays_exact_in_between(
    alice: User, others: list[User], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(personal_data, "CHUNK", chunk)
    monkeypatch.setattr(eraser, "SLICE", 0)
    delete(alice)
    left, slices = sum(mentions(alice.pk).values()), 0
    User.objects.filter(pk=alice.pk).update(deleted_at=timezone.now() - eraser.LAST_WRITES)
    while eraser.erase_slice():
        assert_counts_are_exact()
        now = sum(mentions(alice.pk).values())
        assert now <= left
        left, slices = now, slices + 1
    assert 20 / chunk < slices < 200
    assert mentions(alice.pk) == {}


def test_a_process_that_dies_anywhere_loses_and_counts_nothing_twice(
    alice: User, others: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets a few statements further than the one before."""

    class Killed(BaseException):
        pass

    monkeypatch.setattr(personal_data, "CHUNK", 2)
    monkeypatch.setattr(eraser, "CLAIM", timedelta(0))
    delete(alice)
    User.objects.filter(pk=alice.pk).update(deleted_at=timezone.now() - eraser.LAST_WRITES)
    deaths = 0
    while User.objects.filter(pk=alice.pk).exists():
        remaining = 10 + 5 * deaths

        def die(execute: Callable[..., Any], *call: Any) -> Any:
            nonlocal remaining
            remaining -= 1
            if remaining < 0:
                raise Killed
            return execute(*call)

        with connection.execute_wrapper(die):
            try:
                eraser.erase_slice()
            except Killed:
                deaths += 1
        assert_counts_are_exact()
    assert deaths > 3
    assert mentions(alice.pk) == {}


def test_caches_and_counters_go_with_the_account(alice: User, redis_cache: redis.Redis, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"export": "100/hour"}
    tokens = signed_in(alice)
    assert get("me/export", tokens.access).status_code == 200
    assert get("feed", tokens.access).status_code == 200
    names = [keys.person(alice.pk), keys.access(alice.pk), keys.wal(alice.pk), keys.feed(alice.pk)]
    for name in names:
        redis_cache.set(name, "x")
    redis_cache.sadd(keys.CELEBRITIES, 0, alice.pk)
    User.objects.filter(pk=alice.pk).update(celebrity_state=2, celebrity_pin=True)
    delete(alice)
    erase_all()
    assert [
        key for key in redis_cache.scan_iter("*") if str(alice.pk).encode() in key.replace(b":", b"/").split(b"/")
    ] == []
    assert not redis_cache.exists(keys.CELEBRITIES)
    assert not Invalidation.objects.exists()


def test_every_redis_key_that_is_made_of_a_users_id_is_declared() -> None:
    of_users = {
        name: function(4711)
        for name, function in vars(keys).items()
        if callable(function) and "user_id" in getattr(function, "__annotations__", {})
    }
    assert {"feed", "person", "access"} <= of_users.keys()
    assert set(of_users.values()) <= set(personal_data.redis_keys(4711))


def test_the_picture_goes_too(alice: User) -> None:
    path = f"avatars/{storage.new_key()}.webp"
    storage.save(path, BytesIO(b"a face"), "image/webp")
    User.objects.filter(pk=alice.pk).update(avatar_path=path)
    delete(alice)
    erase_all()
    remove_slice()
    assert not default_storage.exists(path)


def test_the_log_of_and_about_former_staff_goes_and_that_of_others_stays(alice: User) -> None:
    moderator, kind = UserFactory(is_staff=True), ContentType.objects.get_for_model(User)
    for user, subject in ((moderator, alice), (alice, moderator), (moderator, moderator)):
        LogEntry.objects.create(user=user, content_type=kind, object_id=str(subject.pk), action_flag=CHANGE)
    delete(alice)
    erase_all()
    assert [(entry.user_id, entry.object_id) for entry in LogEntry.objects.all()] == [(moderator.pk, str(moderator.pk))]


def test_whoever_is_at_work_is_left_alone_until_its_claim_ends(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(alice)
    claim = eraser._claim()
    assert claim is not None
    assert not eraser.erase_slice()
    assert User.objects.filter(pk=alice.pk).exists()
    Erasure.objects.update(due_at=timezone.now())  # it ended
    erase_all()
    assert not User.objects.filter(pk=alice.pk).exists()


def test_requests_that_began_before_the_deletion_are_waited_for(alice: User) -> None:
    delete(alice)
    assert not eraser.erase_slice()
    waiting = Erasure.objects.get()
    assert waiting.due_at == User.objects.get(pk=alice.pk).deleted_at + eraser.LAST_WRITES
    assert waiting.attempts == 0


def test_a_step_that_fails_is_tried_again_after_growing_pauses_while_others_go_on(alice: User) -> None:
    bob = UserFactory()
    delete(alice)
    delete(bob)

    def fail(user_id: int) -> bool:
        if user_id == alice.pk:
            raise OSError("the storage is away")
        return True

    pauses = []
    with registered(personal_data.Holding("broken", erase=fail)):
        for _ in range(3):
            before = timezone.now()
            erase_all()
            pauses.append(round((Erasure.objects.get(pk=alice.pk).due_at - before).total_seconds()))
            Erasure.objects.update(due_at=timezone.now())
    assert pauses == [1, 2, 4]
    assert "the storage is away" in Erasure.objects.get(pk=alice.pk).error
    assert not User.objects.filter(pk=bob.pk).exists()
    erase_all()
    assert not User.objects.filter(pk=alice.pk).exists()


class registered:
    """One more holding, within."""

    def __init__(self, holding: personal_data.Holding) -> None:
        self.holding = holding

    def __enter__(self) -> None:
        personal_data._holdings.append(self.holding)

    def __exit__(self, *_: object) -> None:
        personal_data._holdings.remove(self.holding)


def test_a_row_written_after_its_step_is_found_by_the_next_pass(alice: User) -> None:
    bob = UserFactory()
    written = threading.Event()

    def write_late(user_id: int) -> bool:
        if not written.is_set():
            written.set()
            FollowFactory(follower=bob, followee=alice)
        return True

    delete(alice)
    bottom = personal_data.Holding("late", erase=write_late)
    personal_data._holdings.insert(0, bottom)  # the last step
    try:
        erase_all()
        assert User.objects.filter(pk=alice.pk).exists(), "a row refers to it"
        assert "ForeignKeyViolation" in Erasure.objects.get().error or "IntegrityError" in Erasure.objects.get().error
        Erasure.objects.update(due_at=timezone.now())
        erase_all()
    finally:
        personal_data._holdings.remove(bottom)
    assert not User.objects.filter(pk=alice.pk).exists()
    assert_counts_are_exact()


def test_the_users_row_takes_nothing_along(alice: User, others: list[User]) -> None:
    delete(alice)
    claim = eraser._claim()
    assert claim is not None
    User.objects.filter(pk=alice.pk).update(deleted_at=timezone.now() - eraser.LAST_WRITES)
    with pytest.raises(IntegrityError):
        eraser._erase_user(claim)
    assert Follow.objects.filter(followee=alice).count() == 2
    assert Erasure.objects.filter(pk=alice.pk).exists()


def test_accounts_that_follow_one_another_are_erased_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "CHUNK", 3)
    monkeypatch.setattr(eraser, "SLICE", 0)
    leaving, staying = UserFactory.create_batch(4), UserFactory.create_batch(4)
    for one in leaving:
        for other in [*leaving, *staying]:
            if one != other:
                social.follow(one.pk, other.pk)
                if other in staying:
                    social.follow(other.pk, one.pk)
    for user in leaving:
        delete(user)

    def work() -> None:
        while User.objects.filter(pk__in=[user.pk for user in leaving]).exists():
            eraser.erase_slice()

    User.objects.filter(deleted_at__isnull=False).update(deleted_at=timezone.now() - eraser.LAST_WRITES)
    assert [error for error in at_once([work] * 4) if error is not None] == []
    assert_counts_are_exact()
    assert not Follow.objects.exists()


def test_whoever_follows_and_unfollows_meanwhile_is_refused_or_erased_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "CHUNK", 2)
    monkeypatch.setattr(eraser, "SLICE", 0)
    monkeypatch.setattr(eraser, "LAST_WRITES", timedelta(0))
    leaving, others = UserFactory(), UserFactory.create_batch(6)

    def pester(other: User) -> None:
        for _ in range(15):
            try:
                social.follow(other.pk, leaving.pk)
                social.unfollow(other.pk, leaving.pk)
                social.follow(other.pk, leaving.pk)
            except RelationError:
                return

    def erase() -> None:
        delete(leaving)
        while User.objects.filter(pk=leaving.pk).exists():
            eraser.erase_slice()

    answers = at_once([erase, *(partial(pester, other) for other in others)])
    assert [answer for answer in answers if answer is not None] == []
    assert mentions(leaving.pk) == {}
    assert_counts_are_exact()


def test_the_tasks_chain_goes_on_while_anything_is_due(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eraser, "LAST_WRITES", timedelta(0))
    delete(alice)
    delete(UserFactory())
    with patch.object(tasks.dispatch, "nudge") as nudge:
        tasks.erase_accounts()
        assert nudge.call_count == 1
        tasks.erase_accounts()
        assert nudge.call_count == 1
    assert not Erasure.objects.exists()
    tasks.erase_accounts()  # with nothing to do


# --- What is declared --------------------------------------------------------------------------------

OURS = {"instafeed", "accounts", "social", "media", "posts", "feeds", "admin", "auth", "otp_totp", "otp_static"}
# Numbers that are no user's id.
NO_USERS = {
    "feeds.FanOut.last_follower_id",  # a place among ids, where the next batch starts: it tells of nobody
    # The audit log outlives those whom it tells of; their ids are bare numbers then.
    "accounts.AuditEntry.actor_id",
    "accounts.AuditEntry.target_id",
    "accounts.AuditEntry.user_id",
    "accounts.AuditEntry.before",
    "accounts.AuditEntry.after",
    "instafeed.Sample.figures",
    "posts.Case.reasons",
    "posts.Case.closed_by_id",  # a moderator's
    "instafeed.Invalidation.keys",  # gone within seconds
    "media.Media.variants",
    "media.Removal.paths",
    "otp_totp.TOTPDevice.t0",  # times
    "otp_totp.TOTPDevice.last_t",
    "posts.Counter.subject_id",
    "posts.ExploreRanking.post_ids",
    "social.Notification.post_id",
    "social.Notification.comment_id",
    "social.Notification.position",
    "social.NotificationActor.position",
    "social.Warning.post_id",
    "social.Warning.comment_id",
    "social.NotificationEvent.post_id",
    "social.NotificationEvent.comment_id",
    "social.NotificationState.read_up_to",
}
LOOSE = (models.BigIntegerField, models.JSONField, ArrayField)


def declared() -> set[str]:
    return {column for holding in personal_data.holdings() for column in holding.columns}


def test_every_column_that_can_hold_a_users_id_is_declared() -> None:
    assert set(columns()) - declared() - NO_USERS == set(), "declare these in a Holding, or here as no user's"
    assert declared() | NO_USERS <= set(columns()), "there is no such column"


def columns() -> Iterator[str]:
    """Foreign keys to users, and whatever else could hold an id: what is neither made here nor another foreign key."""
    yield "accounts.User.id"
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label not in OURS:
            continue
        for field in model._meta.concrete_fields:
            loose = isinstance(field, LOOSE) and not field.is_relation
            made_here = isinstance(field, models.BigAutoField) or (field.primary_key and field.has_db_default())
            if field.related_model is User or (loose and not made_here):
                yield f"{model._meta.label}.{field.name}"


def test_what_is_declared_is_erased_by_somebody() -> None:
    assert [holding.name for holding in personal_data.holdings() if holding.erase is None] == []
