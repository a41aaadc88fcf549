"""Targets, cases and actions for the tests of moderation."""

from __future__ import annotations

from collections.abc import Callable

from accounts.models import Reason
from posts import moderation, services
from posts.models import Case, TargetType
from posts.services import Target
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory

ACTIONS: dict[str, Callable[..., bool]] = {
    "hide": lambda actor, target: moderation.hide(actor, target, "spam"),
    "delete": lambda actor, target: moderation.delete(actor, target, "spam"),
    "warn": lambda actor, target: moderation.warn(actor, target, "spam", expected_version=0),
    "suspend": lambda actor, target: moderation.suspend_author(actor, target, None, "spam", expected_version=0),
    "dismiss": lambda actor, target: moderation.dismiss(actor, target, expected_version=1),
}


def file_reports(target: Target, times: int = 1, reason: Reason = Reason.SPAM, note: str = "") -> Case:
    for _ in range(times):
        services.file_report(UserFactory().pk, target, reason, note)
    return Case.objects.get(target_type=target.type, target_id=target.id)


def create_post_target(author: ApiUser, caption: str = "hello") -> Target:
    return Target(TargetType.POST, int(author.create_post(caption)), author.id)


def create_comment_target(author: ApiUser, post: Target, text: str = "nice") -> Target:
    return Target(TargetType.COMMENT, int(author.create_comment(str(post.id), text)), author.id)


def account_target(caller: ApiUser) -> Target:
    return Target(TargetType.USER, caller.id, caller.id)
