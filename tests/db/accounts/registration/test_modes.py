"""Who gets an account: every mode with every kind of invite, and what blocks refuse in each."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import invites, registration, services
from accounts.client_info import ClientInfo
from accounts.models import BlockedEmailDomain, BlockedNetwork, Invite, OutgoingMail, User
from tests.db.accounts.auth_client import is_token_accepted
from tests.db.accounts.registration.registering import (
    EXPIRED,
    INVALID,
    NO_INVITE,
    REVOKED,
    USED_UP,
    VALID,
    WRONG,
    create_invite,
    register,
    typed_code,
)
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db

CREATED, PENDING = (201, ""), (202, "")
INVITE_REQUIRED, CLOSED = (403, "invite_required"), (403, "registration_closed")
STATES = (NO_INVITE, VALID, WRONG, EXPIRED, USED_UP, REVOKED)
TABLE = {
    "open": dict.fromkeys(STATES, CREATED),
    "approval": {**dict.fromkeys(STATES, PENDING), VALID: CREATED},
    "invite": {**dict.fromkeys(STATES, INVITE_REQUIRED), VALID: CREATED},
    "closed": dict.fromkeys(STATES, CLOSED),
}
CELLS = [(mode, state, expected) for mode, row in TABLE.items() for state, expected in row.items()]
BLOCKS = {
    "domain": (400, "email_domain_blocked"),
    "network": (403, "registration_refused"),
    "both": (403, "registration_refused"),
}


@pytest.mark.parametrize(("mode", "state", "expected"), CELLS)
def test_mode_and_invite_decide(settings: Settings, mode: str, state: str, expected: tuple[int, str]) -> None:
    settings.REGISTRATION = mode
    code = typed_code(state)
    before = list(Invite.objects.values())
    response = register(invite=code)
    status, error = expected
    if error:
        assert_error(response, status, error)
        assert not User.objects.exists()
        assert not OutgoingMail.objects.exists()
        assert list(Invite.objects.values()) == before
        return
    assert response.status_code == status
    body, user = response.json(), User.objects.get()
    assert body["user"]["username"] == "alice"
    assert OutgoingMail.objects.get().kind == "verify"
    is_used = state == VALID
    assert (user.invite is not None, sum(Invite.objects.values_list("uses", flat=True))) == (
        is_used,
        1 if is_used or state == USED_UP else 0,
    )
    if status == 202:
        assert body.keys() == {"user", "pending"}
        assert body["pending"] is True
        assert (user.is_active, user.registration_address) == (False, "198.51.100.7")
    else:
        assert is_token_accepted(body["access"])
        assert (user.is_active, user.pending_since, user.registration_address) == (True, None, "")


def test_service_refuses_while_closed(settings: Settings) -> None:
    settings.REGISTRATION = "closed"
    application = registration.Application("alice", "alice@example.org", "correct horse battery", typed_code(VALID))
    with pytest.raises(registration.RegistrationClosed):
        registration.register(application, ClientInfo(), None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"username": 5}'])
def test_closed_site_does_not_read_the_body(settings: Settings, body: bytes) -> None:
    settings.REGISTRATION = "closed"
    response = Client().post("/api/v1/auth/register", body, content_type="application/json")
    assert_error(response, 403, "registration_closed")


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("state", [NO_INVITE, VALID])
@pytest.mark.parametrize("mode", TABLE)
def test_blocks_refuse_in_every_mode(settings: Settings, mode: str, state: str, block: str) -> None:
    settings.REGISTRATION = mode
    if block in ("domain", "both"):
        BlockedEmailDomain.objects.create(domain="example.org")
    if block in ("network", "both"):
        BlockedNetwork.objects.create(network="198.51.100.0/24")
    code = typed_code(state)
    assert_error(register(invite=code), *(CLOSED if mode == "closed" else BLOCKS[block]))
    assert not User.objects.exists()
    assert not Invite.objects.filter(uses__gt=0).exists()


@pytest.mark.parametrize("state", INVALID)
def test_invalid_invites_have_one_answer(settings: Settings, state: str) -> None:
    settings.REGISTRATION = "invite"
    assert register(invite=typed_code(state)).content == register(invite=typed_code(NO_INVITE)).content


@pytest.mark.parametrize("write", [str.upper, lambda code: code.replace("-", ""), lambda code: f" {code}\n"])
def test_spelling_of_a_code_does_not_matter(settings: Settings, write: object) -> None:
    settings.REGISTRATION = "invite"
    assert callable(write)
    assert register(invite=write(typed_code(VALID))).status_code == 201


@pytest.mark.parametrize("code", [None, 5, [], {}, "a" * 65, "a\0b"])
def test_malformed_codes_are_400(code: object) -> None:
    assert assert_error(register(invite=code), 400)["attr"] in ("invite", None)


@pytest.mark.parametrize("code", ["", "  ", "-", "é", "\u202e"])
def test_codes_that_no_invite_has_are_refused(settings: Settings, code: str) -> None:
    settings.REGISTRATION = "invite"
    create_invite()
    assert_error(register(invite=code), 403, "invite_required")


def test_an_invite_counts_each_account(settings: Settings) -> None:
    settings.REGISTRATION = "invite"
    invite = create_invite(max_uses=2)
    code = invites.format_code(invite)
    assert [register(name, invite=code).status_code for name in ("ann", "ben", "cid")] == [201, 201, 403]
    assert list(invite.user_set.order_by("pk").values_list("username", flat=True)) == ["ann", "ben"]


def test_a_failed_registration_uses_nothing_up(settings: Settings) -> None:
    settings.REGISTRATION = "invite"
    UserFactory(username="alice")
    code = typed_code(VALID)
    assert_error(register(invite=code), 400, "unique")
    assert register("ben", invite=code).status_code == 201


def test_codes_are_unguessable() -> None:
    codes = {create_invite().code for _ in range(50)}
    assert len(codes) == 50
    assert all(len(code) == 28 and len(set(code)) > 5 for code in codes)
    assert len(set("".join(codes))) == 32  # 5 bits a character


@pytest.mark.parametrize("mode", TABLE)
def test_operators_create_accounts_in_every_mode(settings: Settings, mode: str) -> None:
    settings.REGISTRATION = mode
    BlockedEmailDomain.objects.create(domain="example.org")
    assert services.register("alice", "alice@example.org", "correct horse battery").is_active


def test_invalid_codes_count_as_registrations(settings: Settings) -> None:
    settings.REGISTRATION = "invite"
    settings.THROTTLES = settings.THROTTLES | {"register": "2/hour"}
    codes = [typed_code(state) for state in (WRONG, EXPIRED, VALID)]
    assert [register(invite=code).status_code for code in codes] == [403, 403, 429]
