"""A request sent twice is done once: replays, races, failures, and what is the same request."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts import sessions
from accounts.models import User
from instafeed.core.api import idempotency
from instafeed.core.api.idempotency import REPLAYED_HEADER, respond_idempotently
from instafeed.core.models import IdempotentResponse
from instafeed.core.tasks import flush_idempotent_answers
from tests.api.error_shape import assert_error
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]
ALICE, BOB = 1, 2


def request_of(key: str | None = "k", path: str = "/api/v1/posts", method: str = "POST") -> Request:
    headers = {} if key is None else {"Idempotency-Key": key}
    return Request(APIRequestFactory().generic(method, path, headers=headers))


def creating(name: str, status: int = 201) -> Callable[[], tuple[int, bytes]]:
    """Makes a user of that name; a second call would fail."""

    def create() -> tuple[int, bytes]:
        user = User.objects.create_user(name)
        return status, b'{"id": "%d",  "odd":"spacing \xc3\xa9"}' % user.pk

    return create


def made() -> list[str]:
    return list(User.objects.order_by("username").values_list("username", flat=True))


def test_the_same_key_gives_the_same_bytes_and_creates_nothing() -> None:
    first = respond_idempotently(request_of(), ALICE, creating("one"))
    again = respond_idempotently(request_of(), ALICE, creating("two"))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again["Content-Type"] == "application/json"
    assert made() == ["one"]
    assert REPLAYED_HEADER not in first
    assert again[REPLAYED_HEADER] == "true"


@pytest.mark.parametrize(
    ("user_id", "other"),
    [
        (BOB, request_of()),
        (ALICE, request_of(path="/api/v1/posts/1/comments")),
        (ALICE, request_of(key="K")),
        (ALICE, request_of(method="PUT")),
    ],
    ids=["user", "path", "key", "method"],
)
def test_another_user_path_key_or_method_is_another_request(user_id: int, other: Request) -> None:
    respond_idempotently(request_of(), ALICE, creating("one"))
    answer = respond_idempotently(other, user_id, creating("two"))
    assert REPLAYED_HEADER not in answer
    assert made() == ["one", "two"]


def test_without_the_header_every_request_is_done_and_nothing_is_kept() -> None:
    for name in ("one", "two"):
        assert REPLAYED_HEADER not in respond_idempotently(request_of(key=None), ALICE, creating(name))
    assert made() == ["one", "two"]
    assert not IdempotentResponse.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "é", "a\tb", "\x7f", "\x00", "\ud800"])
def test_a_key_that_is_not_sane_is_refused_before_anything_is_done(key: str) -> None:
    with pytest.raises(ValidationError):
        respond_idempotently(request_of(key=key), ALICE, creating("one"))
    assert made() == []


@pytest.mark.parametrize("key", ["a", "a" * 255, '"8e03978e-40d5"', "!~%00';DROP/**/TABLE/**/x;--"])
def test_any_other_key_is_taken(key: str) -> None:
    respond_idempotently(request_of(key=key), ALICE, creating("one"))
    assert respond_idempotently(request_of(key=key), ALICE, creating("two"))[REPLAYED_HEADER] == "true"


def test_a_path_may_be_longer_than_an_index_takes() -> None:
    path = "/api/v1/posts/" + "9" * 8_000
    respond_idempotently(request_of(path=path), ALICE, creating("one"))
    assert REPLAYED_HEADER in respond_idempotently(request_of(path=path), ALICE, creating("two"))


def test_an_error_undoes_everything_and_leaves_the_key_free() -> None:
    def fail() -> tuple[int, bytes]:
        creating("one")()
        raise ValidationError("no")

    with pytest.raises(ValidationError):
        respond_idempotently(request_of(), ALICE, fail)
    refused = respond_idempotently(request_of(), ALICE, creating("two", status=409))
    assert refused.status_code == 409
    assert made() == []
    assert not IdempotentResponse.objects.exists()
    assert respond_idempotently(request_of(), ALICE, creating("three")).status_code == 201
    assert made() == ["three"]


def test_without_a_key_an_error_undoes_everything_too() -> None:
    assert respond_idempotently(request_of(key=None), ALICE, creating("one", status=400)).status_code == 400
    assert made() == []


def age(by: timedelta) -> None:
    IdempotentResponse.objects.update(created_at=F("created_at") - by)


def test_a_day_later_the_key_is_free_again() -> None:
    respond_idempotently(request_of(), ALICE, creating("one"))
    age(timedelta(hours=23, minutes=59))
    assert REPLAYED_HEADER in respond_idempotently(request_of(), ALICE, creating("two"))
    age(timedelta(minutes=1))
    taken_over = respond_idempotently(request_of(), ALICE, creating("three"))
    assert REPLAYED_HEADER not in taken_over
    assert respond_idempotently(request_of(), ALICE, creating("four")).content == taken_over.content
    assert made() == ["one", "three"]


def test_a_failed_take_over_leaves_the_expired_answer_expired() -> None:
    respond_idempotently(request_of(), ALICE, creating("one"))
    age(timedelta(hours=24))
    respond_idempotently(request_of(), ALICE, creating("two", status=400))
    assert REPLAYED_HEADER not in respond_idempotently(request_of(), ALICE, creating("three"))


def test_only_answers_older_than_a_day_are_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "DELETE_BATCH_SIZE", 2)
    for number in range(5):
        respond_idempotently(request_of(key=str(number)), ALICE, creating(f"old{number}"))
    age(timedelta(hours=24))
    respond_idempotently(request_of(), ALICE, creating("new"))
    flush_idempotent_answers()
    assert IdempotentResponse.objects.count() == 1
    assert REPLAYED_HEADER in respond_idempotently(request_of(), ALICE, creating("newer"))


def test_a_user_is_forgotten_alone() -> None:
    for user_id in (ALICE, BOB):
        respond_idempotently(request_of(), user_id, creating(f"of{user_id}"))
    idempotency.delete_for_user(ALICE)
    assert list(IdempotentResponse.objects.values_list("user_id", flat=True)) == [BOB]


def test_a_key_costs_two_statements_more(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    create = creating("one")
    with django_assert_num_queries(2 + 1 + 2):  # savepoint and its end, the user, claim and answer
        respond_idempotently(request_of(), ALICE, create)
    with django_assert_num_queries(2 + 2):
        respond_idempotently(request_of(), ALICE, create)


def test_over_http_the_replay_says_so_and_a_bad_key_is_a_400_in_shape(client: Client) -> None:
    headers = {"Authorization": f"Bearer {sessions.start(UserFactory(username='alice')).access}"}

    def call(name: str, key: str) -> HttpResponse:
        return client.post(f"/api/v1/create?name={name}", headers=headers | {"Idempotency-Key": key})

    first, again = call("one", "k"), call("two", "k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again[REPLAYED_HEADER] == "true"
    assert_error(call("one", "other"), 409)
    assert_error(call("one", "other"), 409)
    error = assert_error(call("three", "not sane"), 400, "invalid")
    assert error["attr"] == "Idempotency-Key"
    assert made() == ["alice", "one"]


class Paused:
    """A `create` in another thread that stops half way until told to go on, or to fail."""

    def __init__(self) -> None:
        self.arrived, self.go_on = Event(), Event()
        self.fail = False

    def __call__(self) -> tuple[int, bytes]:
        answer = creating("first")()
        self.arrived.set()
        assert self.go_on.wait(timeout=20)
        if self.fail:
            raise ValidationError("no")
        return answer


def in_thread(pool: ThreadPoolExecutor, create: Callable[[], tuple[int, bytes]]) -> Future[HttpResponse]:
    def run() -> HttpResponse:
        try:
            return respond_idempotently(request_of(), ALICE, create)
        finally:
            connection.close()

    return pool.submit(run)


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return cursor.fetchone()[0] > 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first_fails", [False, True])
def test_a_duplicate_waits_for_the_first_and_goes_on_only_if_that_fails(first_fails: bool) -> None:
    paused = Paused()
    with ThreadPoolExecutor(2) as pool:
        first = in_thread(pool, paused)
        assert paused.arrived.wait(timeout=20)
        second = in_thread(pool, creating("second"))
        try:
            while not waits_for_a_lock():
                assert not second.done()
            paused.fail = first_fails
        finally:
            paused.go_on.set()
        answer = second.result(timeout=20)
        if first_fails:
            with pytest.raises(ValidationError):
                first.result()
        else:
            assert answer.content == first.result().content
    assert made() == (["second"] if first_fails else ["first"])
    assert (REPLAYED_HEADER in answer) is not first_fails
    assert respond_idempotently(request_of(), ALICE, creating("third")).content == answer.content


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_done() -> None:
    def create() -> tuple[int, bytes]:
        user = UserFactory()
        return 201, b"%d" % user.pk

    with ThreadPoolExecutor(8) as pool:
        answers = [future.result() for future in [in_thread(pool, create) for _ in range(24)]]
    assert len({answer.content for answer in answers}) == 1
    assert sum(REPLAYED_HEADER not in answer for answer in answers) == 1
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_the_commit_happens_once() -> None:
    announced: list[str] = []

    def create() -> tuple[int, bytes]:
        transaction.on_commit(lambda: announced.append("x"))
        return 201, b"{}"

    for _ in range(2):
        respond_idempotently(request_of(), ALICE, create)
    respond_idempotently(request_of(key="other"), ALICE, lambda: (create()[0] + 200, b"{}"))
    assert announced == ["x"]
