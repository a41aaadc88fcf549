"""Who may do what in the admin: every page and every act by everybody, in one table. What it forgets is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import audit
from accounts.models import AuditEntry, User
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState
from media import storage
from media.models import Media, Status
from posts import services
from posts.models import Case, Reason, TargetType
from tests.factories import UserFactory
from tests.staff import admin_client

pytestmark = pytest.mark.django_db

MODERATORS, OPERATORS = {"moderator", "superuser"}, {"operator", "superuser"}
BOTH, SUPERUSERS, NOBODY = MODERATORS | OPERATORS, {"superuser"}, set[str]()
ROLES = ("anonymous", "user", "staff without a group", "moderator", "operator", "superuser")
STAFF = {"staff without a group", *BOTH}

# Who sees a model's list, its rows and their history.
VIEWERS = {
    "accounts_auditentry": BOTH,
    "accounts_user": BOTH,
    "auth_group": SUPERUSERS,
    "feeds_fanout": OPERATORS,
    "media_media": BOTH,
    "posts_case": MODERATORS,
    "posts_comment": MODERATORS,
    "posts_post": MODERATORS,
}
# Who adds, changes and deletes rows by Django's own forms; whatever else is changed is changed by acts.
EDITORS = {("auth_group", "add"): SUPERUSERS, ("auth_group", "delete"): SUPERUSERS}
# Pages of no model.
OTHER_PAGES = {
    "index": STAFF,
    "password_change": STAFF,
    "password_change_done": STAFF,
    "jsi18n": STAFF,
    "app_list": BOTH,
}
# Asked elsewhere, or of no row: the sign-in itself, and what answers a search in forms that there are not.
UNCHECKED_PAGES = {"login", "logout", "autocomplete", "view_on_site", None}

_JUDGING = dict.fromkeys(("dismiss", "hide", "restore", "delete", "warn", "suspend", "lift"), MODERATORS)
OBJECT_ACTIONS = {
    "accounts_user": {
        **dict.fromkeys(("suspend", "lift", "end_sessions"), MODERATORS),
        **dict.fromkeys(("pull", "push", "unpin"), OPERATORS),
    },
    "posts_case": _JUDGING,
    "posts_post": _JUDGING,
    "posts_comment": _JUDGING,
}
LIST_ACTIONS = {"feeds_fanout": {"resume": OPERATORS}, "media_media": {"reprocess": OPERATORS}}
# What has to have been done before, for an act to change anything.
PREPARING_ACTION = {"restore": "hide", "lift": "suspend", "unpin": "pull"}


@dataclass
class AdminObjects:
    """Somebody who is reported, with a row of each kind, by model."""

    ids: dict[str, int]
    clients: dict[str, Client]
    users: dict[str, User]


@pytest.fixture
def world(settings: Settings, tmp_path: Any) -> AdminObjects:
    settings.MEDIA_ROOT = str(tmp_path)
    somebody, reporter = UserFactory(username="somebody"), UserFactory()
    post = services.create_post(somebody.pk, "look at me")
    comment = services.create_comment(somebody.pk, post.pk, somebody.pk, "me again", None)
    for kind, target_id in ((TargetType.POST, post.pk), (TargetType.COMMENT, comment.pk)):
        services.file_report(reporter.pk, services.Target(kind, target_id, somebody.pk), Reason.SPAM, "")
    FanOut.objects.filter(pk=post.pk).update(state=JobState.DEAD)
    somebody.session_set.create(refresh_jti="0123456789abcdef" * 2, expires_at=timezone.now() + timedelta(days=1))
    kept = storage.new_incoming_path()
    storage.save(kept, BytesIO(b"a picture"), "image/jpeg")
    media = Media.objects.create(owner=somebody, status=Status.FAILED, original_path=kept)
    users = {
        "user": UserFactory(),
        "staff without a group": UserFactory(is_staff=True),
        "moderator": UserFactory(is_staff=True),
        "operator": UserFactory(is_staff=True),
        "superuser": UserFactory(is_staff=True, is_superuser=True),
    }
    for role in ("moderator", "operator"):
        users[role].groups.set([Group.objects.get(name=role.title())])
    entry = audit.record(users["superuser"], "hide", "post", post.pk, user_id=somebody.pk)
    ids = {
        "accounts_auditentry": entry.pk,
        "accounts_user": somebody.pk,
        "auth_group": users["moderator"].groups.get().pk,
        "feeds_fanout": post.pk,
        "media_media": media.pk,
        "posts_case": Case.objects.get(target_id=post.pk).pk,
        "posts_comment": comment.pk,
        "posts_post": post.pk,
    }
    clients = {role: admin_client(user) for role, user in users.items()} | {"anonymous": Client()}
    return AdminObjects(ids, clients, users)


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is done within has not been done afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def names() -> set[str | None]:
    """Of all the admin's pages."""

    def walk(patterns: Any) -> Iterator[str | None]:
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                yield pattern.name
            elif isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)

    return set(walk(admin.site.get_urls()))


