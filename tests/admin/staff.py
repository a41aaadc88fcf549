"""Members of staff, signed in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User
from tests.factories import UserFactory

PASSWORD = "correct horse battery"


def member(*groups: str, **fields: Any) -> User:
    """A member of staff in these groups, with a password."""
    user = UserFactory(password=PASSWORD, is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def operator() -> Client:
    return signed_in(member("Operator"))


def moderator() -> Client:
    return signed_in(member("Moderator"))


def superuser() -> Client:
    return signed_in(member(is_superuser=True))


def act(client: Client, url: str, action: str, *ids: int, **more: str) -> list[str]:
    """Have a list's action done to these; what the page says then."""
    data = {"action": action, "_selected_action": [str(pk) for pk in ids], **more}
    answer = client.post(url, data, follow=True)
    assert answer.status_code == 200, answer.content
    return [str(message) for message in answer.context["messages"]]
