"""A request that is sent twice runs once: replays, races, failures, and which requests count as the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts import sessions
from instafeed.core.api import idempotency
from instafeed.core.api.idempotency import REPLAYED_HEADER, respond_idempotently
from instafeed.core.models import IdempotentResponse
from tests.db.core.api.idempotent_requests import ALICE, create_user, request_of, usernames
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.support.urls")]
BOB = 2


def test_a_repeated_key_returns_the_same_bytes_and_creates_nothing() -> None:
    first = respond_idempotently(request_of(), ALICE, create_user("one"))
    again = respond_idempotently(request_of(), ALICE, create_user("two"))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again["Content-Type"] == "application/json"
    assert usernames() == ["one"]
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
    respond_idempotently(request_of(), ALICE, create_user("one"))
    response = respond_idempotently(other, user_id, create_user("two"))
    assert REPLAYED_HEADER not in response
    assert usernames() == ["one", "two"]


@pytest.mark.parametrize("body", ['{"b":[1,2], "a":1}', '{"a": 1, "b": [1, 2]}\n'])
def test_the_same_json_is_the_same_body(body: str) -> None:
    first = respond_idempotently(request_of(), ALICE, create_user("one"))
    again = respond_idempotently(request_of(body=body), ALICE, create_user("two"))
    assert again.content == first.content


@pytest.mark.parametrize("body", ['{"a":1,"b":[2,1]}', '{"a":"1","b":[1,2]}', '{"a":1}', '{"a":1,"b":[1,2],"c":null}'])
def test_a_key_with_another_body_is_refused(body: str) -> None:
    respond_idempotently(request_of(), ALICE, create_user("one"))
    with pytest.raises(idempotency.KeyReused):
        respond_idempotently(request_of(body=body), ALICE, create_user("two"))
    assert usernames() == ["one"]
    make_responses_older(timedelta(days=1))
    assert respond_idempotently(request_of(body=body), ALICE, create_user("two")).status_code == 201
    assert REPLAYED_HEADER in respond_idempotently(request_of(body=body), ALICE, create_user("three"))


def test_requests_without_a_key_always_run_and_store_nothing() -> None:
    for name in ("one", "two"):
        assert REPLAYED_HEADER not in respond_idempotently(request_of(key=None), ALICE, create_user(name))
    assert usernames() == ["one", "two"]
    assert not IdempotentResponse.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "é", "a\tb", "\x7f", "\x00", "\ud800"])
def test_a_malformed_key_is_rejected_before_the_request_runs(key: str) -> None:
    with pytest.raises(ValidationError):
        respond_idempotently(request_of(key=key), ALICE, create_user("one"))
    assert usernames() == []


@pytest.mark.parametrize("key", ["a", "a" * 255, '"8e03978e-40d5"', "!~%00';DROP/**/TABLE/**/x;--"])
def test_other_keys_are_accepted(key: str) -> None:
    respond_idempotently(request_of(key=key), ALICE, create_user("one"))
    assert respond_idempotently(request_of(key=key), ALICE, create_user("two"))[REPLAYED_HEADER] == "true"


def test_a_path_may_exceed_the_size_of_an_index_row() -> None:
    path = "/api/v1/posts/" + "9" * 8_000
    respond_idempotently(request_of(path=path), ALICE, create_user("one"))
    assert REPLAYED_HEADER in respond_idempotently(request_of(path=path), ALICE, create_user("two"))


def test_an_error_rolls_back_and_frees_the_key() -> None:
    def fail() -> tuple[int, bytes]:
        create_user("one")()
        raise ValidationError("no")

    with pytest.raises(ValidationError):
        respond_idempotently(request_of(), ALICE, fail)
    refused = respond_idempotently(request_of(), ALICE, create_user("two", status=409))
    assert refused.status_code == 409
    assert usernames() == []
    assert not IdempotentResponse.objects.exists()
    assert respond_idempotently(request_of(), ALICE, create_user("three")).status_code == 201
    assert usernames() == ["three"]


def test_an_error_without_a_key_rolls_back() -> None:
    assert respond_idempotently(request_of(key=None), ALICE, create_user("one", status=400)).status_code == 400
    assert usernames() == []


def make_responses_older(by: timedelta) -> None:
    IdempotentResponse.objects.update(created_at=F("created_at") - by)


def test_a_key_is_free_again_after_a_day() -> None:
    respond_idempotently(request_of(), ALICE, create_user("one"))
    make_responses_older(timedelta(hours=23, minutes=59))
    assert REPLAYED_HEADER in respond_idempotently(request_of(), ALICE, create_user("two"))
    make_responses_older(timedelta(minutes=1))
    second = respond_idempotently(request_of(), ALICE, create_user("three"))
    assert REPLAYED_HEADER not in second
    assert respond_idempotently(request_of(), ALICE, create_user("four")).content == second.content
    assert usernames() == ["one", "three"]


def test_a_failed_request_does_not_renew_an_expired_response() -> None:
    respond_idempotently(request_of(), ALICE, create_user("one"))
    make_responses_older(timedelta(hours=24))
    respond_idempotently(request_of(), ALICE, create_user("two", status=400))
    assert REPLAYED_HEADER not in respond_idempotently(request_of(), ALICE, create_user("three"))


def test_only_answers_older_than_a_day_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "DELETE_BATCH_SIZE", 2)
    for number in range(5):
        respond_idempotently(request_of(key=str(number)), ALICE, create_user(f"old{number}"))
    make_responses_older(timedelta(hours=24))
    respond_idempotently(request_of(), ALICE, create_user("new"))
    assert not idempotency.delete_older(timezone.now())
    while not idempotency.delete_older(timezone.now()):
        pass
    assert IdempotentResponse.objects.count() == 1
    assert REPLAYED_HEADER in respond_idempotently(request_of(), ALICE, create_user("newer"))


def test_a_key_costs_two_more_statements(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    create = create_user("one")
    with django_assert_num_queries(2 + 1 + 2):  # savepoint and its release, the user, claim and stored response
        respond_idempotently(request_of(), ALICE, create)
    with django_assert_num_queries(2 + 2):
        respond_idempotently(request_of(), ALICE, create)


def test_replay_header_and_bad_key_over_http(client: Client) -> None:
    headers = {"Authorization": f"Bearer {sessions.start(UserFactory(username='alice')).access}"}

    def call(name: str, key: str) -> ClientResponse:
        path = f"/api/v1/create?name={name}"
        return client.post(path, body, "application/json", headers=headers | {"Idempotency-Key": key})

    body = {"a": 1}
    first, again = call("one", "k"), call("two", "k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again[REPLAYED_HEADER] == "true"
    assert_error(call("one", "other"), 409)
    assert_error(call("one", "other"), 409)
    body = {"a": 2}
    assert_error(call("one", "k"), 422, "idempotency_key_reused")
    error = assert_error(call("three", "not valid"), 400, "invalid")
    assert error["attr"] == "Idempotency-Key"
    assert usernames() == ["alice", "one"]


def test_on_commit_callbacks_run_once() -> None:
    calls: list[str] = []

    def create() -> tuple[int, bytes]:
        transaction.on_commit(lambda: calls.append("x"))
        return 201, b"{}"

    for _ in range(2):
        respond_idempotently(request_of(), ALICE, create)
    respond_idempotently(request_of(key="other"), ALICE, lambda: (create()[0] + 200, b"{}"))
    assert calls == ["x"]
