"""What is reported, and about what, in the tests of the moderators' pages."""

from __future__ import annotations

from posts import services
from posts.models import Case, Reason, TargetType
from posts.services import Target
from tests.factories import UserFactory
from tests.posts.callers import Caller


def report(target: Target, times: int = 1, reason: Reason = Reason.SPAM, note: str = "") -> Case:
    for _ in range(times):
        services.report(UserFactory().pk, target, reason, note)
    return Case.objects.get(target_type=target.type, target_id=target.id)


def post_of(author: Caller, caption: str = "hello") -> Target:
    return Target(TargetType.POST, int(author.write(caption)), author.id)


def comment_of(author: Caller, post: Target, text: str = "nice") -> Target:
    return Target(TargetType.COMMENT, int(author.comment(str(post.id), text)), author.id)


def account_of(caller: Caller) -> Target:
    return Target(TargetType.USER, caller.id, caller.id)
