"""Pending accounts, invites and blocks in the admin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, BlockedEmailDomain, BlockedNetwork, Erasure, Invite, User
from tests.db.accounts.registration.registering import create_invite
from tests.support.factories import UserFactory
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db
MAX_QUERIES = 15


def create_pending(username: str, days: int = 0, **fields: Any) -> User:
    since = timezone.now() - timedelta(days=days)
    return UserFactory(username=username, is_active=False, pending_since=since, **fields)


def add(staff: StaffMember, model: str, **data: Any) -> Any:
    """Submit the form that adds a row, and return the response: a redirect if the form was valid."""
    return staff.client.post(reverse(f"admin:accounts_{model}_add"), data)


def form_error(response: Any, field: str) -> str:
    assert response.status_code == 200
    return str(response.context["adminform"].form.errors[field])


def test_pending_accounts_oldest_first(moderator: StaffMember) -> None:
    for name, days in (("second", 2), ("third", 1), ("first", 3)):
        create_pending(name, days, email=f"{name}@example.org", registration_address="198.51.100.7")
    UserFactory(username="approved")
    assert [row.username for row in moderator.rows("accounts_pendingaccount")] == ["first", "second", "third"]
    page = moderator.page("accounts_pendingaccount_changelist").content.decode()
    assert "first@example.org" in page
    assert "198.51.100.7" in page
    assert [row.username for row in moderator.rows("accounts_pendingaccount", q="SEC")] == ["second"]


def test_approve_and_reject_several(moderator: StaffMember) -> None:
    one, two, three = (create_pending(name) for name in ("one", "two", "three"))
    assert moderator.run_action("accounts_pendingaccount", "approve", one.pk, two.pk) == ["2 approved."]
    assert moderator.run_action("accounts_pendingaccount", "reject", three.pk, reason="spam") == ["rejected."]
    assert set(User.objects.filter(is_active=True).values_list("username", flat=True)) == {"mod", "one", "two"}
    assert Erasure.objects.get().user_id == three.pk
    entries = AuditEntry.objects.order_by("pk").values_list("action", "user_id", "actor_name", "reason")
    assert list(entries) == [
        ("approve", one.pk, "mod", ""),
        ("approve", two.pk, "mod", ""),
        ("reject", three.pk, "mod", "spam"),
    ]
    assert "does not exist any more" in moderator.run_action("accounts_pendingaccount", "reject", one.pk, reason="x")[0]


def test_rejection_needs_a_reason(moderator: StaffMember) -> None:
    user = create_pending("alice")
    assert moderator.post_action("accounts_pendingaccount", "reject", user.pk).status_code == 200
    assert not Erasure.objects.exists()


def test_page_of_a_pending_account_has_buttons(moderator: StaffMember) -> None:
    user = create_pending("alice")
    page = moderator.page("accounts_pendingaccount_change", user.pk)
    assert [name for name, _ in page.context["buttons"]] == ["approve", "reject"]
    response = moderator.client.post(
        reverse("admin:accounts_pendingaccount_changelist"), {"action": "approve", "_selected_action": [str(user.pk)]}
    )
    assert "alice" in response.content.decode()
    assert "awaits approval" in moderator.page("accounts_user_change", user.pk).content.decode()


def test_pending_list_has_a_fixed_number_of_queries(moderator: StaffMember) -> None:
    counts = []
    for number in range(2):
        for each in range(20 * number + 1):
            create_pending(f"user{number}.{each}")
        with CaptureQueriesContext(connection) as queries:
            moderator.page("accounts_pendingaccount_changelist")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= MAX_QUERIES


def test_add_and_revoke_an_invite(operator: StaffMember) -> None:
    response = add(operator, "invite", max_uses="5", days="3", note="for the club")
    assert response.status_code == 302
    invite = Invite.objects.get()
    assert (invite.max_uses, invite.note, invite.created_by) == (5, "for the club", operator.user)
    assert invite.expires_at is not None
    assert timedelta(days=2.9) < invite.expires_at - timezone.now() <= timedelta(days=3)
    page = operator.page("accounts_invite_changelist").content.decode()
    assert f"{invite.code[:4]}-{invite.code[4:8]}" in page
    assert "0 of 5" in page
    assert operator.run_action("accounts_invite", "revoke", invite.pk, reason="leaked") == ["revoked."]
    assert operator.run_action("accounts_invite", "revoke", invite.pk)[0].startswith("This was already done by op")
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "target_id", "reason")) == [
        ("create_invite", invite.pk, ""),
        ("revoke_invite", invite.pk, "leaked"),
    ]
    assert "revoked" in operator.page("accounts_invite_change", invite.pk).content.decode()


def test_invite_without_an_end(operator: StaffMember) -> None:
    add(operator, "invite", max_uses="1", days="0", note="")
    assert Invite.objects.get().expires_at is None


@pytest.mark.parametrize(
    ("field", "value"), [("max_uses", "0"), ("max_uses", "100001"), ("days", "-1"), ("days", "x"), ("note", "x" * 201)]
)
def test_invalid_invites_are_refused(operator: StaffMember, field: str, value: str) -> None:
    assert form_error(add(operator, "invite", **{"max_uses": "1", "days": "7", "note": "", field: value}), field)
    assert not Invite.objects.exists()


def test_users_of_an_invite(operator: StaffMember) -> None:
    invite = create_invite(max_uses=2)
    UserFactory(username="invited", invite=invite)
    assert f"/admin/accounts/user/?invite={invite.pk}" in operator.page("accounts_invite_changelist").content.decode()
    assert [row.username for row in operator.rows("accounts_user", invite=str(invite.pk))] == ["invited"]


def test_block_and_unblock_a_domain(operator: StaffMember) -> None:
    assert add(operator, "blockedemaildomain", domain=" Bücher.Example. ", note="spam").status_code == 302
    blocked = BlockedEmailDomain.objects.get()
    assert (blocked.domain, blocked.note, blocked.created_by) == ("xn--bcher-kva.example", "spam", operator.user)
    assert "already exists" in form_error(add(operator, "blockedemaildomain", domain="bücher.example"), "domain")
    assert operator.run_action("accounts_blockedemaildomain", "unblock", blocked.pk) == ["unblocked."]
    assert not BlockedEmailDomain.objects.exists()
    entries = AuditEntry.objects.order_by("pk").values_list("action", "before", "after")
    assert list(entries) == [
        ("block_domain", {}, {"domain": "xn--bcher-kva.example"}),
        ("unblock_domain", {"domain": "xn--bcher-kva.example"}, {}),
    ]


@pytest.mark.parametrize("domain", ["com", "user@example.com", "a b.example", "https://example.com/", "\0", "x" * 300])
def test_invalid_domains_are_refused(operator: StaffMember, domain: str) -> None:
    assert form_error(add(operator, "blockedemaildomain", domain=domain), "domain")
    assert not BlockedEmailDomain.objects.exists()


def test_block_and_unblock_a_network(operator: StaffMember) -> None:
    assert add(operator, "blockednetwork", network="::ffff:203.0.113.9/120", note="a farm").status_code == 302
    blocked = BlockedNetwork.objects.get()
    assert (str(blocked.network), blocked.created_by) == ("203.0.113.0/24", operator.user)
    assert "already exists" in form_error(add(operator, "blockednetwork", network="203.0.113.4/24"), "network")
    assert "203.0.113.0/24" in operator.page("accounts_blockednetwork_changelist").content.decode()
    assert operator.run_action("accounts_blockednetwork", "unblock", blocked.pk) == ["unblocked."]
    entries = AuditEntry.objects.order_by("pk").values_list("action", "before", "after")
    assert list(entries) == [("block_network", {}, {"prefix": 24}), ("unblock_network", {"prefix": 24}, {})]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "10.0.0.0/7", "2000::/3", "203.0.113.0/33", "x", "", "\0"])
def test_invalid_networks_are_refused(operator: StaffMember, network: str) -> None:
    assert form_error(add(operator, "blockednetwork", network=network), "network")
    assert not BlockedNetwork.objects.exists()


@pytest.mark.parametrize("model", ["invite", "blockedemaildomain", "blockednetwork"])
def test_lists_have_a_fixed_number_of_queries(operator: StaffMember, model: str) -> None:
    counts = []
    for number in range(2):
        for each in range(20 * number + 1):
            creator = UserFactory()
            Invite.objects.create(code=f"{number}-{each}", created_by=creator)
            BlockedEmailDomain.objects.create(domain=f"d{number}-{each}.example", created_by=creator)
            BlockedNetwork.objects.create(network=f"203.0.{number}.{each}", created_by=creator)
        with CaptureQueriesContext(connection) as queries:
            operator.page(f"accounts_{model}_changelist")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= MAX_QUERIES
