"""Moderation actions: effect, audit entry and closed case in one transaction, and permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import deletion
from accounts.models import AuditEntry, User
from accounts.moderation import ActionRefused, count_suspensions
from posts import counters, moderation, services
from posts.models import Case, CaseState, Post, TargetType
from posts.moderation.history import ModerationHistory
from posts.services import Target
from social.models import Notification
from social.notifications.consumer import consume_batches
from tests.db.media.lifecycle import purge_deleted_posts
from tests.db.posts.moderation_cases import (
    ACTIONS,
    account_target,
    create_comment_target,
    create_post_target,
    file_reports,
)
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db


@pytest.fixture
def moderator() -> User:
    return UserFactory(username="mod", is_staff=True)


@pytest.fixture
def post(author: ApiUser) -> Target:
    return create_post_target(author)


@pytest.fixture
def comment(author: ApiUser, post: Target) -> Target:
    return create_comment_target(author, post)


def audit_entries() -> list[tuple[str, str, int, str]]:
    rows = AuditEntry.objects.order_by("pk")
    return list(rows.values_list("action", "target_type", "target_id", "reason"))


def case_states() -> list[CaseState]:
    return [CaseState(state) for state in Case.objects.order_by("pk").values_list("state", flat=True)]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", ["post", "comment"])
def test_action_closes_the_case_and_writes_one_audit_entry(
    action: str, kind: str, moderator: User, post: Target, comment: Target
) -> None:
    target = post if kind == "post" else comment
    case = file_reports(target)
    assert ACTIONS[action](moderator, target)
    case.refresh_from_db()
    assert case.state == (CaseState.DISMISSED if action == "dismiss" else CaseState.ACTED)
    assert (case.closed_by_id, case.closed_at is not None) == (moderator.pk, True)
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.user_id) == ("mod", action, target.user_id)
    assert entry.reason == ("" if action == "dismiss" else "spam")
    assert entry.before["case"] == "open"
    expected = ("user", target.user_id) if action == "suspend" else (target.type, target.id)
    assert (entry.target_type, entry.target_id) == expected


def test_actions_work_without_a_report(moderator: User, post: Target) -> None:
    assert moderation.hide(moderator, post, "seen by chance")
    assert moderation.restore(moderator, post, "a mistake")
    assert not moderation.restore(moderator, post)
    assert audit_entries() == [("hide", "post", post.id, "seen by chance"), ("restore", "post", post.id, "a mistake")]
    assert AuditEntry.objects.get(action="restore").before == {"hidden": True}
    with pytest.raises(ActionRefused, match="no reports"):
        moderation.dismiss(moderator, post, expected_version=0)


def test_dismiss_is_refused_after_a_new_report(moderator: User, post: Target) -> None:
    file_reports(post, 2)
    with pytest.raises(ActionRefused, match="1 new report"):
        moderation.dismiss(moderator, post, expected_version=1)
    assert case_states() == [CaseState.OPEN]
    assert audit_entries() == []
    assert moderation.dismiss(moderator, post, expected_version=2)
    file_reports(post)
    assert case_states() == [CaseState.OPEN]
    with pytest.raises(ActionRefused):
        moderation.dismiss(moderator, post, expected_version=2)


@pytest.mark.parametrize("action", ["hide", "delete", "warn", "suspend"])
def test_destructive_actions_require_a_reason(action: str, moderator: User, post: Target) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "hide": lambda: moderation.hide(moderator, post, "  "),
        "delete": lambda: moderation.delete(moderator, post, ""),
        "warn": lambda: moderation.warn(moderator, post, " \n", expected_version=0),
        "suspend": lambda: moderation.suspend_author(moderator, post, None, ""),
    }
    with pytest.raises(ActionRefused, match="reason"):
        calls[action]()
    assert audit_entries() == []
    assert Post.objects.get().hidden_at is None


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_only_superusers_moderate_staff(action: str, power: str, moderator: User, post: Target) -> None:
    User.objects.filter(pk=post.user_id).update(**{power: True})
    file_reports(post)
    with pytest.raises(ActionRefused, match="superusers"):
        ACTIONS[action](moderator, post)
    assert (case_states(), audit_entries()) == ([CaseState.OPEN], [])
    assert ACTIONS[action](UserFactory(is_staff=True, is_superuser=True), post)


@pytest.mark.parametrize("action", ["hide", "delete", "warn", "suspend"])
def test_deleted_target_can_only_be_dismissed(action: str, moderator: User, post: Target) -> None:
    file_reports(post)
    services.delete_post(post.id, post.user_id)
    if action == "delete":
        assert not ACTIONS[action](moderator, post)
    else:
        with pytest.raises(ActionRefused, match="deleted"):
            ACTIONS[action](moderator, post)
    assert (case_states(), audit_entries()) == ([CaseState.OPEN], [])
    assert moderation.dismiss(moderator, post, expected_version=1)
    assert case_states() == [CaseState.DISMISSED]


def test_case_of_an_erased_account_can_be_dismissed(moderator: User) -> None:
    gone = Target(TargetType.USER, 10**9, 10**9)
    case = Case.objects.create(
        target_type=gone.type,
        target_id=gone.id,
        user_id=gone.user_id,
        report_count=1,
        reason_counts={"spam": 1},
        first_reported_at=timezone.now(),
        last_reported_at=timezone.now(),
    )
    with pytest.raises(ActionRefused, match="gone"):
        ACTIONS["suspend"](moderator, gone)
    assert moderation.dismiss(moderator, gone, expected_version=1)
    case.refresh_from_db()
    assert case.state == CaseState.DISMISSED
    assert audit_entries() == [("dismiss", "user", gone.id, "")]


def test_comment_on_a_deleted_post_cannot_be_hidden(moderator: User, post: Target, comment: Target) -> None:
    services.delete_post(post.id, post.user_id)
    with pytest.raises(ActionRefused, match="deleted"):
        moderation.hide(moderator, comment, "spam")


def test_actions_are_refused_during_erasure(moderator: User, post: Target) -> None:
    deletion.delete_account(post.user_id)
    for action in ("hide", "warn", "suspend"):
        with pytest.raises(ActionRefused, match="erased"):
            ACTIONS[action](moderator, post)


def test_accounts_cannot_be_hidden_or_deleted(moderator: User, author: ApiUser) -> None:
    account = account_target(author)
    for action in ("hide", "delete"):
        with pytest.raises(ActionRefused):
            ACTIONS[action](moderator, account)
    with pytest.raises(ActionRefused):
        moderation.restore(moderator, account)
    assert ACTIONS["suspend"](moderator, account)


# --- Suspensions -------------------------------------------------------------------------------------


def test_suspension_also_closes_the_case_of_the_account(moderator: User, post: Target) -> None:
    account = Target(TargetType.USER, post.user_id, post.user_id)
    file_reports(post)
    file_reports(account)
    until = timezone.now() + timedelta(days=3)
    assert moderation.suspend_author(moderator, post, until, "again and again", expected_version=0)
    assert case_states() == [CaseState.ACTED] * 2
    entry = AuditEntry.objects.get()
    assert entry.after == {"case": "acted on", "suspended": True, "until": until.isoformat()}


def test_related_cases_are_closed_without_another_suspension(moderator: User, author: ApiUser) -> None:
    targets = [create_post_target(author) for _ in range(3)]
    for target in targets:
        file_reports(target)
    assert moderation.suspend_author(moderator, targets[0], None, "spammer", expected_version=0)
    assert [moderation.close_related_case(moderator, target, "spammer") for target in targets] == [False, True, True]
    assert case_states() == [CaseState.ACTED] * 3
    assert audit_entries()[1:] == [("close", "post", target.id, "spammer") for target in targets[1:]]
    assert [entry.after for entry in AuditEntry.objects.order_by("pk")][1:] == [{"case": "acted on"}] * 2
    assert ModerationHistory(targets).count_suspensions(targets[0]) == count_suspensions([author.id])[author.id] == 1


def test_suspension_unknown_to_the_moderator_is_not_overwritten(post: Target) -> None:
    one, other = UserFactory(is_staff=True), UserFactory(is_staff=True)
    until = timezone.now() + timedelta(days=30)
    assert moderation.suspend_author(one, post, until, "a month", expected_version=0)
    file_reports(post)
    with pytest.raises(ActionRefused, match=rf"until {until:%Y-%m-%d %H:%M} UTC. Check the account again"):
        moderation.suspend_author(other, post, timezone.now() + timedelta(days=1), "a day", expected_version=0)
    assert (case_states(), AuditEntry.objects.count()) == ([CaseState.OPEN], 1)
    assert User.objects.get(pk=post.user_id).suspended_until == until
    assert moderation.suspend_author(other, post, None, "for good", expected_version=1)
    assert User.objects.get(pk=post.user_id).suspended_until is None
    assert moderation.lift_suspension(one, post, "appeal")
    assert not moderation.lift_suspension(other, post)
    with pytest.raises(ActionRefused, match="reinstated meanwhile"):
        moderation.suspend_author(other, post, None, "for good", expected_version=1)
    assert [action for action, *_ in audit_entries()] == ["suspend", "suspend", "lift"]
    assert User.objects.get(pk=post.user_id).is_active


def test_superusers_cannot_suspend_themselves() -> None:
    superuser = UserFactory(is_staff=True, is_superuser=True)
    with pytest.raises(ActionRefused, match="yourself"):
        moderation.suspend_author(superuser, Target(TargetType.USER, superuser.pk, superuser.pk), None, "why not")
    assert User.objects.get(pk=superuser.pk).is_active


# --- Hidden comments ---------------------------------------------------------------------------------


def get_comment_count(target: Target) -> int:
    return counters.fetch_subject_counts(target.id).comments


def test_hidden_comment_is_invisible_and_not_counted(
    moderator: User, author: ApiUser, reader: ApiUser, post: Target
) -> None:
    said = [reader.create_comment(str(post.id), text) for text in ("one", "two", "three")]
    target = Target(TargetType.COMMENT, int(said[1]), reader.id)
    reader.call("post", f"/comments/{said[1]}/like")
    author.get(f"/posts/{post.id}")

    assert moderation.hide(moderator, target, "rude")
    assert [row["id"] for row in author.get(f"/posts/{post.id}/comments")["results"]] == [said[0], said[2]]
    assert author.get(f"/posts/{post.id}")["comment_count"] == 2
    assert reader.call("post", f"/comments/{said[1]}/like").status_code == 404
    assert_counts_are_exact()

    assert moderation.restore(moderator, target)
    assert [row["id"] for row in author.get(f"/posts/{post.id}/comments")["results"]] == said
    assert author.get(f"/posts/{post.id}")["comment_count"] == 3
    assert author.get(f"/posts/{post.id}/comments")["results"][1]["like_count"] == 1
    assert_counts_are_exact()


def test_deleting_a_hidden_comment_keeps_counts_exact(moderator: User, author: ApiUser, post: Target) -> None:
    target = create_comment_target(author, post)
    author.create_comment(str(post.id))
    assert moderation.hide(moderator, target, "rude")
    assert moderation.delete(moderator, target, "very rude")
    assert get_comment_count(post) == 1
    assert not services.restore_comment(target.id)


# --- What authors learn of hidden content ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["post", "comment"])
def test_author_is_notified_while_their_content_is_hidden(
    kind: str, moderator: User, author: ApiUser, post: Target, comment: Target
) -> None:
    target, path = {"post": (post, "/posts"), "comment": (comment, "/comments")}[kind]
    assert moderation.hide(moderator, target, "rude")
    (entry,) = list_notifications(author)
    assert (entry["kind"], entry["text"]) == ("content_hidden", "hello" if kind == "post" else "nice")
    assert (entry["post_id"], entry["comment_id"]) == (str(post.id), None if kind == "post" else str(comment.id))
    assert [actor["username"] for actor in entry["actors"]] == [author.username]
    assert author.get("/notifications/unread-count") == {"count": 1}

    assert moderation.restore(moderator, target)
    assert list_notifications(author) == []
    assert moderation.hide(moderator, target, "rude again")
    assert [entry["kind"] for entry in list_notifications(author)] == ["content_hidden"]
    assert author.call("delete", f"{path}/{target.id}").status_code == 204
    assert list_notifications(author) == []
    purge_deleted_posts()
    list_notifications(author)
    assert not Notification.objects.exists()


def test_only_the_author_can_delete_a_hidden_post(
    moderator: User, author: ApiUser, reader: ApiUser, post: Target
) -> None:
    assert moderation.hide(moderator, post, "rude")
    path = f"/posts/{post.id}"
    assert reader.call("delete", path).content == reader.call("delete", "/posts/1").content
    assert author.call("get", path).status_code == author.call("patch", path, {"caption": "x"}).status_code == 404
    assert author.call("delete", path).status_code == 204
    assert author.call("delete", path).status_code == 404
    assert_counts_are_exact()


def test_author_is_notified_after_a_suspension(moderator: User, author: ApiUser, post: Target) -> None:
    moderation.suspend_author(moderator, post, None, "not careful", expected_version=0)
    moderation.hide(moderator, post, "rude")
    while consume_batches():
        pass
    moderation.lift_suspension(moderator, post)
    assert [entry["kind"] for entry in list_notifications(author)] == ["content_hidden"]


# --- Warnings ----------------------------------------------------------------------------------------


def list_notifications(caller: ApiUser) -> list[dict[str, Any]]:
    while consume_batches():
        pass
    rows: list[dict[str, Any]] = caller.get("/notifications")["results"]
    return rows


def test_warning_does_not_name_the_moderator(moderator: User, author: ApiUser, post: Target) -> None:
    assert moderation.warn(moderator, post, "Please stop selling watches.", expected_version=0)
    (entry,) = list_notifications(author)
    assert (entry["kind"], entry["text"], entry["read"]) == ("warning", "Please stop selling watches.", False)
    assert (entry["post_id"], entry["comment_id"], entry["actor_count"]) == (str(post.id), None, 1)
    assert [actor["username"] for actor in entry["actors"]] == [author.username]
    assert author.get("/notifications/unread-count") == {"count": 1}
    author.call("post", "/notifications/read", {"up_to": entry["id"]})
    assert author.get("/notifications/unread-count") == {"count": 0}


@pytest.mark.parametrize("kind", ["post", "comment", "user"])
def test_warning_survives_deletion_of_its_target(
    kind: str, moderator: User, author: ApiUser, post: Target, comment: Target
) -> None:
    targets = {"post": post, "comment": comment, "user": account_target(author)}
    assert moderation.warn(moderator, targets[kind], "Careful.", expected_version=0)
    (entry,) = list_notifications(author)
    about = (entry["post_id"], entry["comment_id"])
    assert (
        about
        == {
            "post": (str(post.id), None),
            "comment": (str(post.id), str(comment.id)),
            "user": (None, None),
        }[kind]
    )
    moderation.hide(moderator, comment, "rude")
    moderation.hide(moderator, post, "rude")
    assert entry in list_notifications(author)
    moderation.delete(moderator, comment, "rude")
    moderation.delete(moderator, post, "rude")
    purge_deleted_posts()
    assert list_notifications(author) == [entry]
    assert author.get("/notifications/unread-count") == {"count": 1}


def test_audit_entry_has_the_true_number_of_warnings(moderator: User, post: Target) -> None:
    assert moderation.warn(moderator, post, "Careful.", expected_version=99)
    assert (AuditEntry.objects.get().before["warned"], AuditEntry.objects.get().after["warned"]) == (0, 1)


def test_warnings_are_not_aggregated(moderator: User, author: ApiUser, post: Target) -> None:
    assert moderation.warn(moderator, post, "First.", expected_version=0)
    assert moderation.warn(moderator, post, "Second.", expected_version=1)
    assert [entry["text"] for entry in list_notifications(author)] == ["Second.", "First."]


def test_warning_is_delivered_after_a_suspension_ends(moderator: User, author: ApiUser, post: Target) -> None:
    moderation.warn(moderator, post, "Careful.", expected_version=0)
    moderation.suspend_author(moderator, post, None, "not careful", expected_version=0)
    while consume_batches():
        pass
    moderation.lift_suspension(moderator, post)
    assert [entry["kind"] for entry in list_notifications(author)] == ["warning"]


def test_warnings_are_exported(moderator: User, author: ApiUser, post: Target) -> None:
    moderation.warn(moderator, post, "Careful.", expected_version=0)
    (warning,) = json.loads(author.call("get", "/me/export").getvalue())["warnings"]
    assert (warning["text"], warning["post_id"]) == ("Careful.", str(post.id))
