"""Concurrent requests and workers on one account, with a connection each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Semaphore

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils import timezone

from accounts import (
    deletion,
    erasure_worker,
    former_usernames,
    moderation,
    personal_data_registry,
    second_factor,
    services,
    sessions,
)
from accounts.mail import outbox, sending
from accounts.models import (
    AuditEntry,
    Erasure,
    FormerUsername,
    MailKind,
    OutgoingMail,
    RecoveryCode,
    SecondFactor,
    Session,
    User,
)
from accounts.tokens import TokenRefused
from instafeed.core.jobs.leased import Outcome
from posts import services as posts
from posts.models import Post
from social import services as social
from social.errors import RelationError
from social.models import Follow
from social.notifications.consumer import consume_batches
from tests.db.accounts.auth_client import PASSWORD, delete_me, post, refresh, start_session
from tests.support.api_user import ApiUser
from tests.support.authenticator import code_of
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import TIMEOUT, eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import count_lock_waiters
from tests.support.mails import send_due_mails, token_in
from tests.support.populated_account import (
    assert_counts_are_exact,
    count_rows_mentioning,
    delete_account,
    end_in_flight_requests,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_concurrent_registrations_of_a_username_succeed_once() -> None:
    def register(number: int) -> int:
        data = {"username": "alice", "email": f"a{number}@example.org", "password": PASSWORD}
        return post("auth/register", data).status_code

    assert sorted(run_concurrently([partial(register, number) for number in range(4)])) == [201, 400, 400, 400]
    assert User.objects.count() == 1


def test_a_mailed_link_works_once_for_concurrent_requests() -> None:
    user = UserFactory(email="alice@example.org", email_verified=True)
    post("auth/password/reset", {"email": user.email})
    (link,) = send_due_mails()

    def confirm(number: int) -> int:
        body = {"token": token_in(link), "new_password": f"secret number {number}"}
        return post("auth/password/reset/confirm", body).status_code

    assert sorted(run_concurrently([partial(confirm, number) for number in range(4)])) == [204, 400, 400, 400]
    assert OutgoingMail.objects.get().kind == MailKind.PASSWORD_NOTICE


def test_concurrent_links_for_one_address_verify_one_account() -> None:
    for name in ("ann", "ben", "cid"):
        post("auth/register", {"username": name, "email": "a@example.org", "password": PASSWORD})
    tokens = [token_in(link) for link in send_due_mails()]
    calls = [partial(post, "auth/email/verify", {"token": token}) for token in tokens for _ in range(2)]
    assert sorted(answer.status_code for answer in run_concurrently(calls)) == [204, *[400] * 5]
    assert User.objects.filter(email_verified=True).count() == 1


def test_concurrent_sign_ins_from_a_new_device_cause_one_notice() -> None:
    user = UserFactory(username="alice", email="a@example.org", email_verified=True, password=PASSWORD)
    User.objects.filter(pk=user.pk).update(known_devices=["0123456789abcdef"])
    body = {"username": "alice", "password": PASSWORD}
    answers = run_concurrently([partial(post, "auth/token", body)] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [mail.kind for mail in OutgoingMail.objects.all()] == [MailKind.SIGN_IN_NOTICE]


def test_workers_send_each_mail_once() -> None:
    for number in range(12):
        outbox.enqueue(MailKind.RESET, f"user{number}@example.org")
        UserFactory(email=f"user{number}@example.org", email_verified=True)

    def work() -> None:
        while sending.process_next() is not Outcome.UNCLAIMED:
            pass

    run_concurrently([work] * 4)
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(f"user{number}@example.org" for number in range(12))


def test_concurrent_uses_of_a_refresh_token_return_one_successor() -> None:
    tokens = start_session(UserFactory())
    answers = run_concurrently([lambda: refresh(tokens.refresh)] * 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.json()["refresh"] for answer in answers}) == 1


def test_concurrent_end_sessions_succeeds_once() -> None:
    moderator, user = UserFactory(is_staff=True), UserFactory()
    start_session(user)
    results = run_concurrently([partial(moderation.end_sessions, moderator, user.pk, "stolen")] * 3)
    assert sorted(results) == [False, False, True]
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize("end", ["deletion", "password"])
def test_concurrent_refresh_causes_no_deadlock(end: str) -> None:
    for _ in range(8):
        user = UserFactory(password=PASSWORD)
        refreshed = [sessions.start(user).refresh for _ in range(4)]

        def rotate(token: str) -> None:
            for _ in range(5):
                token = sessions.rotate(token)[1].refresh

        ends = {
            "deletion": partial(delete_account, user),
            "password": partial(services.change_password, user.pk, PASSWORD, "another one", keep_session=None),
        }
        results = run_concurrently([ends[end], *(partial(rotate, token) for token in refreshed)])
        assert {type(result) for result in results if result is not None} <= {TokenRefused}
        assert not Session.objects.filter(user=user, ended_at=None).exists()


def test_refresh_waits_for_the_user_before_it_locks_the_session() -> None:
    """Code that ends all sessions locks the user first. The opposite order would deadlock."""
    user = UserFactory()
    token = sessions.start(user).refresh
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
            refreshed = pool.submit(close_connection_after, sessions.rotate, token)
            eventually(lambda: count_lock_waiters() == 1)
            assert sessions.end_all(user.pk) == 1
        with pytest.raises(TokenRefused):
            refreshed.result()


def test_concurrent_deletions_enqueue_one_erasure(alice: User) -> None:
    access = start_session(alice).access
    results = run_concurrently([lambda: delete_me(access).status_code] * 4)
    assert set(results) <= {204, 401}
    assert 204 in results
    assert Erasure.objects.count() == 1


# --- During an erasure -------------------------------------------------------------------------------


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an erasure take many slices, so that other threads write between them."""
    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", 2)
    monkeypatch.setattr(erasure_worker, "SLICE_SECONDS", 0)


