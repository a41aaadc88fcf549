"""Inform authors and reporters of a decision: with the policy's text, never with the moderator's note or name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS
from django.utils.text import Truncator

from accounts.mail import outbox
from accounts.models import Policy, User
from posts.models import Comment, Report, TargetType
from posts.reported_texts import read_text
from posts.services import Target
from social.models import NotificationKind
from social.notifications import send_moderator_message

MAX_TOLD_REPORTERS = 1_000  # the newest ones
MAX_QUOTE_LENGTH = 100  # characters

_NAMES = {TargetType.POST: "post", TargetType.COMMENT: "comment", TargetType.USER: "account"}


@dataclass(frozen=True)
class Recipients:
    """Who gets a message about a decision."""

    author: bool = False
    reporters: bool = False


NO_ONE = Recipients()


def tell_hidden(target: Target, recipients: Recipients, policy: Policy | None) -> None:
    """Tell why a post or comment was hidden."""
    if recipients.author:
        _send_decision([target.user_id], _join(_describe_hidden(target), _text_of(policy)), target)
    _tell_reporters(
        target, recipients, _join(f"You reported {_describe(target)}. Moderators hid it.", _text_of(policy))
    )


def tell_suspended(target: Target, recipients: Recipients, policy: Policy | None, until: datetime | None) -> None:
    """Tell why an account was suspended. The author cannot sign in meanwhile, and gets a mail too."""
    length = f"until {outbox.describe_suspension_end(until)}" if until else "for good"
    _tell_author(target, recipients, _join(f"Moderators suspended your account {length}.", _text_of(policy)))
    if recipients.author:
        author = User.objects.using(DEFAULT_DB_ALIAS).get(pk=target.user_id)
        outbox.enqueue_suspension_notice(author, _text_of(policy))
    outcome = "Moderators suspended it." if target.type == TargetType.USER else "Moderators suspended its author."
    _tell_reporters(target, recipients, _join(f"You reported {_describe(target)}. {outcome}", _text_of(policy)))


def tell_dismissed(target: Target, recipients: Recipients) -> None:
    """Tell that moderators found nothing wrong."""
    what = _NAMES[target.type]
    fine = "Moderators looked at it and found nothing against the rules."
    _tell_author(target, recipients, f"Your {what} was reported. {fine}")
    _tell_reporters(target, recipients, f"You reported {_describe(target)}. {fine}")


def warn(target: Target, text: str, *, is_hidden: bool = False) -> None:
    """Send the author a warning about the target, which says so if the target is hidden at the same time."""
    if is_hidden:
        text = _join(_describe_hidden(target), text)
    send_moderator_message(NotificationKind.WARNING, [target.user_id], text, *_post_and_comment_ids(target))


def join_policy(policy: Policy | None, note: str) -> str:
    """Return the text of a warning: the policy's, then the moderator's own words."""
    return _join(_text_of(policy), note)


def _tell_author(target: Target, recipients: Recipients, text: str) -> None:
    if recipients.author:
        _send_decision([target.user_id], text, target)


def _tell_reporters(target: Target, recipients: Recipients, text: str) -> None:
    if recipients.reporters:
        reports = Report.objects.using(DEFAULT_DB_ALIAS).filter(target_type=target.type, target_id=target.id)
        reports = reports.filter(reporter__deleted_at=None)  # a message could outlive the erasure
        newest = reports.order_by("-pk").values_list("reporter_id", flat=True)[:MAX_TOLD_REPORTERS]
        _send_decision(list(newest), text, target)


def _send_decision(recipient_ids: list[int], text: str, target: Target) -> None:
    if recipient_ids:
        send_moderator_message(NotificationKind.DECISION, recipient_ids, text, *_post_and_comment_ids(target))


def _post_and_comment_ids(target: Target) -> tuple[int | None, int | None]:
    """Return the ids of the post and the comment that a message is about."""
    if target.type == TargetType.POST:
        return target.id, None
    if target.type == TargetType.COMMENT:
        comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(pk=target.id)
        return comments.values_list("post_id", flat=True).first(), target.id
    return None, None


def _text_of(policy: Policy | None) -> str:
    return policy.text if policy else ""


def _join(*parts: str) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _describe_hidden(target: Target) -> str:
    """Say what was hidden, with the beginning of its text: its author can no longer open it."""
    quote = Truncator(" ".join(read_text(target.type, target.id).split())).chars(MAX_QUOTE_LENGTH)
    said = f"Moderators hid your {_NAMES[target.type]}"
    return f"{said}: “{quote}”" if quote else f"{said}."


def _describe(target: Target) -> str:
    return "an account" if target.type == TargetType.USER else f"a {_NAMES[target.type]}"
