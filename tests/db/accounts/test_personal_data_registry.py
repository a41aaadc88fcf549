"""Every column and Redis key with a user's id is registered for export and erasure."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts import personal_data_registry
from accounts.models import User
from instafeed.core.cache import keys
from tests.support.populated_account import registered_columns

PROJECT_APPS = {
    "core",
    "backoffice",
    "accounts",
    "social",
    "media",
    "exports",
    "posts",
    "feeds",
    "admin",
    "auth",
}
# Columns of those types that hold no user ids, or none that must be erased.
COLUMNS_WITHOUT_USER_IDS = {
    "media.Relocation.last_media_id",  # the id of a picture
    "feeds.FanOut.last_follower_id",  # the start of the next batch, not personal data
    "accounts.User.avatar_media",  # the id of a picture
    "accounts.User.known_devices",  # hashes
    "accounts.OutgoingMail.details",  # of the user to whom the mail goes
    # The audit log is kept; its ids refer to no user after the erasure.
    "accounts.AuditEntry.actor_id",
    "accounts.AuditEntry.target_id",
    "accounts.AuditEntry.user_id",
    "accounts.AuditEntry.policy_id",
    "accounts.AuditEntry.before",
    "accounts.AuditEntry.after",
    "backoffice.Sample.metrics",
    # Of an operator, and how far the job has come. Deleted after some weeks.
    "backoffice.OperatorJob.requested_by_id",
    "backoffice.OperatorJob.arguments",
    "backoffice.OperatorJob.checkpoint",
    "posts.Case.reason_counts",
    "media.ProcessingJob.owner_id",  # deleted with the picture
    "media.ProcessingJob.turn",
    "posts.Case.reported_texts",
    "posts.Case.known_texts",
    # Ids of moderators.
    "posts.Case.closed_by_id",
    "posts.CaseClosing.closed_by_id",
    "posts.Case.claimed_by_id",
    "posts.Case.escalated_by_id",
    "posts.Note.author_id",
    "core.Invalidation.keys",  # deleted within seconds
    "media.Media.variants",
    "media.FileDeletion.paths",
    "accounts.SecondFactor.last_step",  # a time
    "exports.Export.last_media_id",
    "exports.Export.size",
    "exports.ExportSlice.part",
    "exports.ExportSlice.pictures",
    "posts.Counter.subject_id",
    "posts.ExploreRanking.post_ids",
    "social.Notification.post_id",
    "social.Notification.comment_id",
    "social.Notification.position",
    "social.NotificationActor.position",
    "social.ModeratorMessage.post_id",
    "social.ModeratorMessage.comment_id",
    "social.NotificationEvent.post_id",
    "social.NotificationEvent.comment_id",
    "social.NotificationState.read_up_to",
    "social.OutgoingPush.subscription_id",
    "social.OutgoingPush.notification_id",
}
FIELD_TYPES_WITHOUT_FOREIGN_KEY = (models.BigIntegerField, models.JSONField, ArrayField)


def test_all_columns_with_user_ids_are_registered() -> None:
    assert set(columns_that_may_hold_user_ids()) - registered_columns() - COLUMNS_WITHOUT_USER_IDS == set(), (
        "register these in a PersonalDataCategory, or list them in COLUMNS_WITHOUT_USER_IDS"
    )
    assert registered_columns() | COLUMNS_WITHOUT_USER_IDS <= set(columns_that_may_hold_user_ids()), (
        "these columns do not exist"
    )


def columns_that_may_hold_user_ids() -> Iterator[str]:
    """Yield foreign keys to users, and other columns that could hold an id, except generated primary keys."""
    yield "accounts.User.id"
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label not in PROJECT_APPS or model._meta.proxy:
            continue
        for field in model._meta.concrete_fields:
            may_hold_id = isinstance(field, FIELD_TYPES_WITHOUT_FOREIGN_KEY) and not field.is_relation
            is_generated = isinstance(field, models.BigAutoField) or (field.primary_key and field.has_db_default())
            if field.related_model is User or (may_hold_id and not is_generated):
                yield f"{model._meta.label}.{field.name}"


def test_all_categories_can_be_erased() -> None:
    assert [category.name for category in personal_data_registry.get_categories() if category.erase is None] == []


@pytest.mark.django_db
def test_all_redis_keys_with_user_ids_are_registered() -> None:
    arguments = {
        name: [4711, 0][: len(inspect.signature(function).parameters)]
        for name, function in vars(keys).items()
        if inspect.isfunction(function) and [*inspect.signature(function).parameters][:1] == ["user_id"]
    }
    assert {"home_timeline", "author_timeline", "user_summary", "auth_state"} <= arguments.keys()
    registered = set(personal_data_registry.get_redis_keys(4711))
    for name, values in arguments.items():
        made = getattr(keys, name)(*values)
        assert ({made} if isinstance(made, str) else set(made)) <= registered, name
