"""The staff of the demo network, and one staff user without a group."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page

from instafeed.devstack.demo_credentials import ADMIN_PASSWORD, STAFF
from tests.support.live_stack import LiveStack

_NEWCOMER = "newcomer"
_CREATE_NEWCOMER = f"""
from accounts.models import User
User.objects.create_user({_NEWCOMER!r}, "newcomer@example.org", {ADMIN_PASSWORD!r}, is_staff=True)
"""


@dataclass(frozen=True)
class StaffUser:
    username: str

    def sign_in(self, page: Page, path: str = "/admin/") -> None:
        page.goto(path)
        page.get_by_label("Username").fill(self.username)
        page.get_by_label("Password").fill(ADMIN_PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login/" not in url)

    def sign_out(self, page: Page) -> None:
        with page.expect_navigation():
            page.get_by_role("button", name="Log out").click()


def create_staff_users(stack: LiveStack) -> dict[str, StaffUser]:
    """Return the administrator, a moderator, an operator, and a newcomer without any permission."""
    stack.manage("shell", "-c", _CREATE_NEWCOMER)
    return {name: StaffUser(name) for name in (*STAFF, _NEWCOMER)}