def name_of(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def pages() -> Iterator[tuple[str, str, set[str]]]:
    """Model or "", the page's name, and who sees it."""
    for name, allowed in OTHER_PAGES.items():
        yield "", name, allowed
    for model, allowed in VIEWERS.items():
        for kind in ("changelist", "change", "history"):
            yield model, kind, allowed
        for kind in ("add", "delete"):
            yield model, kind, EDITORS.get((model, kind), NOBODY)


def test_the_table_knows_every_page_and_every_act() -> None:
    known = {f"{model}_{kind}" if model else kind for model, kind, _ in pages()}
    assert names() - UNCHECKED_PAGES - {f"{model}_act" for model in OBJECT_ACTIONS} == known
    registered = {name_of(model): page for model, page in admin.site._registry.items()}
    assert {
        model: {action.name for action in actions}
        for model, page in registered.items()
        if (actions := getattr(page, "admin_actions", ()))
    } == {model: set(acts) for model, acts in OBJECT_ACTIONS.items()}
    assert {model: set(page.actions) for model, page in registered.items() if page.actions} == {
        model: set(actions) for model, actions in LIST_ACTIONS.items()
    }


@pytest.mark.parametrize("role", ROLES)
def test_pages_are_seen_by_whom_they_are_for(world: AdminObjects, role: str) -> None:
    wrong = []
    for model, kind, allowed in pages():
        arguments = [world.ids[model]] if kind in ("change", "history", "delete") else []
        arguments = ["accounts"] if kind == "app_list" else arguments
        path = reverse(f"admin:{model}_{kind}" if model else f"admin:{kind}", args=arguments)
        answer = world.clients[role].get(path)
        expected = 200 if role in allowed else 403
        if role not in STAFF and expected == 403:
            expected = 302
            assert answer.status_code != 302 or "/admin/login/" in answer["Location"]
        if kind == "app_list" and role == "staff without a group":
            expected = 404  # nothing of that app is theirs
        if answer.status_code != expected:
            wrong.append((path, answer.status_code, expected))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_acts_are_done_by_those_who_may(world: AdminObjects, role: str) -> None:
    """To somebody whom nothing protects; what services refuse to everybody is told in tests of moderation."""
    wrong = []
    for model, acts in OBJECT_ACTIONS.items():
        for name, allowed in acts.items():
            with undone():
                if name in PREPARING_ACTION:
                    assert did(world, "superuser", model, PREPARING_ACTION[name])
                if did(world, role, model, name) != (role in allowed):
                    wrong.append((model, name))
    assert wrong == []


def did(world: AdminObjects, role: str, model: str, name: str) -> bool:
    """Whether an act, sent as its form would be, was done: then it is in the audit log."""
    pk = world.ids[model]
    data = {"pk": pk, f"version-{pk}": 9, "reason": "Because.", "length": "7"}
    path = reverse(f"admin:{model}_act", args=[name])
    before = AuditEntry.objects.count()
    answer = world.clients[role].post(path, data)
    assert answer.status_code in (302, 403), answer.content
    return AuditEntry.objects.count() == before + 1


@pytest.mark.parametrize("role", ROLES)
def test_actions_of_lists_are_done_by_those_who_may(world: AdminObjects, role: str) -> None:
    for model, actions in LIST_ACTIONS.items():
        for name, allowed in actions.items():
            with undone():
                before = AuditEntry.objects.count()
                data = {"action": name, "_selected_action": world.ids[model]}
                answer = world.clients[role].post(reverse(f"admin:{model}_changelist"), data)
                assert answer.status_code in (200, 302, 403)
                assert (AuditEntry.objects.count() == before + 1) == (role in allowed), (model, name)


@pytest.mark.parametrize("role", ROLES)
def test_nobody_but_a_superuser_changes_a_row_by_hand(world: AdminObjects, role: str) -> None:
    """Forms are sent although the pages show none; every field of every model is tried with another value."""
    forms: dict[str, dict[str, Any]] = {
        "accounts_user": {
            "username": "renamed",
            "is_staff": "on",
            "is_superuser": "on",
            "groups": [world.ids["auth_group"]],
        },
        "accounts_auditentry": {"reason": "nothing", "actor_name": "nobody"},
        "posts_post": {"caption": "changed", "hidden_at_0": "2020-01-01", "hidden_at_1": "00:00"},
        "posts_comment": {"text": "changed"},
        "posts_case": {"state": 1, "report_count": 0},
        "media_media": {"is_withheld": "on", "alt_text": "changed"},
        "feeds_fanout": {"state": 2},
        "auth_group": {"name": "Everybody"},
    }
    assert forms.keys() == VIEWERS.keys()
    for model, data in forms.items():
        allowed = role == "superuser" and model in ("accounts_user", "auth_group")
        with undone():
            before = rows_of(model)
            world.clients[role].post(reverse(f"admin:{model}_change", args=[world.ids[model]]), data)
            assert (rows_of(model) != before) == allowed, model


def rows_of(model: str) -> list[dict[str, Any]]:
    (found,) = (known for known in admin.site._registry if name_of(known) == model)
    return list(found._default_manager.order_by("pk").values())


@pytest.mark.parametrize("role", ["moderator", "operator"])
def test_nobody_but_a_superuser_touches_staff(world: AdminObjects, role: str) -> None:
    for other in ("superuser", "moderator", "operator"):
        world.ids["accounts_user"] = world.users[other].pk
        for name in OBJECT_ACTIONS["accounts_user"]:
            with undone():
                assert not did(world, role, "accounts_user", name), (other, name)


def test_no_page_shows_a_secret(world: AdminObjects) -> None:
    """The superuser sees most: yet no hash of a password, and no token of a session."""
    somebody = User.objects.get(pk=world.ids["accounts_user"])
    somebody.set_password("a long enough secret")
    somebody.save()
    session = somebody.session_set.get()
    for model, kind, allowed in pages():
        if "superuser" in allowed and kind not in ("app_list", *OTHER_PAGES):
            arguments = [world.ids[model]] if kind in ("change", "history", "delete") else []
            shown = world.clients["superuser"].get(reverse(f"admin:{model}_{kind}", args=arguments)).content.decode()
            assert somebody.password not in shown
            assert session.refresh_jti not in shown