@pytest.mark.usefixtures("small_slices")
def test_accounts_that_follow_each_other_are_erased_concurrently() -> None:
    leaving, staying = UserFactory.create_batch(4), UserFactory.create_batch(4)
    for one in leaving:
        for other in [*leaving, *staying]:
            if one != other:
                social.follow(one.pk, other.pk)
                if other in staying:
                    social.follow(other.pk, one.pk)
    for user in leaving:
        delete_account(user)
    end_in_flight_requests()

    def work() -> None:
        while User.objects.filter(pk__in=[user.pk for user in leaving]).exists():
            erasure_worker.process_next()

    assert [error for error in run_concurrently([work] * 4) if error is not None] == []
    assert_counts_are_exact()
    assert not Follow.objects.exists()


@pytest.mark.usefixtures("small_slices")
def test_follows_during_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure_worker, "IN_FLIGHT_WRITES_TIMEOUT", timedelta(0))
    leaving, others = UserFactory(), UserFactory.create_batch(6)

    def follow_and_unfollow(other: User) -> None:
        for _ in range(15):
            try:
                social.follow(other.pk, leaving.pk)
                social.unfollow(other.pk, leaving.pk)
                social.follow(other.pk, leaving.pk)
            except RelationError:
                return

    def erase() -> None:
        delete_account(leaving)
        while User.objects.filter(pk=leaving.pk).exists():
            erasure_worker.process_next()

    errors = run_concurrently([erase, *(partial(follow_and_unfollow, other) for other in others)])
    assert [error for error in errors if error is not None] == []
    assert count_rows_mentioning(leaving.pk) == {}
    assert_counts_are_exact()


