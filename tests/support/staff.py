"""Staff accounts for tests, signed in to the admin, with calls for its lists, pages and actions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.support.factories import UserFactory

PASSWORD = "correct horse battery"


def create_staff(*groups: str, **fields: Any) -> User:
    """Create a member of staff in the groups with these names. `is_superuser=True` grants all permissions."""
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


def run_bulk_action(client: Client, url: str, action: str, *ids: int, **fields: str) -> list[str]:
    """Run an action of a change list on rows and return the messages of the next page."""
    data = {"action": action, "_selected_action": [str(pk) for pk in ids], **fields}
    response = client.post(url, data, follow=True)
    assert response.status_code == 200, response.content
    return [str(message) for message in response.context["messages"]]


class StaffMember:
    """A member of staff who uses pages with actions (`accounts.admin.action_model_admin`).

    `model` arguments are the names of admin pages without their suffix, such as "accounts_user".
    """

    def __init__(self, *groups: str, **fields: Any) -> None:
        self.user = create_staff(*groups, **fields)
        self.client = admin_client(self.user)

    def page(self, name: str, *args: Any, status: int = 200, **query: Any) -> Any:
        """Return the response to a GET of an admin page, for example "posts_case_changelist"."""
        response = self.client.get(reverse(f"admin:{name}", args=args), query)
        assert response.status_code == status, response.content[:2000]
        return response

    def rows(self, model: str, **query: Any) -> list[Any]:
        """Return the rows of a change list in their order."""
        return list(self.page(f"{model}_changelist", **query).context["cl"].result_list)

    def post_action(self, model: str, action: str, *ids: Any, **fields: Any) -> Any:
        """Post an action's form and return the response: a redirect if the form was valid."""
        data = {"pk": [str(id_) for id_ in ids], **fields}
        return self.client.post(reverse(f"admin:{model}_act", args=[action]), data)

    def run_action(self, model: str, action: str, *ids: Any, **fields: Any) -> list[str]:
        """Post an action's valid form and return the messages of the next page."""
        response = self.post_action(model, action, *ids, **fields)
        assert response.status_code == 302, response.context and response.context["bound_action"].form.errors
        page = self.client.get(response["Location"])
        assert page.status_code == 200
        return [str(message) for message in page.context["messages"]]
