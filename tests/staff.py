"""Staff at work: signed in to the admin, doing what buttons and forms do."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.factories import UserFactory


class Staff:
    """A member of some groups, by name; `superuser=True` for one who may do anything."""

    def __init__(self, *groups: str, superuser: bool = False, **fields: Any) -> None:
        self.user: User = UserFactory(is_staff=True, is_superuser=superuser, **fields)
        self.user.groups.set(Group.objects.filter(name__in=groups))
        assert self.user.groups.count() == len(groups)
        self.client = Client()
        self.client.force_login(self.user)

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
