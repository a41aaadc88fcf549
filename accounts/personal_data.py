"""The personal data of accounts and of the shared packages (see `accounts.personal_data_registry`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Count, Model, Q

from accounts import avatar_storage, second_factor, services
from accounts.export_rows import (
    ExportedAnswerSerializer,
    ExportedFormerUsernameSerializer,
    ExportedMailedLinkSerializer,
    ExportedMailSerializer,
    ExportedModerationSerializer,
    ExportedProfileSerializer,
    ExportedSecondFactorSerializer,
    ExportedSessionSerializer,
)
from accounts.follower_counts import get_exact_counts, with_pending_counts
from accounts.models import (
    AuditEntry,
    BlockedEmailDomain,
    BlockedNetwork,
    FormerUsername,
    Invite,
    OneTimeToken,
    OutgoingMail,
    SecondFactor,
    Session,
    User,
)
from accounts.personal_data_registry import PersonalDataCategory, Row, erase_rows, iterate_chunks, lock_chunk, register
from instafeed.core.api.throttling import counter_keys
from instafeed.core.cache import keys
from instafeed.core.models import IdempotentResponse

_PROFILE_FIELDS = (
    *("username", "email", "email_verified", "display_name", "bio", "website", "is_private", "is_staff"),
    *("post_count", "created_at", "last_login"),
)


def export_profile(user_id: int) -> Iterator[Row]:
    """Yield the account's row, without the password hash."""
    user = with_pending_counts(User.objects.using(DEFAULT_DB_ALIAS)).get(pk=user_id)
    yield {
        "id": str(user.pk),
        **{field: getattr(user, field) for field in _PROFILE_FIELDS},
        **get_exact_counts(user)._asdict(),
        "avatar_url": avatar_storage.staff_url(user.avatar_path),
        "is_celebrity": user.is_celebrity,
        "invite_id": None if user.invite_id is None else str(user.invite_id),
        "groups": list(user.groups.using(DEFAULT_DB_ALIAS).values_list("name", flat=True)),
    }


def export_former_usernames(user_id: int) -> Iterator[Row]:
    """Yield the names that the account had and that are reserved to it."""
    rows = FormerUsername.objects.filter(user=user_id).values("username", "created_at", "reserved_until")
    for chunk in iterate_chunks(rows, "username"):
        yield from (
            {"username": row["username"], "given_up_at": row["created_at"], "reserved_until": row["reserved_until"]}
            for row in chunk
        )


def export_sessions(user_id: int) -> Iterator[Row]:
    """Yield all stored sessions, without the ids of their refresh tokens."""
    fields = ("created_at", "refreshed_at", "ended_at", "expires_at", "client", "address")
    for chunk in iterate_chunks(Session.objects.filter(user=user_id).values("id", *fields), "id"):
        yield from ({name: session[name] for name in fields} for session in chunk)


def export_second_factor(user_id: int) -> Iterator[Row]:
    """Yield the second factor, without its secret and the hashes of the recovery codes."""
    factors = SecondFactor.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id)
    for factor in factors.annotate(codes=Count("recovery_code_set")):
        yield {
            "enabled": factor.confirmed,
            "created_at": factor.created_at,
            "unused_recovery_codes": factor.codes,
        }


def export_mails(user_id: int) -> Iterator[Row]:
    """Yield the mails that wait to be sent, or were given up."""
    fields = ("kind", "address", "created_at", "details")
    for chunk in iterate_chunks(OutgoingMail.objects.filter(user=user_id).values("id", *fields), "id"):
        yield from ({name: mail[name] for name in fields} for mail in chunk)


def export_mailed_links(user_id: int) -> Iterator[Row]:
    """Yield the links that were mailed and can still be used, without their tokens."""
    fields = ("purpose", "address", "expires_at")
    for chunk in iterate_chunks(OneTimeToken.objects.filter(user=user_id).values("id", *fields), "id"):
        yield from ({name: token[name] for name in fields} for token in chunk)


def export_idempotent_responses(user_id: int) -> Iterator[Row]:
    """Yield the stored responses to requests with an Idempotency-Key."""
    rows = IdempotentResponse.objects.filter(user_id=user_id).values("digest", "status", "body", "created_at")
    for chunk in iterate_chunks(rows, "digest"):
        for row in chunk:
            answer = json.loads(bytes(row["body"]) or b"null")
            yield {"created_at": row["created_at"], "status": row["status"], "answer": answer}


