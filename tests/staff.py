"""Staff at work: signed in to the admin, doing what buttons and forms do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.factories import UserFactory

PASSWORD = "correct horse battery"


def create_staff(*groups: str, **fields: Any) -> User:
    """A member of staff in these groups, by name; `is_superuser=True` for one who may do anything."""
    user = UserFactory(is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    assert user.groups.count() == len(groups)
    return user


def admin_client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def operator_client() -> Client:
    return admin_client(create_staff("Operator"))


def moderator_client() -> Client:
    return admin_client(create_staff("Moderator"))


def superuser_client() -> Client:
    return admin_client(create_staff(is_superuser=True))


def run_bulk_action(client: Client, url: str, action: str, *ids: int, **more: str) -> list[str]:
    """Have a list's action done to these; what the page says then."""
    data = {"action": action, "_selected_action": [str(pk) for pk in ids], **more}
    answer = client.post(url, data, follow=True)
    assert answer.status_code == 200, answer.content
    return [str(message) for message in answer.context["messages"]]


class StaffMember:
    """One of them, who knows the pages of acts (`accounts.admin.action_admin`) by their models."""

    def __init__(self, *groups: str, **fields: Any) -> None:
        self.user = create_staff(*groups, **fields)
        self.client = admin_client(self.user)

    def page(self, name: str, *args: Any, status: int = 200, **query: Any) -> Any:
        """The answer to a GET of an admin page: `posts_case_changelist`, say."""
        answer = self.client.get(reverse(f"admin:{name}", args=args), query)
        assert answer.status_code == status, answer.content[:2000]
        return answer

    def rows(self, model: str, **query: Any) -> list[Any]:
        """A list's rows, in their order."""
        return list(self.page(f"{model}_changelist", **query).context["cl"].result_list)

    def act(self, model: str, act: str, *ids: Any, **given: Any) -> Any:
        """The answer to a form of an act: a redirect if it was valid."""
        data = {"pk": [str(id_) for id_ in ids], **given}
        return self.client.post(reverse(f"admin:{model}_act", args=[act]), data)

    def told(self, model: str, act: str, *ids: Any, **given: Any) -> list[str]:
        """What the messages say afterwards; the act's form must have been valid."""
        answer = self.act(model, act, *ids, **given)
        assert answer.status_code == 302, answer.context and answer.context["offer"].form.errors
        page = self.client.get(answer["Location"])
        assert page.status_code == 200
        return [str(message) for message in page.context["messages"]]
