"""Permissions in the admin: every page and action for every role, in one table. The first test finds gaps in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone
from pytest_django import Settings

from accounts import audit
from accounts.models import (
    AuditEntry,
    BlockedEmailDomain,
    BlockedNetwork,
    Invite,
    MailKind,
    OutgoingMail,
    Policy,
    Reason,
    User,
)
from feeds.models import FanOut
from instafeed.backoffice.jobs import services as jobs
from instafeed.backoffice.models import OperatorJob
from instafeed.core.jobs.leased import JobState
from media import storage
from media.models import Media, Status
from posts import services
from posts.models import Case, Note, TargetType
from tests.support.factories import UserFactory
from tests.support.staff import admin_client

pytestmark = pytest.mark.django_db

SENIORS, OPERATORS = {"senior moderator", "superuser"}, {"operator", "superuser"}
MODERATORS = {"moderator", *SENIORS}
BOTH, SUPERUSERS, NO_ROLE = MODERATORS | OPERATORS, {"superuser"}, set[str]()
ROLES = ("anonymous", "user", "staff without a group", "moderator", "senior moderator", "operator", "superuser")
STAFF = {"staff without a group", *BOTH}

# Roles that see a model's list, its rows and their history.
VIEWERS = {
    "accounts_auditentry": BOTH,
    "accounts_blockedemaildomain": OPERATORS,
    "accounts_blockednetwork": OPERATORS,
    "accounts_invite": OPERATORS,
    "accounts_outgoingmail": OPERATORS,
    "accounts_pendingaccount": MODERATORS,
    "accounts_policy": MODERATORS,
    "accounts_user": BOTH,
    "auth_group": SUPERUSERS,
    "backoffice_operatorjob": OPERATORS,
    "feeds_fanout": OPERATORS,
    "media_media": BOTH,
    "posts_case": MODERATORS,
    "posts_comment": MODERATORS,
    "posts_post": MODERATORS,
}
# Roles that add and delete rows with Django's own forms. All other changes are actions.
EDITORS = {
    ("auth_group", "add"): SUPERUSERS,
    ("auth_group", "delete"): SUPERUSERS,
    ("accounts_policy", "add"): SUPERUSERS,
    ("accounts_invite", "add"): OPERATORS,
    ("accounts_blockedemaildomain", "add"): OPERATORS,
    ("accounts_blockednetwork", "add"): OPERATORS,
}
# Pages without a model.
OTHER_PAGES = {
    "index": STAFF,
    "password_change": STAFF,
    "password_change_done": STAFF,
    "jsi18n": STAFF,
    "app_list": BOTH,
    "statistics": MODERATORS,
}
STATUS_OF_PAGES = {"posts_case_next": 302, "posts_case_claim": 405}  # all others: 200
# Pages that are tested elsewhere, or that serve forms that do not exist.
UNCHECKED_PAGES = {"login", "logout", "autocomplete", "view_on_site", None}

_MODERATION = dict.fromkeys(
    ("dismiss", "hide", "hide_and_warn", "restore", "delete", "warn", "suspend", "lift", "note"), MODERATORS
)
OBJECT_ACTIONS = {
    "accounts_blockedemaildomain": {"unblock": OPERATORS},
    "accounts_blockednetwork": {"unblock": OPERATORS},
    "accounts_invite": {"revoke": OPERATORS},
    "accounts_pendingaccount": dict.fromkeys(("approve", "reject"), MODERATORS),
    "accounts_user": {
        **dict.fromkeys(("suspend", "warn", "lift", "end_sessions", "note"), MODERATORS),
        **dict.fromkeys(("remove_avatar", "remove_display_name", "remove_bio", "remove_website"), MODERATORS),
        **dict.fromkeys(("pull", "push", "unpin"), OPERATORS),
    },
    "posts_case": _MODERATION | {"escalate": MODERATORS},
    "posts_post": _MODERATION,
    "posts_comment": _MODERATION,
}
LIST_ACTIONS = {"feeds_fanout": {"resume": OPERATORS}, "media_media": {"reprocess": OPERATORS}}
# The action that must come before, so that an action has an effect.
PREPARING_ACTION = {"restore": "hide", "lift": "suspend", "unpin": "pull"}


@dataclass
class AdminObjects:
    """Ids of one row of each model, about a reported user, and a client and a user of each role."""

    ids: dict[str, int]
    clients: dict[str, Client]
    users: dict[str, User]


@pytest.fixture
def objects(settings: Settings, tmp_path: Any) -> AdminObjects:
    settings.MEDIA_ROOT = str(tmp_path)
    profile = {"display_name": "Spam", "bio": "Buy this.", "website": "https://spam.example", "avatar_path": "a.webp"}
    reported, reporter = UserFactory(username="reported", **profile), UserFactory()
    post = services.create_post(reported.pk, "look at me")
    comment = services.create_comment(reported.pk, post.pk, reported.pk, "me again", None)
    for kind, target_id in ((TargetType.POST, post.pk), (TargetType.COMMENT, comment.pk)):
        services.file_report(reporter.pk, services.Target(kind, target_id, reported.pk), Reason.SPAM, "")
    FanOut.objects.filter(pk=post.pk).update(state=JobState.DEAD)
    reported.session_set.create(refresh_jti="0123456789abcdef" * 2, expires_at=timezone.now() + timedelta(days=1))
    kept = storage.new_incoming_path()
    storage.save(kept, BytesIO(b"a picture"), "image/jpeg")
    media = Media.objects.create(owner=reported, status=Status.FAILED, original_path=kept)
    users = {
        "user": UserFactory(),
        "staff without a group": UserFactory(is_staff=True),
        "moderator": UserFactory(is_staff=True),
        "senior moderator": UserFactory(is_staff=True),
        "operator": UserFactory(is_staff=True),
        "superuser": UserFactory(is_staff=True, is_superuser=True),
    }
    for role in ("moderator", "senior moderator", "operator"):
        users[role].groups.set([Group.objects.get(name=role.capitalize())])
    entry = audit.record(users["superuser"], "hide", "post", post.pk, user_id=reported.pk)
    ids = {
        "accounts_auditentry": entry.pk,
        "accounts_blockedemaildomain": BlockedEmailDomain.objects.create(domain="spam.example").pk,
        "accounts_blockednetwork": BlockedNetwork.objects.create(network="203.0.113.0/24").pk,
        "accounts_invite": Invite.objects.create(code="a" * 28).pk,
        "accounts_pendingaccount": UserFactory(is_active=False, pending_since=timezone.now()).pk,
        "accounts_outgoingmail": OutgoingMail.objects.create(
            kind=MailKind.VERIFY, address="a@example.org", user=reported
        ).pk,
        "accounts_policy": Policy.objects.get(reason=Reason.SPAM).pk,
        "accounts_user": reported.pk,
        "auth_group": users["moderator"].groups.get().pk,
        "backoffice_operatorjob": jobs.start("verify_feeds", {}, users["operator"]).pk,
        "feeds_fanout": post.pk,
        "media_media": media.pk,
        "posts_case": Case.objects.get(target_id=post.pk).pk,
        "posts_comment": comment.pk,
        "posts_post": post.pk,
    }
    clients = {role: admin_client(user) for role, user in users.items()} | {"anonymous": Client()}
    return AdminObjects(ids, clients, users)


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back all changes at the end of the block."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def url_names() -> set[str | None]:
    """Return the names of all admin URLs."""

    def walk(patterns: Any) -> Iterator[str | None]:
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                yield pattern.name
            elif isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)

    return set(walk(admin.site.get_urls()))


def label_of(model: type[Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"


def registered_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if admin.site.is_registered(model)]


def pages() -> Iterator[tuple[str, str, set[str]]]:
    """Yield (model or "", the page's name, the roles that see it)."""
    for name, allowed in OTHER_PAGES.items():
        yield "", name, allowed
    yield "backoffice_operatorjob", "start", OPERATORS
    yield "posts_case", "next", MODERATORS  # redirects
    yield "posts_case", "claim", MODERATORS  # refuses GET
    for model, allowed in VIEWERS.items():
        for kind in ("changelist", "change", "history"):
            yield model, kind, allowed
        for kind in ("add", "delete"):
            yield model, kind, EDITORS.get((model, kind), NO_ROLE)


def test_table_has_every_page_and_action() -> None:
    known = {f"{model}_{kind}" if model else kind for model, kind, _ in pages()}
    actions_urls = {f"{model}_act" for model in OBJECT_ACTIONS} | {
        "backoffice_operatorjob_cancel",
        "accounts_auditentry_export",
    }
    assert url_names() - UNCHECKED_PAGES - actions_urls == known
    registered = {label_of(model): admin.site.get_model_admin(model) for model in registered_models()}
    assert {
        model: {action.name for action in actions}
        for model, page in registered.items()
        if (actions := getattr(page, "admin_actions", ()))
    } == {model: set(actions) for model, actions in OBJECT_ACTIONS.items()}
    assert {model: set(page.actions) for model, page in registered.items() if page.actions} == {
        model: set(actions) for model, actions in LIST_ACTIONS.items()
    }


@pytest.mark.parametrize("role", ROLES)
def test_pages_by_role(objects: AdminObjects, role: str) -> None:
    wrong = []
    for model, kind, allowed in pages():
        arguments: list[object] = [objects.ids[model]] if kind in ("change", "history", "delete") else []
        arguments = ["accounts"] if kind == "app_list" else ["backfill_feeds"] if kind == "start" else arguments
        path = reverse(f"admin:{model}_{kind}" if model else f"admin:{kind}", args=arguments)
        response = objects.clients[role].get(path)
        expected = STATUS_OF_PAGES.get(f"{model}_{kind}", 200) if role in allowed else 403
        if role not in STAFF and expected == 403:
            expected = 302
            assert response.status_code != 302 or "/admin/login/" in response["Location"]
        if kind == "app_list" and role == "staff without a group":
            expected = 404  # they see no model of that app
        if response.status_code != expected:
            wrong.append((path, response.status_code, expected))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_object_actions_by_role(objects: AdminObjects, role: str) -> None:
    """On an unprotected account; tests of moderation cover what services refuse to every role."""
    wrong = []
    for model, actions in OBJECT_ACTIONS.items():
        for name, allowed in actions.items():
            with rolled_back():
                if name in PREPARING_ACTION:
                    assert performs(objects, "superuser", model, PREPARING_ACTION[name])
                if performs(objects, role, model, name) != (role in allowed):
                    wrong.append((model, name))
    assert wrong == []


def performs(objects: AdminObjects, role: str, model: str, name: str) -> bool:
    """Post an action's form and return whether it had an effect: then it is in the audit log, or is a note."""
    pk = objects.ids[model]
    data = {"pk": pk, f"version-{pk}": 9, "reason": "Because.", "length": "7"}
    path = reverse(f"admin:{model}_act", args=[name])
    before = AuditEntry.objects.count() + Note.objects.count()
    response = objects.clients[role].post(path, data)
    assert response.status_code in (302, 403), response.content
    return AuditEntry.objects.count() + Note.objects.count() > before


@pytest.mark.parametrize("role", ROLES)
def test_list_actions_by_role(objects: AdminObjects, role: str) -> None:
    for model, actions in LIST_ACTIONS.items():
        for name, allowed in actions.items():
            with rolled_back():
                before = AuditEntry.objects.count()
                data = {"action": name, "_selected_action": objects.ids[model]}
                response = objects.clients[role].post(reverse(f"admin:{model}_changelist"), data)
                assert response.status_code in (200, 302, 403)
                assert (AuditEntry.objects.count() == before + 1) == (role in allowed), (model, name)


@pytest.mark.parametrize("role", ROLES)
def test_operator_jobs_are_started_and_cancelled_by_operators(objects: AdminObjects, role: str) -> None:
    client, running = objects.clients[role], objects.ids["backoffice_operatorjob"]
    for url in (
        reverse("admin:backoffice_operatorjob_start", args=["backfill_feeds"]),
        reverse("admin:backoffice_operatorjob_cancel", args=[running]),
    ):
        response = client.post(url)
        assert response.status_code in ((302,) if role not in STAFF or role in OPERATORS else (403,))
    assert OperatorJob.objects.filter(kind="backfill_feeds").exists() == (role in OPERATORS)
    assert OperatorJob.objects.filter(pk=running, state=JobState.DONE).exists() == (role in OPERATORS)


@pytest.mark.parametrize("role", ROLES)
def test_audit_log_is_exported_by_its_viewers(objects: AdminObjects, role: str) -> None:
    response = objects.clients[role].post(reverse("admin:accounts_auditentry_export"))
    allowed = role in VIEWERS["accounts_auditentry"]
    assert response.status_code == (200 if allowed else 403 if role in STAFF else 302)
    assert response.streaming == allowed
    assert AuditEntry.objects.filter(action="export").exists() == allowed


@pytest.mark.parametrize("role", ROLES)
def test_only_superusers_change_rows_with_forms(objects: AdminObjects, role: str) -> None:
    """Post forms although the pages show none, with changed values for every model."""
    forms: dict[str, dict[str, Any]] = {
        "accounts_user": {
            "username": "renamed",
            "is_staff": "on",
            "is_superuser": "on",
            "groups": [objects.ids["auth_group"]],
        },
        "backoffice_operatorjob": {"state": 2, "log": "nothing"},
        "accounts_auditentry": {"reason": "nothing", "actor_name": "nobody"},
        "accounts_outgoingmail": {"address": "changed@example.org", "state": 3},
        "accounts_blockedemaildomain": {"domain": "changed.example", "note": "changed"},
        "accounts_blockednetwork": {"network": "198.51.100.0/24", "note": "changed"},
        "accounts_policy": {"name": "Renamed", "text": "changed", "severity": 2, "is_active": "on"},
        "accounts_invite": {"max_uses": 9, "days": 9, "note": "changed", "code": "changed"},
        "accounts_pendingaccount": {"username": "renamed", "email": "changed@example.org", "is_active": "on"},
        "posts_post": {"caption": "changed", "hidden_at_0": "2020-01-01", "hidden_at_1": "00:00"},
        "posts_comment": {"text": "changed"},
        "posts_case": {"state": 1, "report_count": 0},
        "media_media": {"is_withheld": "on", "alt_text": "changed"},
        "feeds_fanout": {"state": 2},
        "auth_group": {"name": "Everybody"},
    }
    assert forms.keys() == VIEWERS.keys()
    for model, data in forms.items():
        allowed = role == "superuser" and model in ("accounts_user", "accounts_policy", "auth_group")
        with rolled_back():
            before = rows_of(model)
            objects.clients[role].post(reverse(f"admin:{model}_change", args=[objects.ids[model]]), data)
            assert (rows_of(model) != before) == allowed, model


def rows_of(model: str) -> list[dict[str, Any]]:
    (model_class,) = (each for each in registered_models() if label_of(each) == model)
    return list(model_class._default_manager.order_by("pk").values())


@pytest.mark.parametrize("role", ["moderator", "operator"])
def test_only_superusers_act_on_staff(objects: AdminObjects, role: str) -> None:
    for other in ("superuser", "moderator", "operator"):
        objects.ids["accounts_user"] = objects.users[other].pk
        for name in OBJECT_ACTIONS["accounts_user"]:
            with rolled_back():
                assert not performs(objects, role, "accounts_user", name), (other, name)


@pytest.mark.parametrize("role", sorted(MODERATORS))
@pytest.mark.parametrize("name", ["dismiss", "hide", "hide_and_warn", "delete", "warn", "suspend"])
def test_only_seniors_decide_a_case_that_waits_for_a_second_opinion(
    objects: AdminObjects, role: str, name: str
) -> None:
    assert performs(objects, "moderator", "posts_case", "escalate")
    assert performs(objects, role, "posts_case", name) == (role in SENIORS)


def test_pages_show_no_secrets(objects: AdminObjects) -> None:
    """Even superusers see no password hash and no session token."""
    reported = User.objects.get(pk=objects.ids["accounts_user"])
    reported.set_password("a long enough secret")
    reported.save()
    session = reported.session_set.get()
    for model, kind, allowed in pages():
        if "superuser" in allowed and kind not in ("app_list", *OTHER_PAGES):
            arguments: list[object] = [objects.ids[model]] if kind in ("change", "history", "delete") else []
            arguments = ["backfill_feeds"] if kind == "start" else arguments
            content = (
                objects.clients["superuser"].get(reverse(f"admin:{model}_{kind}", args=arguments)).content.decode()
            )
            assert reported.password not in content
            assert session.refresh_jti not in content
