"""GET and PATCH /me/preferences, and what a user who wants no notifications of a kind is spared."""

from __future__ import annotations

from typing import Any

import pytest

from social.models import NotificationKind
from tests.db.social.notification_setup import consume_all_events
from tests.support.api_user import ApiUser

pytestmark = pytest.mark.django_db
PATH = "/me/preferences"
ON = {"in_app": True, "push": True}


def change(user: ApiUser, **kinds: Any) -> Any:
    response = user.call("patch", PATH, {"notifications": kinds})
    assert response.status_code == 200, response.content
    return response.json()["notifications"]


def kinds_in_list(user: ApiUser) -> list[str]:
    consume_all_events()
    return [entry["kind"] for entry in user.get("/notifications")["results"]]


def test_all_kinds_are_on_at_first() -> None:
    assert ApiUser().get(PATH) == {"notifications": dict.fromkeys(NotificationKind.values, ON)}


def test_change_keeps_other_kinds_and_channels() -> None:
    user, other = ApiUser(), ApiUser()
    change(user, like={"push": False})
    changed = change(user, like={"in_app": False}, follow={"push": False})
    assert changed["like"] == {"in_app": False, "push": False}
    assert changed["follow"] == {"in_app": True, "push": False}
    assert changed["comment"] == ON
    assert user.get(PATH) == {"notifications": changed}
    assert change(user, like={"push": True})["like"] == {"in_app": False, "push": True}
    assert other.get(PATH)["notifications"]["like"] == ON


@pytest.mark.parametrize("body", [{}, {"notifications": {}}, {"notifications": {"like": {}}}])
def test_empty_change_changes_nothing(body: dict[str, Any]) -> None:
    user = ApiUser()
    assert user.call("patch", PATH, body).status_code == 200
    assert user.get(PATH)["notifications"]["like"] == ON


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [
        ({"notifications": {"poke": {"push": False}}}, "notifications", "invalid_choice"),
        ({"notifications": {"warning": {"in_app": False}}}, "notifications.warning.in_app", "always_in_app"),
        (
            {"notifications": {"content_hidden": {"in_app": False}}},
            "notifications.content_hidden.in_app",
            "always_in_app",
        ),
        ({"notifications": {"like": {"push": "no"}}}, "notifications.like.push", "invalid"),
        ({"notifications": {"like": False}}, "notifications.like.non_field_errors", "invalid"),
        ({"notifications": ["like"]}, "notifications.non_field_errors", "invalid"),
        ({"notifications": None}, "notifications", "null"),
    ],
)
def test_invalid_change_is_refused(body: dict[str, Any], attr: str, code: str) -> None:
    user = ApiUser()
    response = user.call("patch", PATH, body)
    assert response.status_code == 400
    errors = [(error["attr"], error["code"]) for error in response.json()["errors"]]
    assert errors == [(attr, code)]
    assert user.get(PATH) == {"notifications": dict.fromkeys(NotificationKind.values, ON)}


def test_kind_that_is_off_makes_no_entry() -> None:
    author, fan = ApiUser(), ApiUser()
    post = author.create_post()
    change(author, like={"in_app": False})
    fan.like(post)
    fan.create_comment(post)
    assert kinds_in_list(author) == ["comment"]
    change(author, like={"in_app": True})
    ApiUser().like(post)
    assert kinds_in_list(author) == ["like", "comment"]


def test_warning_can_be_turned_off_as_push_only() -> None:
    assert change(ApiUser(), warning={"push": False})["warning"] == {"in_app": True, "push": False}