def export_moderation(user_id: int) -> Iterator[Row]:
    """Yield what staff did to the user, without the staff member's name.

    Only the reasons of warnings are included, since they are written for the user. Dismissed reports are left out:
    that another user reported this one is the reporter's private data.
    """
    fields = ("action", "target_type", "target_id", "reason", "created_at")
    entries = AuditEntry.objects.filter(user_id=user_id).exclude(action="dismiss")
    for chunk in iterate_chunks(entries.values("id", *fields), "id"):
        for row in chunk:
            yield {
                "action": row["action"],
                "target_type": row["target_type"],
                "target_id": str(row["target_id"]),
                "reason": row["reason"] if row["action"] == "warn" else None,
                "created_at": row["created_at"],
            }


def keep_audit_log(user_id: int) -> bool:
    """Erase nothing: the audit log is append-only, and the user ids in it refer to no row after the erasure."""
    return True


def erase_former_usernames(user_id: int) -> bool:
    return erase_rows(FormerUsername.objects.filter(user=user_id))


def erase_sessions(user_id: int) -> bool:
    return erase_rows(Session.objects.filter(user=user_id))


def erase_second_factor(user_id: int) -> bool:
    second_factor.remove(user_id)
    return True


def erase_mails(user_id: int) -> bool:
    return erase_rows(OutgoingMail.objects.filter(user=user_id))


def erase_mailed_links(user_id: int) -> bool:
    return erase_rows(OneTimeToken.objects.filter(user=user_id))


def erase_idempotent_responses(user_id: int) -> bool:
    return erase_rows(IdempotentResponse.objects.filter(user_id=user_id))


def erase_avatar(user_id: int) -> bool:
    """Schedule the deletion of an avatar that was set while the account was being deleted."""
    services.remove_avatar(user_id)
    return True


def erase_permissions(user_id: int) -> bool:
    """Erase what only former staff has: groups, permissions, and admin log entries by or about it."""
    User.groups.through._default_manager.filter(user_id=user_id).delete()
    User.user_permissions.through._default_manager.filter(user_id=user_id).delete()
    about_user = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(user_id))
    return erase_rows(LogEntry.objects.filter(Q(user=user_id) | about_user))


def forget_staff_member(user_id: int) -> bool:
    """Keep the invites and blocks that a former member of staff created, without the name."""
    created = (Invite, BlockedEmailDomain, BlockedNetwork)
    return all(_forget_creator(model, user_id) for model in created)


def _forget_creator(model: type[Model], user_id: int) -> bool:
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        chunk, is_last = lock_chunk(model._default_manager.filter(created_by=user_id))
        model._default_manager.filter(pk__in=[row.pk for row in chunk]).update(created_by=None)
    return is_last


def redis_keys(user_id: int) -> Iterable[str]:
    return keys.user_summary(user_id), keys.auth_state(user_id), keys.wal_position(user_id), *counter_keys(user_id)


def register_categories() -> None:
    """Register the categories of this app. Called by `AccountsConfig.ready`."""
    register(
        PersonalDataCategory(
            "profile",
            ["accounts.User.id", "accounts.Erasure.user"],
            export_profile,
            erase_avatar,
            row=ExportedProfileSerializer,
        ),
        PersonalDataCategory(
            "staff",
            [
                *("accounts.User_groups.user", "accounts.User_user_permissions.user", "admin.LogEntry.user"),
            ],
            erase=erase_permissions,
        ),
        PersonalDataCategory(
            "created_by_staff",
            [
                *("accounts.Invite.created_by", "accounts.BlockedEmailDomain.created_by"),
                "accounts.BlockedNetwork.created_by",
            ],
            erase=forget_staff_member,
        ),
        PersonalDataCategory(
            "former_usernames",
            ["accounts.FormerUsername.user"],
            export_former_usernames,
            erase_former_usernames,
            row=ExportedFormerUsernameSerializer,
        ),
        PersonalDataCategory(
            "sessions",
            ["accounts.Session.user"],
            export_sessions,
            erase_sessions,
            row=ExportedSessionSerializer,
        ),
        PersonalDataCategory(
            "second_factor",
            ["accounts.SecondFactor.user"],
            export_second_factor,
            erase_second_factor,
            row=ExportedSecondFactorSerializer,
        ),
        PersonalDataCategory(
            "mails", ["accounts.OutgoingMail.user"], export_mails, erase_mails, row=ExportedMailSerializer
        ),
        PersonalDataCategory(
            "mailed_links",
            ["accounts.OneTimeToken.user"],
            export_mailed_links,
            erase_mailed_links,
            row=ExportedMailedLinkSerializer,
        ),
        PersonalDataCategory(
            "moderation", export=export_moderation, erase=keep_audit_log, row=ExportedModerationSerializer
        ),
        PersonalDataCategory(
            "idempotent_answers",
            ["core.IdempotentResponse.user_id"],
            export_idempotent_responses,
            erase_idempotent_responses,
            row=ExportedAnswerSerializer,
        ),
        redis_keys=redis_keys,
    )
