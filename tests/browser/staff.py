"""The demo network's members of staff, and one who is in no group."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page

from instafeed.stack.demo import ADMIN_PASSWORD, STAFF
from tests.live import LiveStack

_NOBODY = "newcomer"
_HIRE = f"""
from accounts.models import User
User.objects.create_user({_NOBODY!r}, "newcomer@example.org", {ADMIN_PASSWORD!r}, is_staff=True)
"""


@dataclass(frozen=True)
class Staff:
    username: str

    def sign_in(self, page: Page, path: str = "/admin/") -> None:
        page.goto(path)
        page.get_by_label("Username").fill(self.username)
        page.get_by_label("Password").fill(ADMIN_PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login/" not in url)

    def sign_out(self, page: Page) -> None:
        page.get_by_role("button", name="Log out").click()


def hire(stack: LiveStack) -> dict[str, Staff]:
    """The administrator, a moderator, an operator, and a newcomer, who has no rights at all."""
    done = stack.manage("shell", "-c", _HIRE)
    assert done.returncode == 0, done.stderr
    return {name: Staff(name) for name in (*STAFF, _NOBODY)}