@pytest.mark.usefixtures("small_slices")
def test_likes_and_comments_during_erasure() -> None:
    leaver, *others = (ApiUser() for _ in range(4))
    own = [posts.create_post(leaver.id, "mine").pk for _ in range(3)]
    theirs = [(posts.create_post(other.id, "theirs").pk, other.id) for other in others]
    for post_id, author_id in theirs:
        posts.like_post(leaver.id, post_id)
        posts.create_comment(leaver.id, post_id, author_id, "hm", None)
    ended = Semaphore(0)  # counts the writers that have ended

    def write_to_leaver(other: ApiUser) -> None:
        """Write like in-flight requests that found the account active and check nothing again."""
        for post_id in own:
            with suppress(IntegrityError, Http404):
                posts.like_post(other.id, post_id)
            with suppress(IntegrityError, Http404):
                posts.create_comment(other.id, post_id, leaver.id, "late", None)

    def write_as_leaver() -> None:
        """Write like the account's own in-flight requests."""
        for post_id, author_id in theirs:
            like = partial(posts.like_post, leaver.id, post_id)
            for change in (like, partial(posts.unlike_post, leaver.id, post_id), like):
                with suppress(IntegrityError):
                    change()
            with suppress(IntegrityError):
                posts.create_comment(leaver.id, post_id, author_id, "late", None)
        with suppress(IntegrityError):
            posts.create_post(leaver.id, "late")

    writers: list[Callable[[], None]] = [write_as_leaver, *(partial(write_to_leaver, other) for other in others)]

    def run(writer: Callable[[], None]) -> None:
        try:
            writer()
        finally:
            ended.release()

    def erase() -> None:
        """Erase the account during the writes. The timeout of in-flight requests is over when these have ended."""
        deletion.delete_account(leaver.id)
        running = len(writers)
        while User.objects.filter(pk=leaver.id).exists():
            if running and ended.acquire(blocking=False):
                running -= 1
            if not running:
                end_in_flight_requests()
            Erasure.objects.update(due_at=timezone.now())
            erasure_worker.process_next()

    errors = run_concurrently([erase, *(partial(run, writer) for writer in writers)])
    assert [error for error in errors if error is not None] == []
    while consume_batches():
        pass
    assert count_rows_mentioning(leaver.id) == {}
    assert_counts_are_exact()
    assert Post.objects.filter(deleted_at=None).count() == len(theirs)


def test_concurrent_sign_ins_with_one_code_succeed_once() -> None:
    user = UserFactory(username="alice", password=PASSWORD)
    enrollment, codes = second_factor.enroll(user.pk, replace=False)
    for otp in (code_of(enrollment.secret), codes[0]):
        data = {"username": "alice", "password": PASSWORD, "otp": otp}
        results = run_concurrently([lambda data=data: post("auth/token", data).status_code] * 4)  # type: ignore[misc]
        assert sorted(results) == [200, 401, 401, 401]


def test_concurrent_confirmations_succeed_once() -> None:
    user = UserFactory()
    code = code_of(second_factor.begin(user.pk).secret)
    results = run_concurrently([partial(second_factor.confirm, user.pk, code)] * 4)
    assert sorted(type(result).__name__ for result in results) == ["AlreadyEnrolled"] * 3 + ["list"]
    assert RecoveryCode.objects.count() == second_factor.RECOVERY_CODE_COUNT


def test_concurrent_beginnings_leave_one_secret() -> None:
    user = UserFactory()
    secrets = [enrollment.secret for enrollment in run_concurrently([partial(second_factor.begin, user.pk)] * 4)]
    assert SecondFactor.objects.count() == 1
    results = [confirms(user.pk, code_of(secret)) for secret in secrets]
    assert results.count(True) == 1


def confirms(user_id: int, code: str) -> bool:
    try:
        second_factor.confirm(user_id, code)
    except (second_factor.WrongCode, second_factor.AlreadyEnrolled):
        return False
    return True


def test_a_name_that_is_given_up_is_reserved_before_waiting_registrations_get_it() -> None:
    for number in range(6):
        user = UserFactory(username=f"old{number}")
        data = {"username": f"old{number}", "email": f"new{number}@example.org", "password": PASSWORD}
        calls = [partial(services.update_profile, user.pk, {"username": f"new{number}"})]
        results = run_concurrently([*calls, *[lambda data=data: post("auth/register", data).status_code] * 3])
        assert results[1:] == [400] * 3
        assert User.objects.get(pk=user.pk).username == f"new{number}"


def test_a_registration_waits_for_a_rename_and_is_refused() -> None:
    user = UserFactory(username="alice")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.update_profile(user.pk, {"username": "alicia"})
            waiting = pool.submit(
                close_connection_after, services.register, "alice", "other@example.org", "correct horse"
            )
            eventually(lambda: count_lock_waiters() == 1)
        with pytest.raises(services.AlreadyTaken):
            waiting.result(TIMEOUT)


def test_concurrent_renames_stay_within_the_limit() -> None:
    user = UserFactory(username="alice")
    renames = [
        partial(services.update_profile, user.pk, {"username": f"name{number}"}, limit_renames=True)
        for number in range(5)
    ]
    results = run_concurrently(renames)
    assert sorted(type(result).__name__ for result in results) == ["TooManyRenames"] * 3 + ["User"] * 2
    assert FormerUsername.objects.count() == former_usernames.MAX_RENAMES
