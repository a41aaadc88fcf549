"""Former usernames: reserved, limited, and where they lead"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import deletion, former_usernames, services, tasks
from accounts.models import FormerUsername, User
from tests.db.accounts.auth_client import PASSWORD, get, patch, post, start_session
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import BlockFactory, UserFactory
from tests.support.populated_account import run_erasure

pytestmark = pytest.mark.django_db


@pytest.fixture
def access(alice: User) -> str:
    return start_session(alice).access


def rename(access: str, username: str) -> ClientResponse:
    return patch("me", {"username": username}, access)


def register(username: str) -> ClientResponse:
    return post("auth/register", {"username": username, "email": f"{username}@mail.example", "password": PASSWORD})


def end_reservations() -> None:
    FormerUsername.objects.update(reserved_until=timezone.now())


def test_a_former_name_is_refused_like_a_taken_one_until_the_reservation_ends(alice: User, access: str) -> None:
    UserFactory(username="taken")
    assert rename(access, "alicia").status_code == 200
    response = register("Alice")
    assert response.content == register("taken").content
    assert assert_error(response, 400, "unique")["attr"] == "username"
    assert_error(rename(start_session(UserFactory()).access, "alice"), 400, "unique")
    end_reservations()
    assert register("alice").status_code == 201


@pytest.mark.parametrize("username", ["alice", "relationships"])
def test_createsuperuser_refuses_reserved_names_with_one_line(access: str, username: str) -> None:
    rename(access, "alicia")
    with pytest.raises(CommandError, match=r"^\S.*reserved.*\.$") as error:
        call_command("createsuperuser", username=username, email="root@mail.example", interactive=False)
    assert "\n" not in str(error.value)
    assert list(User.objects.values_list("username", flat=True)) == ["alicia"]


def test_a_reservation_lasts_30_days(access: str) -> None:
    rename(access, "alicia")
    row = FormerUsername.objects.get(username="alice")
    assert row.reserved_until - row.created_at == timedelta(days=30)


def test_the_owner_takes_a_former_name_back(alice: User, access: str) -> None:
    rename(access, "alicia")
    assert rename(access, "alice").status_code == 200
    assert list(FormerUsername.objects.values_list("username", flat=True)) == ["alicia"]
    assert_error(register("alicia"), 400, "unique")


def test_a_changed_case_is_no_rename(access: str) -> None:
    assert rename(access, "ALICE").status_code == 200
    assert not FormerUsername.objects.exists()


def test_an_expired_reservation_passes_to_the_next_who_gives_the_name_up(alice: User, access: str) -> None:
    rename(access, "alicia")
    end_reservations()
    bob = UserFactory(username="alice")
    assert rename(start_session(bob).access, "bobby").status_code == 200
    assert FormerUsername.objects.get(username="alice").user == bob


def test_two_new_names_in_14_days_and_former_ones_at_any_time(access: str) -> None:
    assert [rename(access, name).status_code for name in ("first", "second")] == [200, 200]
    assert assert_error(rename(access, "third"), 400, "rename_limit")["attr"] == "username"
    assert patch("me", {"bio": "still editable"}, access).status_code == 200
    assert [rename(access, name).status_code for name in ("alice", "second", "first", "alice")] == [200] * 4
    assert FormerUsername.objects.count() == 2
    FormerUsername.objects.update(created_at=timezone.now() - timedelta(days=15))
    assert rename(access, "third").status_code == 200


def test_staff_renames_are_not_limited(alice: User) -> None:
    for name in ("first", "second", "third"):
        services.update_profile(alice.pk, {"username": name})
    assert FormerUsername.objects.count() == 3


@pytest.mark.parametrize("path", ["", "/posts", "/followers?limit=5", "/following?limit=5"])
def test_reads_are_redirected_to_the_present_name(alice: User, access: str, path: str) -> None:
    rename(access, "first")
    rename(access, "second")
    for former in ("alice", "ALICE", "first"):
        response = get(f"users/{former}{path}", access)
        assert (response.status_code, response["Location"]) == (308, f"/api/v1/users/second{path}")
        assert (response.content, response["Cache-Control"]) == (b"", "private, no-store")
        assert get(response["Location"].removeprefix("/api/v1/"), access).status_code == 200


def test_writes_with_a_former_name_are_a_404(alice: User, access: str) -> None:
    rename(access, "alicia")
    viewer = start_session(UserFactory()).access
    assert_error(post("users/alice/follow", {}, viewer), 404)


@pytest.mark.parametrize("gone", ["blocked", "suspended", "deleted", "expired", "taken back"])
def test_a_former_name_of_an_account_out_of_sight_is_the_same_404(alice: User, access: str, gone: str) -> None:
    rename(access, "alicia")
    viewer = UserFactory()
    if gone == "blocked":
        BlockFactory(blocker=alice, blocked=viewer)
    elif gone == "suspended":
        services.suspend(alice.pk)
    elif gone == "deleted":
        deletion.delete_account(alice.pk)
    elif gone == "expired":
        end_reservations()
    former = "alicia" if gone == "taken back" else "alice"
    if gone == "taken back":
        rename(access, "alice")
        end_reservations()
    token = start_session(viewer).access
    response = get(f"users/{former}", token)
    assert_error(response, 404, "not_found")
    assert response.content == get("users/never.existed", token).content


def test_the_erasure_frees_all_names(alice: User, access: str) -> None:
    rename(access, "alicia")
    deletion.delete_account(alice.pk)
    assert_error(register("alice"), 400, "unique")
    run_erasure()
    assert [register(name).status_code for name in ("alice", "alicia")] == [201, 201]


def test_the_daily_task_deletes_ended_reservations_only(alice: User, access: str) -> None:
    rename(access, "first")
    end_reservations()
    rename(access, "second")
    tasks.flush_expired_tokens()
    assert list(FormerUsername.objects.values_list("username", flat=True)) == ["first"]


def test_a_name_in_use_wins_over_nothing_and_mentions_find_both(alice: User, access: str) -> None:
    bob = UserFactory(username="bob")
    rename(access, "alicia")
    found = former_usernames.find_active_user_ids(["alice", "alicia", "bob", "missing"])
    assert found == {"alice": alice.pk, "alicia": alice.pk, "bob": bob.pk}


def test_hostile_names_are_a_404() -> None:
    for name in ("\u212a", "a%00b", "a b", "x" * 300):
        assert Client().get(f"/api/v1/users/{name}").status_code == 404
