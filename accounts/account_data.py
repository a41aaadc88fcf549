"""What accounts, and the shared parts below it, hold about a user (see `accounts.personal_data`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q

from accounts import avatars, second_factor
from accounts.counts import counted, counts_of
from accounts.models import AuditEntry, Session, User
from accounts.personal_data import Holding, Row, chunks, erase_rows, register
from instafeed import keys
from instafeed.api.idempotency import forget_user
from instafeed.api.links import file_url
from instafeed.api.throttling import counters_of
from instafeed.models import IdempotentAnswer

_PROFILE = (
    *("username", "email", "display_name", "bio", "website", "is_private", "is_staff"),
    *("post_count", "created_at", "last_login"),
)


def export_profile(user_id: int) -> Iterator[Row]:
    """The account's own row, without its password's hash."""
    user = counted(User.objects.using(DEFAULT_DB_ALIAS)).get(pk=user_id)
    yield {
        "id": str(user.pk),
        **{field: getattr(user, field) for field in _PROFILE},
        **counts_of(user)._asdict(),
        "avatar_url": file_url(user.avatar_path),
        "is_celebrity": user.is_celebrity,
        "groups": list(user.groups.using(DEFAULT_DB_ALIAS).values_list("name", flat=True)),
    }


def export_sessions(user_id: int) -> Iterator[Row]:
    """Every sign-in that is still known, without what its tokens are made of."""
    shown = ("created_at", "ended_at", "expires_at")
    for chunk in chunks(Session.objects.filter(user=user_id).values("id", *shown), "id"):
        yield from ({name: session[name] for name in shown} for session in chunk)


def export_answers(user_id: int) -> Iterator[Row]:
    """The answers kept for requests that carried an Idempotency-Key."""
    rows = IdempotentAnswer.objects.filter(user_id=user_id).values("digest", "status", "body", "created_at")
    for chunk in chunks(rows, "digest"):
        for row in chunk:
            answer = json.loads(bytes(row["body"]) or b"null")
            yield {"created_at": row["created_at"], "status": row["status"], "answer": answer}


def export_moderation(user_id: int) -> Iterator[Row]:
    """What staff did about the user, without who did, and of the reasons a warning's only: it is meant for them.

    Without dismissals: that somebody reported the user is that one's private affair.
    """
    shown = ("action", "target_type", "target_id", "reason", "created_at")
    done = AuditEntry.objects.filter(user_id=user_id).exclude(action="dismiss")
    for chunk in chunks(done.values("id", *shown), "id"):
        for row in chunk:
            yield {
                "action": row["action"],
                "target_type": row["target_type"],
                "target_id": str(row["target_id"]),
                "reason": row["reason"] if row["action"] == "warn" else None,
                "created_at": row["created_at"],
            }


def keep_audit(user_id: int) -> bool:
    """Nothing to erase: the audit log is append-only, and holds of a user an id that leads nowhere afterwards."""
    return True


def erase_sessions(user_id: int) -> bool:
    return erase_rows(Session.objects.filter(user=user_id))


def erase_answers(user_id: int) -> bool:
    forget_user(user_id)  # a day's worth
    return True


def erase_avatar(user_id: int) -> bool:
    """The picture that shows the user, a file of its own."""
    shown = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id).exclude(avatar_path="")
    for path in shown.values_list("avatar_path", flat=True):
        with transaction.atomic():
            avatars.drop(path)
            User.objects.filter(pk=user_id).update(avatar_path="")
    return True


def erase_powers(user_id: int) -> bool:
    """Groups and permissions, second factors, and the admin's log of and about the account: former staff has all."""
    second_factor.remove(user_id)
    User.groups.through._default_manager.filter(user_id=user_id).delete()
    User.user_permissions.through._default_manager.filter(user_id=user_id).delete()
    about = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user_id))
    return erase_rows(LogEntry.objects.filter(Q(user=user_id) | about))


def redis_keys(user_id: int) -> Iterable[str]:
    return keys.person(user_id), keys.access(user_id), keys.wal(user_id), *counters_of(user_id)


def declare() -> None:
    register(
        Holding("profile", ["accounts.User.id", "accounts.Erasure.user"], export_profile, erase_avatar),
        Holding(
            "staff",
            [
                *("accounts.User_groups.user", "accounts.User_user_permissions.user", "admin.LogEntry.user"),
                *("otp_totp.TOTPDevice.user", "otp_static.StaticDevice.user"),
            ],
            erase=erase_powers,
        ),
        Holding("sessions", ["accounts.Session.user"], export_sessions, erase_sessions),
        Holding("moderation", export=export_moderation, erase=keep_audit),
        Holding("idempotent_answers", ["instafeed.IdempotentAnswer.user_id"], export_answers, erase_answers),
        redis_keys=redis_keys,
    )
