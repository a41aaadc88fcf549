"""Registrations in a browser: a moderator decides on pending accounts, an operator manages invites and blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.staff_users import StaffUser
from tests.support.http_user import PASSWORD
from tests.support.live_stack import LiveStack


@pytest.fixture(autouse=True)
def approval_mode(admin_stack: LiveStack) -> Iterator[None]:
    with admin_stack.restarted("web", REGISTRATION="approval", NUM_PROXIES="1"):
        yield


def register(
    stack: LiveStack, username: str, domain: str = "mail.example", address: str = "198.51.100.7", **fields: str
) -> httpx.Response:
    body = {"username": username, "email": f"{username}@{domain}", "password": PASSWORD, **fields}
    return stack.client.post("/api/v1/auth/register", json=body, headers={"X-Forwarded-For": address})


def sign_in(stack: LiveStack, username: str) -> int:
    body = {"username": username, "password": PASSWORD}
    return stack.client.post("/api/v1/auth/token", json=body).status_code


def choose(page: Page, action: str, *usernames: str) -> None:
    """Tick rows of a list and choose an action. Its confirmation page opens."""
    for username in usernames:
        page.get_by_role("row").filter(has_text=username).get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option(action)
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).click()


def confirm(page: Page, label: str, reason: str = "") -> str:
    """Submit a confirmation page and return the message of the next page."""
    page.get_by_label("Note").or_(page.get_by_label("Reason")).fill(reason)
    page.get_by_role("main").get_by_role("button", name=label, exact=True).click()
    return page.locator(".messagelist").inner_text()


def test_moderator_approves_and_rejects(
    page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack, shoot: Callable[[str], None]
) -> None:
    names = ("harbour.pilot", "lighthouse", "cheap.watches", "sailor_kim")
    for number, name in enumerate(names):
        response = register(admin_stack, name, address=f"203.0.113.{7 * number + 5}")
        assert (response.status_code, response.json()["pending"]) == (202, True)
        assert sign_in(admin_stack, name) == 403
    admin_stack.manage("confirm_email", "sailor_kim")
    staff["moderator"].sign_in(page)
    page.get_by_role("link", name=re.compile(r"^\d+ pending accounts")).click()
    page.wait_for_url("**/pendingaccount/")
    rows = page.locator("#result_list tbody tr").filter(has_text=re.compile("|".join(f"{name}@mail" for name in names)))
    listed = rows.all_inner_texts()
    assert [f"{name}@mail.example" in row for name, row in zip(names, listed, strict=True)] == [True] * 4
    assert ["203.0.113.5" in listed[0], "203.0.113.26" in listed[3]] == [True, True]
    shoot("registrations")

    choose(page, "approve", "harbour.pilot", "sailor_kim")
    assert confirm(page, "Approve") == "2 approved."
    assert [sign_in(admin_stack, name) for name in names] == [200, 403, 403, 200]
    page.get_by_role("link", name="cheap.watches").click()
    page.get_by_role("button", name="Reject").click()
    assert confirm(page, "Reject", "Advertising.") == "Rejected."
    assert sign_in(admin_stack, "cheap.watches") == 401
    assert [page.get_by_role("link", name=name).count() for name in names] == [0, 1, 0, 0]
    page.goto("/admin/accounts/auditentry/?action=reject")
    assert "Advertising." in page.locator("#result_list").inner_text()


def test_operator_manages_invites_and_blocks(page: Page, staff: dict[str, StaffUser], admin_stack: LiveStack) -> None:
    staff["operator"].sign_in(page, "/admin/accounts/invite/add/")
    page.get_by_label("Note:").fill("for the club")
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.locator("#result_list tbody tr").filter(has_text="for the club")
    code = row.locator("th").inner_text()
    assert register(admin_stack, "invited", invite=code).status_code == 201
    assert register(admin_stack, "latecomer", "other.example", invite=code).status_code == 202
    page.reload()
    assert "1 of 1" in row.inner_text()

    page.goto("/admin/accounts/blockedemaildomain/add/")
    page.get_by_label("Domain:").fill("Spam.example")
    page.get_by_role("button", name="Save", exact=True).click()
    response = register(admin_stack, "spammer", domain="sub.spam.example")
    assert response.json()["errors"][0]["code"] == "email_domain_blocked"
    choose(page, "unblock", "spam.example")
    assert confirm(page, "Unblock") == "Unblocked."
    assert register(admin_stack, "spammer", domain="sub.spam.example").status_code == 202


def test_staff_without_permission_see_no_registrations(page: Page, staff: dict[str, StaffUser]) -> None:
    for member, forbidden in (
        ("operator", ("pendingaccount",)),
        ("moderator", ("invite", "blockedemaildomain", "blockednetwork")),
    ):
        staff[member].sign_in(page)
        for model in forbidden:
            response = page.goto(f"/admin/accounts/{model}/")
            assert response is not None
            assert response.status == 403, model
        page.context.clear_cookies()
