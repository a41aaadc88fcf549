"""Members of staff, made as a superuser of the running stack would."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Page

from tests.live import LiveStack

PASSWORD = "a long enough secret"
_HIRE = f"""
PASSWORD = {PASSWORD!r}
from django.contrib.auth.models import Group
from accounts.models import User
for name in ("Moderator", "Operator", "none", "superuser"):
    user = User.objects.create_user(name.lower(), name + "@example.org", PASSWORD, is_staff=True)
    if name in ("Moderator", "Operator"):
        user.groups.add(Group.objects.get(name=name))
    user.is_superuser = name == "superuser"
    user.save()
"""


@dataclass(frozen=True)
class Staff:
    username: str

    def sign_in(self, page: Page, path: str = "/admin/") -> None:
        page.goto(path)
        page.get_by_label("Username").fill(self.username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login/" not in url)

    def sign_out(self, page: Page) -> None:
        page.get_by_role("button", name="Log out").click()


def hire(stack: LiveStack) -> dict[str, Staff]:
    """A moderator, an operator, a superuser, and "none", who has no rights at all."""
    done = stack.manage("shell", "-c", _HIRE)
    assert done.returncode == 0, done.stderr
    return {name: Staff(name) for name in ("moderator", "operator", "superuser", "none")}
