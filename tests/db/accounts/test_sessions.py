"""GET and DELETE /me/sessions"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import services, sessions
from accounts.models import Session, User
from tests.db.accounts.auth_client import PASSWORD, bearer, get, is_token_accepted, start_session
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in(address: str = "192.0.2.7", user_agent: str = FIREFOX) -> Any:
    data = {"username": "alice", "password": PASSWORD}
    client = Client(REMOTE_ADDR=address, HTTP_USER_AGENT=user_agent)
    return client.post("/api/v1/auth/token", data, "application/json").json()


def list_sessions(access: str) -> Any:
    return get("me/sessions", access).json()["results"]


def delete(path: str, access: str) -> ClientResponse:
    return Client().delete(f"/api/v1/{path}", headers=bearer(access))


def test_each_sign_in_is_listed_with_its_client_newest_first(alice: User) -> None:
    first = sign_in()
    second = sign_in("2001:db8::1", "Instafeed/1.2\r\n(iPhone)")
    newest, oldest = list_sessions(first["access"])
    assert newest.keys() == {"id", "created_at", "last_used_at", "client", "address", "current"}
    assert (newest["client"], newest["address"], newest["current"]) == (
        "Instafeed/1.2 (iPhone)",
        "2001:db8::/64",
        False,
    )
    assert (oldest["client"], oldest["address"], oldest["current"]) == ("Firefox on Linux", "192.0.2.7", True)
    assert [row["current"] for row in list_sessions(second["access"])] == [True, False]


def test_a_refresh_updates_the_time_and_the_client(alice: User) -> None:
    tokens = sign_in()
    before = timezone.now() - timedelta(days=2)
    Session.objects.update(created_at=before)
    get("me", tokens["access"])
    (row,) = list_sessions(tokens["access"])
    assert datetime.fromisoformat(row["last_used_at"]) == before
    client = Client(REMOTE_ADDR="198.51.100.4", HTTP_USER_AGENT="curl/8")
    client.post("/api/v1/auth/token/refresh", {"refresh": tokens["refresh"]}, "application/json")
    (row,) = list_sessions(tokens["access"])
    assert datetime.fromisoformat(row["created_at"]) == before
    assert datetime.fromisoformat(row["last_used_at"]) > before + timedelta(days=1)
    assert (row["client"], row["address"]) == ("curl/8", "198.51.100.4")


def test_ended_and_expired_sessions_and_those_of_others_are_not_listed(alice: User) -> None:
    start_session(UserFactory())
    sessions.end(start_session(alice).refresh)
    start_session(alice)
    Session.objects.filter(user=alice).update(expires_at=timezone.now())
    access = start_session(alice).access
    assert [row["current"] for row in list_sessions(access)] == [True]


def test_pages_join_to_the_whole_list(alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    access = [start_session(alice).access for _ in range(7)][-1]
    get("me", access)  # caches the state that authentication needs
    whole = list_sessions(access)
    rows, path = [], "me/sessions?limit=3"
    while path:
        with django_assert_num_queries(2):
            page = get(path, access).json()
        rows += page["results"]
        path = (page["next"] or "").partition("/api/v1/")[2]
    assert rows == whole
    assert len(whole) == 7


def test_an_ended_session_is_refused_at_once_and_others_go_on(alice: User) -> None:
    own, other = start_session(alice), start_session(alice)
    other_id = list_sessions(own.access)[0]["id"]
    assert is_token_accepted(other.access)
    assert delete(f"me/sessions/{other_id}", own.access).status_code == 204
    assert not is_token_accepted(other.access)
    assert is_token_accepted(own.access)
    assert_error(delete(f"me/sessions/{other_id}", own.access), 404, "not_found")


def test_the_current_session_can_be_ended_too(alice: User) -> None:
    access = start_session(alice).access
    assert delete(f"me/sessions/{list_sessions(access)[0]['id']}", access).status_code == 204
    assert not is_token_accepted(access)


@pytest.mark.parametrize("session_id", ["0", "x", "9223372036854775807", "9" * 40, "-1", "FOREIGN"])
def test_unknown_and_foreign_sessions_are_the_same_404(alice: User, session_id: str) -> None:
    stranger = UserFactory()
    foreign = start_session(stranger)
    session_id = session_id.replace("FOREIGN", str(Session.objects.get(user=stranger).pk))
    response = delete(f"me/sessions/{session_id}", start_session(alice).access)
    assert_error(response, 404, "not_found")
    assert response.content == delete("me/sessions/no-such-id", start_session(alice).access).content
    assert is_token_accepted(foreign.access)


def test_all_others_end_and_the_current_one_stays(alice: User) -> None:
    others, own, foreign = [start_session(alice) for _ in range(3)], start_session(alice), start_session(UserFactory())
    for _ in range(2):
        assert delete("me/sessions", own.access).status_code == 204
        assert [is_token_accepted(tokens.access) for tokens in (*others, own, foreign)] == [False] * 3 + [True] * 2


def test_suspended_users_cannot_read_or_end_sessions(alice: User) -> None:
    access = start_session(alice).access
    services.suspend(alice.pk)
    assert get("me/sessions", access).status_code == 401
    assert delete("me/sessions", access).status_code == 401
