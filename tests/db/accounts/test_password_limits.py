"""Wrong passwords are limited by account, address and session. No one can lock the owner of an account out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.throttles import account_key
from instafeed.core.api import rate_limits
from instafeed.core.cache import client as cache_client
from tests.db.accounts.auth_client import PASSWORD, bearer, start_session
from tests.support.broken_redis import break_redis
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db

LIMIT = 3
HOME, ATTACKER = "192.0.2.1", "198.51.100.1"


@pytest.fixture(autouse=True)
def _limits(settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": f"{LIMIT}/hour", "login_address": "20/hour"}


@pytest.fixture
def without_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    break_redis(monkeypatch)
    rate_limits.local_windows.clear()
    yield
    rate_limits.local_windows.clear()
    cache_client.breaker.reset()


def call(method: str, path: str, data: Any, access: str | None = None, address: str = ATTACKER) -> ClientResponse:
    send = getattr(Client(), method)
    return send(f"/api/v1/{path}", data, "application/json", headers=bearer(access), REMOTE_ADDR=address)


def sign_in(username: str, password: str = "wrong", address: str = ATTACKER) -> int:
    return call("post", "auth/token", {"username": username, "password": password}, address=address).status_code


def change_password(access: str, current: str = "wrong", new: str = "an even better one") -> int:
    return call("post", "auth/password", {"current_password": current, "new_password": new}, access).status_code


def lock_out(username: str) -> None:
    """Fail from as many addresses as it takes to refuse every unknown address."""
    statuses = [sign_in(username, address=f"198.51.100.{number}") for number in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


@pytest.mark.parametrize(
    "spelling", ["alice", "ALICE", " Alice ", "\uff41\uff4c\uff49\uff43\uff45", "al\u2170ce", "\u00a0alice"]
)
def test_spellings_of_an_account_share_its_limit(alice: User, spelling: str) -> None:
    lock_out("alice")
    assert sign_in(spelling, PASSWORD, address="198.51.100.99") == 429
    assert sign_in("bob", address="198.51.100.99") == 401


def test_unknown_accounts_have_the_same_limit() -> None:
    lock_out("unknown")


def test_an_address_is_limited_across_accounts(settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login_address": "3/hour"}
    assert [sign_in(f"user{number}") for number in range(4)] == [401, 401, 401, 429]
    assert sign_in("user9", address=HOME) == 401


def test_only_failures_count(alice: User) -> None:
    assert [sign_in("alice", PASSWORD, f"192.0.2.{number}") for number in range(5)] == [200] * 5
    assert call("post", "auth/token", {"username": "alice"}).status_code == 400
    lock_out("alice")


def test_an_address_that_signed_in_lately_is_not_locked_out(alice: User) -> None:
    assert sign_in("alice", PASSWORD, HOME) == 200
    lock_out("alice")
    assert sign_in("alice", PASSWORD, ATTACKER) == 429
    assert sign_in("alice", PASSWORD, HOME) == 200
    assert sign_in("bob", PASSWORD, HOME) == 401, "it is known to its own account only"


def test_a_known_address_has_a_limit_of_its_own(alice: User) -> None:
    assert sign_in("alice", PASSWORD, HOME) == 200
    assert [sign_in("alice", address=HOME) for _ in range(4)] == [401, 401, 401, 429]
    assert sign_in("alice", PASSWORD, ATTACKER) == 200


def test_an_address_that_registered_is_known(settings: Settings) -> None:
    data = {"username": "grace", "email": "grace@example.org", "password": PASSWORD}
    assert call("post", "auth/register", data, address=HOME).status_code == 201
    lock_out("grace")
    assert sign_in("grace", PASSWORD, HOME) == 200


def test_failed_sign_ins_do_not_lock_sessions_out(alice: User) -> None:
    access = start_session(alice).access
    lock_out("alice")
    assert change_password(access, PASSWORD) == 204


def test_wrong_passwords_in_a_session_lock_only_that_session(alice: User) -> None:
    stolen, own = start_session(alice).access, start_session(alice).access
    assert [change_password(stolen) for _ in range(4)] == [400, 400, 400, 429]
    assert_error(call("delete", "me", {"password": PASSWORD}, stolen), 429, "throttled")
    assert sign_in("alice", PASSWORD) == 200
    assert change_password(own, PASSWORD) == 204


def test_refused_new_passwords_are_no_attempts(alice: User) -> None:
    access = start_session(alice).access
    assert [change_password(access, PASSWORD, "short") for _ in range(4)] == [400] * 4
    assert change_password(access, PASSWORD) == 204


@pytest.mark.usefixtures("without_redis")
def test_limits_hold_in_each_process_while_redis_is_down(alice: User) -> None:
    lock_out("alice")
    access = start_session(alice).access
    assert [change_password(access) for _ in range(4)] == [400, 400, 400, 429]


@pytest.mark.usefixtures("without_redis")
def test_only_failures_count_while_redis_is_down(alice: User) -> None:
    assert [sign_in("alice", PASSWORD) for _ in range(5)] == [200] * 5


def test_account_keys_are_short_ascii() -> None:
    for username in ("x" * 100_000, "\ufdfa" * 100_000, "\ud800"):
        assert account_key(username).isascii()
        assert len(account_key(username)) < 50


def test_both_names_of_an_account_share_a_limit_without_a_sign_of_it(alice: User) -> None:
    """Beyond it the right password is answered like a wrong one, so that no one learns whose address it is."""
    lock_out("alice")
    unknown = call("post", "auth/token", {"username": "x@example.org", "password": PASSWORD}, address="192.0.2.50")
    right = call("post", "auth/token", {"username": alice.email, "password": PASSWORD}, address="192.0.2.51")
    assert (right.status_code, right.content) == (401, unknown.content)
    names = ("RateLimit-Limit", "RateLimit-Remaining", "Retry-After")
    assert [right.headers.get(name) for name in names] == [unknown.headers.get(name) for name in names]


def test_the_limit_of_the_account_counts_both_names(alice: User) -> None:
    for number, name in enumerate(("alice", alice.email, "alice")):
        assert sign_in(name, address=f"198.51.100.{number}") == 401
    assert sign_in(alice.email, PASSWORD, address="192.0.2.50") == 401
    assert sign_in("alice", PASSWORD, address="192.0.2.51") == 401


def test_an_address_that_signed_in_lately_may_use_either_name(alice: User) -> None:
    assert sign_in("alice", PASSWORD, HOME) == 200
    lock_out("alice")
    lock_out(alice.email)
    assert [sign_in(name, PASSWORD, HOME) for name in ("alice", alice.email)] == [200, 200]


def test_sign_ins_with_either_name_give_the_attempt_back(alice: User) -> None:
    names = ["alice", alice.email] * 4
    assert [sign_in(name, PASSWORD, f"192.0.2.{number}") for number, name in enumerate(names)] == [200] * 8


def test_the_admin_counts_in_the_limit_of_the_account() -> None:
    staff = create_staff(username="maria", email="maria@example.org", email_verified=True, password=PASSWORD)
    for number in range(LIMIT):
        sign_in(staff.email, address=f"198.51.100.{number}")
    form = {"username": "maria", "password": PASSWORD}
    refused = Client().post("/admin/login/", form, REMOTE_ADDR="192.0.2.50")
    assert refused.status_code == 200, "not a 429, which would show that both names belong together"
    assert Client().get("/admin/").status_code == 302


def test_a_claimed_address_gives_no_new_attempts_at_its_owner(alice: User) -> None:
    """Signing in to an account that claims the address does not make the client known for it."""
    for number in range(3):
        claim = UserFactory(username=f"mallory{number}", email=alice.email, password=PASSWORD)
        assert sign_in(claim.username, PASSWORD, f"198.51.100.{number}") == 200
    statuses = [sign_in(alice.email, "wrong", f"198.51.100.{number % 3}") for number in range(3 * LIMIT)]
    assert statuses.count(401) == LIMIT
