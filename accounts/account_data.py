"""What accounts, and the shared parts below it, hold about a user (see `accounts.personal_data_registry`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q

from accounts import avatars, second_factor
from accounts.follower_counts import get_exact_counts, with_pending_counts
from accounts.models import AuditEntry, Session, User
from accounts.personal_data_registry import PersonalDataCategory, Row, erase_rows, iterate_chunks, register
from instafeed.core.api.idempotency import delete_for_user
from instafeed.core.api.links import file_url
from instafeed.core.api.throttling import counter_keys
from instafeed.core.cache import keys
from instafeed.core.models import IdempotentAnswer

_PROFILE_FIELDS = (
    *("username", "email", "display_name", "bio", "website", "is_private", "is_staff"),
    *("post_count", "created_at", "last_login"),
)


def export_profile(user_id: int) -> Iterator[Row]:
    """The account's own row, without its password's hash."""
    user = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS)).get(pk=user_id)
    yield {
        "id": str(user.pk),
        **{field: getattr(user, field) for field in _PROFILE_FIELDS},
        **get_exact_counts(user)._asdict(),
        "avatar_url": file_url(user.avatar_path),
        "is_celebrity": user.is_celebrity,
        "groups": list(user.groups.using(DEFAULT_DB_ALIAS).values_list("name", flat=True)),
    }


def export_sessions(user_id: int) -> Iterator[Row]:
    """Every sign-in that is still known, without what its tokens are made of."""
    shown = ("created_at", "ended_at", "expires_at")
    for chunk in iterate_chunks(Session.objects.filter(user=user_id).values("id", *shown), "id"):
        yield from ({name: session[name] for name in shown} for session in chunk)


def export_idempotent_answers(user_id: int) -> Iterator[Row]:
    """The answers kept for requests that carried an Idempotency-Key."""
    rows = IdempotentAnswer.objects.filter(user_id=user_id).values("digest", "status", "body", "created_at")
    for chunk in iterate_chunks(rows, "digest"):
        for row in chunk:
            answer = json.loads(bytes(row["body"]) or b"null")
            yield {"created_at": row["created_at"], "status": row["status"], "answer": answer}


def export_moderation(user_id: int) -> Iterator[Row]:
    """What staff did about the user, without who did, and of the reasons a warning's only: it is meant for them.

    Without dismissals: that somebody reported the user is that one's private affair.
    """
    shown = ("action", "target_type", "target_id", "reason", "created_at")
    done = AuditEntry.objects.filter(user_id=user_id).exclude(action="dismiss")
    for chunk in iterate_chunks(done.values("id", *shown), "id"):
        for row in chunk:
            yield {
                "action": row["action"],
                "target_type": row["target_type"],
                "target_id": str(row["target_id"]),
                "reason": row["reason"] if row["action"] == "warn" else None,
                "created_at": row["created_at"],
            }


def keep_audit_log(user_id: int) -> bool:
    """Nothing to erase: the audit log is append-only, and holds of a user an id that leads nowhere afterwards."""
    return True


def erase_sessions(user_id: int) -> bool:
    return erase_rows(Session.objects.filter(user=user_id))


def erase_idempotent_answers(user_id: int) -> bool:
    delete_for_user(user_id)  # a day's worth
    return True


def erase_avatar(user_id: int) -> bool:
    """The picture that shows the user, a file of its own."""
    shown = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=user_id).exclude(avatar_path="")
    for path in shown.values_list("avatar_path", flat=True):
        with transaction.atomic():
            avatars.schedule_deletion(path)
            User.objects.filter(pk=user_id).update(avatar_path="")
    return True


def erase_permissions(user_id: int) -> bool:
    """Groups and permissions, second factors, and the admin's log of and about the account: former staff has all."""
    second_factor.remove(user_id)
    User.groups.through._default_manager.filter(user_id=user_id).delete()
    User.user_permissions.through._default_manager.filter(user_id=user_id).delete()
    about = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user_id))
    return erase_rows(LogEntry.objects.filter(Q(user=user_id) | about))


def redis_keys(user_id: int) -> Iterable[str]:
    return keys.user_card(user_id), keys.auth_state(user_id), keys.wal_position(user_id), *counter_keys(user_id)


def register_categories() -> None:
    register(
        PersonalDataCategory("profile", ["accounts.User.id", "accounts.Erasure.user"], export_profile, erase_avatar),
        PersonalDataCategory(
            "staff",
            [
                *("accounts.User_groups.user", "accounts.User_user_permissions.user", "admin.LogEntry.user"),
                *("otp_totp.TOTPDevice.user", "otp_static.StaticDevice.user"),
            ],
            erase=erase_permissions,
        ),
        PersonalDataCategory("sessions", ["accounts.Session.user"], export_sessions, erase_sessions),
        PersonalDataCategory("moderation", export=export_moderation, erase=keep_audit_log),
        PersonalDataCategory(
            "idempotent_answers",
            ["instafeed.IdempotentAnswer.user_id"],
            export_idempotent_answers,
            erase_idempotent_answers,
        ),
        redis_keys=redis_keys,
    )
